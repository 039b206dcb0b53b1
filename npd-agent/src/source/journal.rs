//! systemd's journal: its entries from a place on, as they come.
//!
//! The files are read directly, without libsystemd, which cannot be linked into a static binary. They are only read:
//! no request to journald, no service of systemd is needed, and journald does not notice.
//!
//! Every entry that passes the filter is given once and in order, across rotation, vacuuming, the move from /run to
//! /var, and a restart that goes on behind the last cursor. Damaged files are skipped with one warning each.
//!
//! This is not a query engine: there is one filter, forwards only. It rests on systemd's JOURNAL_FILE_FORMAT, which
//! is stable since systemd 187, and on the order in which journald writes (see file.rs). journald tells of
//! changes by a timer of 250 ms that systemd may let wait as long again: a live entry wakes the reader 0.25 to 0.5 s
//! late (0.3 to 0.44 s measured), though it is there within a millisecond or two for who calls
//! [`JournalTail::read`] unasked.

use std::{
    io,
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

pub(crate) use self::filter::Filter;
use self::{
    cursor::Origin,
    folders::{Folders, Root},
    follow::Follow,
};
pub use self::{
    cursor::{Cursor, CursorError},
    entry::Entry,
    filter::JournalFilter,
};
use crate::time::{Now, Timestamp};

mod cursor;
mod entry;
mod file;
mod files;
mod filter;
mod folders;
mod follow;

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Behind the entry with this cursor; when that is gone, with the first one that is newer.
    Cursor(String),
    /// With the first entry of this time.
    Since(Timestamp),
}

/// A journal that is being followed.
#[derive(Debug)]
pub struct JournalTail {
    follow: Follow<Folders>,
}

/// What one [`JournalTail::read`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOutcome {
    /// How many entries were given.
    pub entries: usize,
    /// There may be more already: read again without waiting for the file descriptor.
    pub more: bool,
}

/// What is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalState {
    /// The folders that are there.
    pub following: Vec<PathBuf>,
    /// The folders that are not there yet.
    pub waiting_for: Vec<PathBuf>,
    /// How many journal files are open.
    pub files: usize,
}

/// Why the journal cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The place to begin is no cursor.
    #[error("cannot go on at {cursor:?}")]
    Cursor {
        /// The text.
        cursor: String,
        /// What is wrong with it.
        source: CursorError,
    },
    /// The system has no inotify left for us.
    #[error("cannot watch the journal's folders")]
    Watch {
        /// The system's reason.
        source: io::Error,
    },
}

// === impl JournalTail ===

impl JournalTail {
    /// Follows the folder `path` and its subfolders of machines, or the system's journal in /var/log and /run/log.
    ///
    /// A folder that does not exist is waited for. A namespace's folder is followed when it is given as `path`.
    pub fn open(path: Option<PathBuf>, filter: &JournalFilter, start: Start) -> Result<Self, JournalError> {
        let roots = path.map_or_else(Root::system, |path| vec![Root::new(path)]);
        let origin = match start {
            Start::Cursor(cursor) => match cursor.parse() {
                Ok(cursor) => Origin::After(cursor),
                Err(source) => return Err(JournalError::Cursor { cursor, source }),
            },
            // journald counts microseconds: the first one that is not earlier.
            Start::Since(at) => Origin::Since(at.unix_nanos().max(0).cast_unsigned().div_ceil(1000)),
        };
        let filter = Arc::new(Filter::new(filter));
        let folders = Folders::new(roots, filter).map_err(|source| JournalError::Watch { source })?;
        Ok(Self { follow: Follow::new(folders, origin) })
    }

    /// Gives all entries that are there to `entry`, oldest first, until it breaks off.
    ///
    /// It may be called at any time; it is due when [`Self::as_fd`] is readable or [`Self::timeout`] has passed.
    pub fn read(&mut self, entry: &mut dyn FnMut(&Entry<'_>) -> ControlFlow<()>) -> ReadOutcome {
        self.follow.read(Now::read().mono, entry)
    }

    /// When to read although nothing happened; usually never.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.follow.timeout()
    }

    /// The cursor to go on behind: that of the last entry given, or the one begun with.
    #[must_use]
    pub fn position(&self) -> Option<Cursor> {
        self.follow.position()
    }

    /// What is followed, as of the last [`Self::read`].
    #[must_use]
    pub fn state(&self) -> JournalState {
        let (following, waiting_for) = self.follow.folders().places();
        let (following, waiting_for) = (following.to_vec(), waiting_for.to_vec());
        JournalState { following, waiting_for, files: self.follow.files() }
    }
}

impl AsFd for JournalTail {
    /// Readable when something may have come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.follow.folders().as_fd()
    }
}

#[cfg(test)]
mod tests;
