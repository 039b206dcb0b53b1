//! The inotify watches of paths: they report that a path may now lead elsewhere, or to another file.
//!
//! Each folder on the way to a file is watched for being moved or deleted itself. The folders in which a symlink or a
//! missing name is looked up, and the last one, are also watched for changes of that name. So the switch of a symlink,
//! of `..data` or of a folder is noticed wherever it happens, and unrelated activity causes no wake-ups except in those
//! folders. A watch is always set before the name is looked up, so that later changes are reported.
//!
//! Events mean only that something may have changed; the current state is read from the file system.

use std::{
    ffi::{OsStr, OsString},
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};

/// The watches.
#[derive(Debug)]
pub(crate) struct PathWatch {
    inotify: OwnedFd,
    folders: Vec<Folder>,
    /// What is watched for besides the appearance and disappearance of names.
    also: WatchFlags,
    /// Why not everything could be watched.
    failed: Option<io::Error>,
}

/// Where a path leads: a folder, without symlinks, and a name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    /// The folder.
    pub folder: PathBuf,
    /// The name of the file in it, which need not exist.
    pub name: OsString,
}

#[derive(Debug)]
struct Folder {
    watch: i32,
    /// The names that matter in it.
    names: Vec<OsString>,
}

/// Maximum number of symlinks in one path, as in the kernel.
const MAX_LINKS: usize = 40;

const ITSELF: WatchFlags = WatchFlags::MOVE_SELF.union(WatchFlags::DELETE_SELF);
const NAMES: WatchFlags =
    WatchFlags::CREATE.union(WatchFlags::DELETE).union(WatchFlags::MOVED_FROM).union(WatchFlags::MOVED_TO);

// === impl PathWatch ===

impl PathWatch {
    /// Watches for the appearance and disappearance of names, and for `also` on the files that have them.
    ///
    /// # Errors
    ///
    /// If no inotify instance is available (`fs.inotify.max_user_instances`).
    pub(crate) fn new(also: WatchFlags) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self { inotify, folders: Vec::new(), also, failed: None })
    }

    /// Why some changes of the paths go unnoticed; `None` if none do.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<&io::Error> {
        self.failed.as_ref()
    }

    /// Reads the pending events. Returns `true` if one was about the paths. Events of other watches go to `other`.
    pub(crate) fn drain(&mut self, mut other: impl FnMut(i32, ReadFlags)) -> bool {
        let mut seen = false;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        // The only possible error is that there are no more events.
        while let Ok(event) = events.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                seen = true;
            } else if let Some(folder) = self.folders.iter().find(|folder| folder.watch == event.wd()) {
                // An event without a name is about the folder itself.
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                seen |= name.is_none_or(|name| folder.names.iter().any(|watched| watched == name));
            } else {
                other(event.wd(), flags);
            }
        }
        seen
    }

    /// Follows these absolute paths and no others. Returns where each of them leads, if its folder exists.
    pub(crate) fn follow<'p>(&mut self, paths: impl IntoIterator<Item = &'p Path>) -> Vec<Option<Home>> {
        let before = std::mem::take(&mut self.folders);
        self.failed = None;
        let homes = paths.into_iter().map(|path| self.walk(path)).collect();
        for folder in before {
            if !self.folders.iter().any(|kept| kept.watch == folder.watch) {
                self.forget(folder.watch);
            }
        }
        homes
    }

    /// Adds a watch that is not part of a path. `None` if that fails.
    #[must_use]
    pub(crate) fn add(&self, path: &str, flags: WatchFlags) -> Option<i32> {
        inotify::add_watch(&self.inotify, path, flags).ok()
    }

    /// Removes a watch. It is not an error if it has already ended with its file.
    pub(crate) fn forget(&self, watch: i32) {
        inotify::remove_watch(&self.inotify, watch).unwrap_or_default();
    }

    fn walk(&mut self, path: &Path) -> Option<Home> {
        let mut folder = PathBuf::from("/");
        let mut rest = Vec::new();
        let mut links = 0;
        push_reversed(&mut rest, path);
        while let Some(name) = rest.pop() {
            if name == ".." {
                folder.pop();
                continue;
            }
            let here = folder.join(&name);
            let last = rest.is_empty();
            self.watch_folder(&folder, last.then_some(&name));
            let mut link = std::fs::read_link(&here);
            let is_fixed = |error: &io::Error| Errno::from_io_error(error) == Some(Errno::INVAL);
            if !last && !link.as_ref().is_err_and(is_fixed) {
                // A symlink or missing: now watched by its name, so it is read again.
                self.watch_folder(&folder, Some(&name));
                link = std::fs::read_link(&here);
            }
            match link {
                Ok(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.is_absolute() {
                        folder = PathBuf::from("/");
                    }
                    push_reversed(&mut rest, &target);
                }
                Err(_) if last => return Some(Home { folder, name }),
                // It exists and is not a symlink.
                Err(error) if is_fixed(&error) => folder = here,
                Err(error) => {
                    if error.kind() != io::ErrorKind::NotFound {
                        self.failed.get_or_insert(error);
                    }
                    return None;
                }
            }
        }
        None
    }

    /// Watches a folder, and a name in it.
    fn watch_folder(&mut self, folder: &Path, name: Option<&OsString>) {
        let flags = if name.is_some() { ITSELF | NAMES | self.also } else { ITSELF };
        // Added to the existing flags: the folder may be on the way twice.
        let flags = flags | WatchFlags::ONLYDIR | WatchFlags::MASK_ADD;
        let watch = match inotify::add_watch(&self.inotify, folder, flags) {
            Ok(watch) => watch,
            Err(error) => {
                self.failed.get_or_insert(error.into());
                return;
            }
        };
        match self.folders.iter_mut().find(|known| known.watch == watch) {
            Some(known) => known.names.extend(name.cloned()),
            None => self.folders.push(Folder { watch, names: name.cloned().into_iter().collect() }),
        }
    }
}

impl AsFd for PathWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl AsRawFd for PathWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.inotify.as_raw_fd()
    }
}

/// Pushes the names of `path` so that the first one is popped first.
fn push_reversed(names: &mut Vec<OsString>, path: &Path) {
    names.extend(path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    }));
}
