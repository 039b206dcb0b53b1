//! The inotify watches of one log file: on the path to it, on the file itself, and on the file before it.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::Path,
};

use rustix::fs::inotify::{ReadFlags, WatchFlags};

use crate::path_watch::{Home, PathWatch};

/// The watches.
#[derive(Debug)]
pub(crate) struct Watch {
    paths: PathWatch,
}

/// What the events since the last call mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The path may lead elsewhere.
    pub(crate) path: bool,
    /// The last event of the predecessor's writers: `true` if one closed it.
    pub(crate) closed: Option<bool>,
}

/// What a file is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// New text.
    Current,
    /// New text, a writer that closes it, and the deletion of its last name.
    Predecessor,
}

// === impl Watch ===

impl Watch {
    /// No watches yet.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { paths: PathWatch::new(WatchFlags::empty())? })
    }

    /// Whether inotify reports everything that can happen to the path.
    pub(crate) fn is_complete(&self) -> bool {
        self.paths.failure().is_none()
    }

    /// Reads the pending events. `predecessor` is that file's watch.
    pub(crate) fn drain(&mut self, predecessor: Option<i32>) -> Seen {
        let mut closed = None;
        let path = self.paths.drain(|watch, flags| {
            if Some(watch) == predecessor && flags.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MODIFY) {
                closed = Some(flags.contains(ReadFlags::CLOSE_WRITE));
            }
        });
        Seen { path, closed }
    }

    /// Resolves `path`, which is absolute, and watches the folders on the way. `None` if its folder does not exist.
    pub(crate) fn resolve(&mut self, path: &Path) -> Option<Home> {
        let was_complete = self.is_complete();
        let home = self.paths.follow([path]).pop().flatten();
        if let Some(error) = self.paths.failure()
            && was_complete
        {
            tracing::warn!(path = %path.display(), %error, "cannot watch a log file: polling it once a second");
        }
        home
    }

    /// Watches an open file, whatever its name is. `None` if it cannot be watched.
    pub(crate) fn watch_file(&self, file: &File, role: Role) -> Option<i32> {
        let flags = match role {
            Role::Current => WatchFlags::MODIFY,
            Role::Predecessor => WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE | WatchFlags::ATTRIB,
        };
        self.paths.add(&format!("/proc/self/fd/{}", file.as_raw_fd()), flags)
    }

    /// Removes a watch. It is not an error if it has already ended with its file.
    pub(crate) fn forget(&self, watch: i32) {
        self.paths.forget(watch);
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.paths.as_fd()
    }
}
