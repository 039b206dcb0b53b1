//! The folders of the journal: which ones exist, the files in them, and the inotify watches on them.
//!
//! journald writes to mapped memory, which inotify does not report. So some 250 ms after a write it truncates the file
//! to the size it already has, which inotify does report. A watch on a folder covers its files.

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

/// Where the system's journal is, and where it is until /var is mounted.
const SYSTEM: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// The journal in /run is lost at shutdown; journald moves it to /var once that is mounted.
const RUNTIME: &str = "/run";
/// Maximum number of files that are looked at; the others are ignored.
const MAX_FILES: usize = 4096;

/// The folders and the watch on them.
#[derive(Debug)]
pub(super) struct Folders {
    filter: Arc<Filter>,
    roots: Vec<Root>,
    inotify: OwnedFd,
    /// The watched folders by watch number.
    watched: BTreeMap<i32, PathBuf>,
    /// Folders with journal files.
    followed: Vec<PathBuf>,
    missing: Vec<PathBuf>,
    /// What happened and has not been returned by `changes` yet.
    pending: Changes,
    /// The last warning, so that each is logged once.
    last_warning: Option<String>,
}

/// A configured folder, including its subfolders of machines.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    /// journald moves its files to another root later.
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
            pending: Changes::default(),
            last_warning: None,
        })
    }

    /// The existing folders and the missing ones.
    pub(super) fn places(&self) -> (&[PathBuf], &[PathBuf]) {
        (&self.followed, &self.missing)
    }

    /// Watches a folder. Returns `false` if it does not exist.
    fn watch(&mut self, path: &Path, what: WatchFlags, watched: &mut BTreeMap<i32, PathBuf>) -> bool {
        // A folder may be watched for two reasons, but has a single watch number.
        match inotify::add_watch(&self.inotify, path, what | WatchFlags::MASK_ADD) {
            Ok(number) => {
                watched.insert(number, path.to_owned());
                true
            }
            Err(Errno::NOENT | Errno::NOTDIR) => false,
            Err(error) => {
                self.warn_once(path, &error.into(), "cannot watch a folder of the journal");
                // It may be readable nevertheless.
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
            // The next folder on the way may have been created before the watch was set.
            let below = root.ancestors().take_while(|folder| Some(*folder) != above).last();
            if !below.is_some_and(Path::is_dir) {
                return false;
            }
        }
    }

    fn warn_once(&mut self, path: &Path, error: &io::Error, what: &'static str) {
        let warning = format!("{} {error}", path.display());
        if self.last_warning.as_ref() != Some(&warning) {
            tracing::warn!(path = %path.display(), error = error as &dyn std::error::Error, "{what}");
            self.last_warning = Some(warning);
        }
    }

    /// Adds the journal files of a folder, and its subfolders of machines.
    fn list_folder(&mut self, folder: &Path, runtime: bool, files: &mut Vec<Found>) -> Vec<PathBuf> {
        let mut machines = Vec::new();
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.warn_once(folder, &error, "cannot read a folder of the journal");
                }
                return machines;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            let (name, path) = (entry.file_name(), entry.path());
            let Some(name) = name.to_str() else { continue };
            // journald renames a file that was not closed properly to `…~`.
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
        let mut changes = std::mem::replace(&mut self.pending, Changes::None);
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match events.next() {
                Ok(event) if event.events() == ReadFlags::MODIFY => changes = changes.max(Changes::Content),
                Ok(_) => changes = Changes::Names,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return changes,
                Err(error) => {
                    self.warn_once(Path::new("inotify"), &error.into(), "cannot read inotify events");
                    return Changes::Names;
                }
            }
        }
    }

    fn list(&mut self) -> Vec<Found> {
        let (mut files, mut watched) = (Vec::new(), BTreeMap::new());
        let (mut followed, mut missing) = (Vec::new(), Vec::new());
        for Root { path: root, runtime } in self.roots.clone() {
            // The watch is set first, so that nothing that appears while the folder is listed is missed.
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
            // If the folder is gone, its watch is gone as well.
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

    /// The folders of this machine. In a container without the host's /etc/machine-id: those of all machines found.
    pub(super) fn system() -> Vec<Self> {
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        SYSTEM.iter().map(|folder| Self::new(Path::new(folder).join(machine.trim()))).collect()
    }
}

/// The subfolders of a journal are named after machine ids; those of other namespaces have a suffix.
fn is_machine_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
