//! The folders of the journal: which there are, what lies in them, and inotify on them.
//!
//! journald writes to mapped memory, of which inotify tells nothing; so it truncates the file to the size that it has,
//! some 250 ms after a write, which is a change that inotify tells. A watch on a folder covers its files.

use std::{
    collections::BTreeMap,
    fs, io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::inotify::{self, ReadFlags, WatchFlags},
    io::Errno,
};

use super::{
    file::{FileError, FileReader},
    files::{Changes, FileKey, Found, JournalFolders},
    filter::Filter,
};

/// Where the system's journal is, and where it is until /var is there.
const SYSTEM: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// What is in /run does not outlive the boot; journald moves it to /var when that is there.
const RUNTIME: &str = "/run";
/// More files than this in the folders are not looked at.
const MAX_FILES: usize = 4096;

/// The folders and the watch on them.
#[derive(Debug)]
pub(super) struct Folders {
    filter: Arc<Filter>,
    roots: Vec<Root>,
    inotify: OwnedFd,
    /// The watched folders by their number.
    watched: BTreeMap<i32, PathBuf>,
    /// Folders with journal files.
    followed: Vec<PathBuf>,
    missing: Vec<PathBuf>,
    /// What happened and was not told yet.
    untold: Changes,
    /// The last complaint, so that each is made once.
    complaint: Option<String>,
}

/// A folder that is asked for, with the subfolders of machines in it.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    /// What is there is moved to another root later.
    pub(super) runtime: bool,
}

const FILES: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// For the folder in which a missing one may appear.
const APPEARANCE: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

// === impl Folders ===

impl Folders {
    /// Watches these folders.
    pub(super) fn new(roots: Vec<Root>, filter: Arc<Filter>) -> io::Result<Self> {
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        Ok(Self {
            filter,
            roots,
            inotify,
            watched: BTreeMap::new(),
            followed: Vec::new(),
            missing: Vec::new(),
            untold: Changes::default(),
            complaint: None,
        })
    }

    /// The folders that are there, and those that are not.
    pub(super) fn places(&self) -> (&[PathBuf], &[PathBuf]) {
        (&self.followed, &self.missing)
    }

    /// Watches a folder. `false` when there is none.
    fn watch(&mut self, path: &Path, what: WatchFlags, watched: &mut BTreeMap<i32, PathBuf>) -> bool {
        // One folder may be watched for two reasons, and has one number.
        match inotify::add_watch(&self.inotify, path, what | WatchFlags::MASK_ADD) {
            Ok(number) => {
                watched.insert(number, path.to_owned());
                true
            }
            Err(Errno::NOENT | Errno::NOTDIR) => false,
            Err(error) => {
                self.complain(path, &error.into(), "cannot watch a folder");
                // It can perhaps be read all the same.
                path.is_dir()
            }
        }
    }

    /// Watches a root, or the nearest folder in which it will appear.
    fn watch_root(&mut self, root: &Path, watched: &mut BTreeMap<i32, PathBuf>) -> bool {
        loop {
            if self.watch(root, FILES, watched) {
                return true;
            }
            let above = root.ancestors().skip(1).find(|above| {
                let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
                self.watch(above, APPEARANCE, watched)
            });
            // The folder below may have been made before the watch was there.
            let below = root.ancestors().take_while(|folder| Some(*folder) != above).last();
            if !below.is_some_and(Path::is_dir) {
                return false;
            }
        }
    }

    fn complain(&mut self, path: &Path, error: &io::Error, what: &'static str) {
        let complaint = format!("{} {error}", path.display());
        if self.complaint.as_ref() != Some(&complaint) {
            tracing::warn!(path = %path.display(), error = error as &dyn std::error::Error, "{what}");
            self.complaint = Some(complaint);
        }
    }

    /// Adds the journal files of a folder, and its subfolders of machines.
    fn list_folder(&mut self, folder: &Path, runtime: bool, files: &mut Vec<Found>) -> Vec<PathBuf> {
        let mut machines = Vec::new();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.complain(folder, &error, "cannot read a folder");
                }
                return machines;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            let (name, path) = (entry.file_name(), entry.path());
            let Some(name) = name.to_str() else { continue };
            // journald puts a file aside as `…~` that was not closed in order.
            let is_journal = name.ends_with(".journal") || name.ends_with(".journal~");
            if !is_journal && !is_machine_id(name) {
                continue;
            }
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if is_machine_id(name) && metadata.is_dir() {
                machines.push(path);
            } else if is_journal && metadata.is_file() && files.len() < MAX_FILES {
                let key = FileKey::of(&metadata);
                let changed = metadata.mtime().wrapping_mul(1_000_000_000).wrapping_add(metadata.mtime_nsec());
                files.push(Found { key, path, runtime, stamp: (metadata.len(), changed) });
            }
        }
        machines
    }
}

impl JournalFolders for Folders {
    type File = FileReader;

    fn changes(&mut self) -> Changes {
        let mut changes = std::mem::replace(&mut self.untold, Changes::None);
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match events.next() {
                Ok(event) if event.events() == ReadFlags::MODIFY => changes = changes.max(Changes::Content),
                Ok(_) => changes = Changes::Names,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return changes,
                Err(error) => {
                    self.complain(Path::new("inotify"), &error.into(), "cannot read what happened");
                    return Changes::Names;
                }
            }
        }
    }

    fn list(&mut self) -> Vec<Found> {
        let (mut files, mut watched) = (Vec::new(), BTreeMap::new());
        let (mut followed, mut missing) = (Vec::new(), Vec::new());
        for Root { path: root, runtime } in self.roots.clone() {
            // The watch comes first, so that nothing appears between it and the look.
            if !self.watch_root(&root, &mut watched) {
                missing.push(root);
                continue;
            }
            for machine in self.list_folder(&root, runtime, &mut files) {
                if self.watch(&machine, FILES, &mut watched) {
                    self.list_folder(&machine, runtime, &mut files);
                    followed.push(machine);
                }
            }
            followed.push(root);
        }
        for (number, _) in self.watched.iter().filter(|(number, _)| !watched.contains_key(number)) {
            // The watch of a folder that is gone is gone, too.
            let _gone = inotify::remove_watch(&self.inotify, *number);
        }
        (self.watched, self.followed, self.missing) = (watched, followed, missing);
        files
    }

    fn open(&mut self, found: &Found) -> Result<FileReader, FileError> {
        FileReader::open(&found.path, found.key, Arc::clone(&self.filter))
    }

    fn is_waiting(&self) -> bool {
        self.followed.is_empty()
    }
}

impl AsFd for Folders {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

// === impl Root ===

impl Root {
    pub(super) fn new(path: PathBuf) -> Self {
        let runtime = path.starts_with(RUNTIME);
        Self { path, runtime }
    }

    /// The folders of this machine. In a container without the host's /etc/machine-id: of whichever machines there
    /// are.
    pub(super) fn system() -> Vec<Self> {
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        SYSTEM.iter().map(|folder| Self::new(Path::new(folder).join(machine.trim()))).collect()
    }
}

/// The subfolders of a journal have the ids of machines as names; those of other namespaces have a suffix.
fn is_machine_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
