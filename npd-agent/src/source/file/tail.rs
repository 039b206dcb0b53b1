//! Following a text log file, line by line, across its rotations: nothing is read twice and nothing is lost.
//!
//! It gives raw lines and the position behind each. It knows nothing of time stamps, rules or encodings, and it is
//! no poller: inotify says when there may be something to do, and [`FileTail::timeout`] the few times it cannot.
//!
//! What is followed is the path. A file that is moved away or deleted stays open, and both it and its successor are
//! read as long as somebody may still write to the old one: until the new one has text and the old one has been
//! quiet for some seconds. Files that were at the path between two looks are found in the folder (`app.log.1` and
//! the like) and read first, oldest first. Order is kept within a file; the last lines of a writer that is late to
//! switch come after the first of the new file. Truncation in place (`copytruncate`) is seen in the size and in the
//! first bytes of the file; what was not read by then is taken from the copy when that can be found.
//!
//! A line is given when its newline is there, also over a restart. What stands behind the last newline of a file is
//! given when the file is done with, and never joined to the next file's first line. NULs before a line are dropped:
//! they are the gap that a truncation leaves to a writer that does not append.
//!
//! What cannot be known, and so is not promised:
//!
//! * What is written between the copy and the truncation of `copytruncate` is lost, as it is to logrotate. A line
//!   that was half written then comes in two.
//! * A file that is truncated and filled again beyond the old size with the same first 256 bytes looks like growth.
//! * Files are told apart over a restart by inode number, time of birth and first bytes. Where the file system knows
//!   no time of birth (ext4 with inodes of 128 bytes), the order of several missed generations is that of their last
//!   writes, a copy made of the log just then may be taken for one of them, and no copy is read after a truncation.
//! * Compressed generations (`.gz`) are not read. What is compressed before it was read is lost, and said so.
//! * Only one file before the current one is followed. What a writer writes two rotations late is lost.
//! * Rotations so close together that the file system's clock (4 ms and the like) does not tell them apart.
//! * Writes through mmap(2) and on the far side of a network file system make no inotify events. They are seen with
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

pub use crate::record::file_position::FilePosition;
pub use lines::Ending;

use self::{
    lines::{CHUNK, LogFile},
    step::Take,
    watch::Watch,
};
use crate::{path_watch::Home, record::file_position::FileMark};

/// Longer lines are cut: their first bytes are given and the rest is dropped.
pub const MAX_LINE: usize = 2 << 20;

/// A line of the log.
#[derive(Debug)]
pub struct Line<'a> {
    /// Its bytes without the newline; a carriage return stays.
    pub text: &'a [u8],
    /// How it ends.
    pub ending: Ending,
    /// Behind the line, in its file.
    mark: &'a FileMark,
    /// Of the other file that is read.
    other: Option<&'a FileMark>,
    /// Whether the line is from the file that is current.
    current: bool,
}

/// Follows one path. Holds an inotify instance, of which a user may have 128 by default, and one or two open files.
#[derive(Debug)]
pub struct FileTail {
    path: PathBuf,
    watch: Watch,
    buffer: Vec<u8>,
    /// Where the path leads, once it leads to a folder.
    home: Option<Home>,
    /// The newest file of which reading has begun.
    current: Option<LogFile>,
    /// The one before it, while it may still be written to. There is none without a current one.
    predecessor: Option<LogFile>,
    /// Where to go on when there is no current file.
    origin: Origin,
    state: FileState,
    /// There is more to read, though nothing will say so.
    backlog: bool,
}

/// Where reading starts when the file is there.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// With this position, of an earlier run.
    Resume(FilePosition),
    /// Behind this position, whose file was read to its end and is gone.
    After(FilePosition),
}

/// Whether the path can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It is followed.
    Following,
    /// Nothing is at the path; the file that was there before may still be followed.
    Missing,
    /// Something is there that cannot be read: the last error of [`FileTail::read`] says why.
    Unreadable,
}

/// What a read came upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOutcome {
    /// There is more to read at once.
    pub more: bool,
    /// So many times a newer file took the place of one.
    pub rotations: u32,
    /// So many times a file was truncated in place.
    pub truncations: u32,
    /// The place to go on was not there any more, or what followed it could not be read: lines may be lost.
    pub lost: bool,
}

/// Why the path cannot be read. It is worth trying again, no sooner than after [`FileTail::timeout`].
#[derive(Debug, thiserror::Error)]
pub enum FileTailError {
    /// It cannot be looked at or opened.
    #[error("cannot open log file {}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is a folder, a FIFO, a device…
    #[error("log file {} is not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// It is open and cannot be read.
    #[error("cannot read log file {}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// How often a path is looked at that cannot be watched.
const POLL: Duration = Duration::from_secs(1);
/// A predecessor that is quiet for so long, while its successor has text, is done with.
const QUIET: Duration = Duration::from_secs(5);
/// The same when the last that was seen of its writers is that one closed it. Others may have it open.
const CLOSED: Duration = Duration::from_secs(1);
/// A deleted file that has no successor with text is done with: its writer may be gone, and it holds disk space.
const DELETED: Duration = Duration::from_mins(1);

// === impl Line ===

impl Line<'_> {
    /// Where to go on behind this line. Costs a copy of some 100 bytes.
    #[must_use]
    pub fn position(&self) -> FilePosition {
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
    /// Only when there is no inotify instance to be had (`fs.inotify.max_user_instances`) or no working directory
    /// that a relative path is relative to. A missing file is waited for.
    pub fn new(path: &Path, from: Option<FilePosition>) -> io::Result<Self> {
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

    /// When a read is due although the descriptor is not readable; `None` when only an event can bring something.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_at(Instant::now())
    }

    /// Whether the path can be followed, as of the last read.
    #[must_use]
    pub fn state(&self) -> FileState {
        self.state
    }

    /// Behind the last line that was given; before the first, the position it was made with. Within the callback of a
    /// read, ask the [`Line`].
    #[must_use]
    pub fn position(&self) -> FilePosition {
        match (&self.current, self.origin) {
            (Some(current), _) => FilePosition {
                file: Some(current.mark),
                predecessor: self.predecessor.as_ref().map(|predecessor| predecessor.mark),
            },
            (None, Origin::Resume(position) | Origin::After(position)) => position,
        }
    }

    /// Gives all the lines there are now to `take`, which may break off; the line it got then counts as read.
    pub fn read(&mut self, take: &mut dyn FnMut(&Line<'_>) -> ControlFlow<()>) -> Result<ReadOutcome, FileTailError> {
        self.read_at(Instant::now(), take)
    }

    fn read_at(&mut self, now: Instant, take: Take<'_>) -> Result<ReadOutcome, FileTailError> {
        // The events first: what happens later than this is told again.
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

    /// When the predecessor is done with if nothing more happens.
    fn predecessor_ends(&self) -> Option<Instant> {
        let predecessor = self.predecessor.as_ref()?;
        let quiet_since = predecessor.quiet_since;
        match self.current.as_ref().and_then(|current| current.content_since) {
            Some(since) => Some(quiet_since.max(since) + if predecessor.closed { CLOSED } else { QUIET }),
            None => (predecessor.stat().links == 0).then(|| quiet_since + DELETED),
        }
    }

    /// When the current file is done with because it is deleted and nothing has come in its place.
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
