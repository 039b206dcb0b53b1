//! The reader of the journal's files.

use std::{
    io,
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use self::{
    folders::{Folders, Root},
    follow::Follow,
    origin::Origin,
};
use super::{
    Entry, JournalFilter, JournalState, ReadOutcome, Start,
    filter::{self, Filter},
};
use crate::{
    record::cursor::{Cursor, CursorError},
    time::Now,
};

mod entry_fields;
mod file;
mod files;
mod folders;
mod follow;
mod origin;

/// A journal that is being followed.
#[derive(Debug)]
pub struct JournalTail {
    follow: Follow<Folders>,
}

/// Why the journal cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The start is not a valid cursor.
    #[error("cannot resume at {cursor:?}")]
    Cursor {
        /// The invalid text.
        cursor: String,
        /// What is wrong with it.
        source: CursorError,
    },
    /// inotify is not available, for example because the limit of instances is reached.
    #[error("cannot watch the journal's folders")]
    Watch {
        /// The system's error.
        source: io::Error,
    },
}

// === impl JournalTail ===

impl JournalTail {
    /// Follows the folder `path` and its subfolders of machines, or the system's journal in /var/log and /run/log.
    ///
    /// If the folder does not exist, the reader waits for it. A namespace's folder is followed when it is given as
    /// `path`.
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

    /// Passes all available entries to `entry`, oldest first, until it breaks.
    ///
    /// It may be called at any time; it is due when [`Self::as_fd`] is readable or [`Self::timeout`] has passed.
    pub fn read(&mut self, entry: &mut dyn FnMut(&Entry<'_>) -> ControlFlow<()>) -> ReadOutcome {
        self.follow.read(Now::read().mono, entry)
    }

    /// When to read even if no event arrives; `None`, as usual, if never.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.follow.timeout()
    }

    /// The cursor to resume after: that of the last delivered entry, or the one that reading started at.
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
    /// Readable when there may be new entries.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.follow.folders().as_fd()
    }
}

#[cfg(test)]
mod tests;
