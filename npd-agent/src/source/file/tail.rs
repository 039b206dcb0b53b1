//! Following a text log file, line by line, across its rotations: nothing is read twice and nothing is lost.
//!
//! It delivers raw lines and the position after each. It knows nothing of timestamps, rules or encodings, and it does
//! not poll: inotify announces when there may be something to do, and [`FileTail::timeout`] covers the few cases in
//! which it cannot.
//!
//! What is followed is the path. A file that is moved away or deleted stays open, and both it and its successor are
//! read as long as the old one may still be written to: until the new one has text and the old one has been quiet
//! for some seconds. Files that were at the path between two checks are found in the folder (`app.log.1` and the like)
//! and read first, oldest first. Order is kept within a file; the last lines of a writer that is late to
//! switch come after the first of the new file. Truncation in place (`copytruncate`) is detected by the size and the
//! first bytes of the file; what was not read by then is taken from the copy, if that can be found.
//!
//! A line is delivered once its newline is there, also across a restart. Text after the last newline of a file is
//! delivered when the file is finished, and never joined to the next file's first line. NULs before a line are dropped:
//! they are the gap that a truncation leaves if the writer does not append.
//!
//! What cannot be known, and so is not guaranteed:
//!
//! * What is written between the copy and the truncation of `copytruncate` is lost, as it is to logrotate. A line
//!   that was half written at that moment is delivered in two parts.
//! * A file that is truncated and filled again beyond the old size with the same first 256 bytes looks like growth.
//! * Across a restart files are identified by inode number, time of birth and first bytes. Where the file system has
//!   no time of birth (ext4 with inodes of 128 bytes), the order of several missed generations is that of their last
//!   writes, a copy made of the log just then may be taken for one of them, and no copy is read after a truncation.
//! * Compressed generations (`.gz`) are not read. What is compressed before it was read is lost, which is logged.
//! * Only one file before the current one is followed. Text that is written to it two rotations late is lost.
//! * Rotations so close together that the file system's clock (4 ms and the like) cannot distinguish them.
//! * Writes through mmap(2) and on the far side of a network file system cause no inotify events. They are noticed at
//!   the next event.
//! * A generation that was moved to another folder (`olddir`) while the agent was down is not found.

use std::{
    io,
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

mod generation;
mod head;
mod lines;
mod stat;
mod step;
mod watch;

pub(crate) use crate::record::file_position::FilePosition;
pub(crate) use lines::Ending;

use self::{
    lines::{CHUNK, LogFile},
    step::Take,
    watch::Watch,
};
use crate::{path_watch::Home, record::file_position::FileMark};

/// Longer lines are cut: their first bytes are delivered and the rest is dropped.
pub(crate) const MAX_LINE: usize = 2 << 20;

/// A line of the log.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// Its bytes without the newline; a carriage return stays.
    pub text: &'a [u8],
    /// How it ends.
    #[cfg_attr(not(test), expect(dead_code, reason = "what the tests of rotations look at"))]
    pub ending: Ending,
    /// The position after the line, in its file.
    mark: &'a FileMark,
    /// The position in the other file that is being read.
    other: Option<&'a FileMark>,
    /// Whether the line is from the current file.
    current: bool,
}

/// Follows one path. Holds an inotify instance (the default limit is 128 per user) and one or two open files.
#[derive(Debug)]
pub(crate) struct FileTail {
    path: PathBuf,
    watch: Watch,
    buffer: Vec<u8>,
    /// Where the path leads, once its folder exists.
    home: Option<Home>,
    /// The newest file that reading has started in.
    current: Option<LogFile>,
    /// The file before it, while that may still be written to. `None` if there is no current file.
    predecessor: Option<LogFile>,
    /// Where to resume when there is no current file.
    origin: Origin,
    state: FileState,
    /// There is more to read, but no event will announce it.
    backlog: bool,
}

/// Where reading starts once the file exists.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// At this position, from an earlier run.
    Resume(FilePosition),
    /// After this position, whose file was read to its end and is gone.
    After(FilePosition),
}

/// Whether the path can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileState {
    /// It is being followed.
    Following,
    /// Nothing is at the path; the file that was there before may still be followed.
    Missing,
    /// There is something at the path that cannot be read, for the reason in the last error of [`FileTail::read`].
    Unreadable,
}

/// What happened during a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReadOutcome {
    /// There is more to read immediately.
    pub more: bool,
    /// How often a newer file replaced the current one.
    pub rotations: u32,
    /// How often a file was truncated in place.
    pub truncations: u32,
    /// The position to resume from no longer exists, or the text after it could not be read: lines may be lost.
    pub lost: bool,
}

/// Why the path cannot be read. Retry after [`FileTail::timeout`], not earlier.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileTailError {
    /// It cannot be examined or opened.
    #[error("cannot open log file {}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is a folder, a FIFO, a device…
    #[error("log file {} is not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// It is open but cannot be read.
    #[error("cannot read log file {}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Polling interval for a path that cannot be watched.
const POLL: Duration = Duration::from_secs(1);
/// A predecessor is finished when it has been quiet for this time while its successor has text.
const QUIET: Duration = Duration::from_secs(5);
/// The same if the last event of its writers is that one closed it. Others may still have it open.
const CLOSED: Duration = Duration::from_secs(1);
/// A deleted file without a successor with text is finished after this time of quiet: its writer may be gone, and it
/// occupies disk space.
const DELETED: Duration = Duration::from_mins(1);

// === impl Line ===

impl Line<'_> {
    /// The position to resume from after this line. Costs a copy of some 100 bytes.
    #[must_use]
    pub(crate) fn position(&self) -> FilePosition {
        if self.current {
            FilePosition { file: Some(*self.mark), predecessor: self.other.copied() }
        } else {
            FilePosition { file: self.other.copied(), predecessor: Some(*self.mark) }
        }
    }
}

// === impl FileTail ===

impl FileTail {
    /// Follows `path` from a position of an earlier run, or else from the oldest line of the file that is there.
    ///
    /// # Errors
    ///
    /// Only if no inotify instance is available (`fs.inotify.max_user_instances`), or if the path is relative and there
    /// is no working directory. A missing file is not an error: the tail waits for it.
    pub(crate) fn new(path: &Path, from: Option<FilePosition>) -> io::Result<Self> {
        Ok(Self {
            path: std::path::absolute(path)?,
            watch: Watch::new()?,
            buffer: vec![0; CHUNK],
            home: None,
            current: None,
            predecessor: None,
            origin: Origin::Resume(from.unwrap_or_default()),
            state: FileState::Missing,
            backlog: true,
        })
    }

    /// When to read although the descriptor is not readable; `None` if only an event can bring something new.
    #[must_use]
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout_at(Instant::now())
    }

    /// Whether the path can be followed, as of the last read.
    #[must_use]
    pub(crate) fn state(&self) -> FileState {
        self.state
    }

    /// The position after the last delivered line; before the first one, the position that the tail was created with.
    /// Within the callback of a read, ask the [`Line`].
    #[must_use]
    pub(crate) fn position(&self) -> FilePosition {
        match (&self.current, self.origin) {
            (Some(current), _) => FilePosition {
                file: Some(current.mark),
                predecessor: self.predecessor.as_ref().map(|predecessor| predecessor.mark),
            },
            (None, Origin::Resume(position) | Origin::After(position)) => position,
        }
    }

    /// Passes all current lines to `take`, which may break; the line that it got then counts as read.
    pub(crate) fn read(
        &mut self,
        take: &mut dyn FnMut(&Line<'_>) -> ControlFlow<()>,
    ) -> Result<ReadOutcome, FileTailError> {
        self.read_at(Instant::now(), take)
    }

    fn read_at(&mut self, now: Instant, take: Take<'_>) -> Result<ReadOutcome, FileTailError> {
        // The events first: what happens after this causes new events.
        let seen = self.watch.drain(self.predecessor.as_ref().and_then(|predecessor| predecessor.watch));
        if let (Some(predecessor), Some(closed)) = (&mut self.predecessor, seen.closed) {
            predecessor.closed = closed;
        }
        if seen.path || self.home.is_none() || !self.watch.is_complete() {
            self.home = self.watch.resolve(&self.path);
        }
        if self.is_unwatched() {
            self.watch_files();
        }
        let mut outcome = ReadOutcome::default();
        outcome.more = self.steps(now, take, &mut outcome).inspect_err(|_| {
            self.state = FileState::Unreadable;
            self.backlog = false;
        })?;
        self.backlog = outcome.more;
        Ok(outcome)
    }

    fn timeout_at(&self, now: Instant) -> Option<Duration> {
        if self.backlog {
            return Some(Duration::ZERO);
        }
        let polls = self.state == FileState::Unreadable || !self.watch.is_complete() || self.is_unwatched();
        let poll = polls.then_some(POLL);
        let ends = [self.predecessor_ends(), self.deleted_ends()];
        ends.into_iter().flatten().map(|end| end.saturating_duration_since(now)).chain(poll).min()
    }

    /// Whether an open file has no inotify watch.
    fn is_unwatched(&self) -> bool {
        self.current.iter().chain(&self.predecessor).any(|file| file.watch.is_none())
    }

    /// When the predecessor is finished if nothing more happens.
    fn predecessor_ends(&self) -> Option<Instant> {
        let predecessor = self.predecessor.as_ref()?;
        let quiet_since = predecessor.quiet_since;
        match self.current.as_ref().and_then(|current| current.content_since) {
            Some(since) => Some(quiet_since.max(since) + if predecessor.closed { CLOSED } else { QUIET }),
            None => (predecessor.stat().links == 0).then(|| quiet_since + DELETED),
        }
    }

    /// When the current file is finished because it was deleted and not replaced.
    fn deleted_ends(&self) -> Option<Instant> {
        let current = self.current.as_ref()?;
        (self.state == FileState::Missing && current.stat().links == 0).then(|| current.quiet_since + DELETED)
    }
}

impl AsFd for FileTail {
    /// Readable when there may be something to read.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

#[cfg(test)]
mod tests;
