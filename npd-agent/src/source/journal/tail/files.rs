//! What [`super::follow`] needs from journal files and their folders.
//!
//! Another reader of journal files, or a simulation, has to implement no more than this.

use std::{fs::Metadata, os::unix::fs::MetadataExt, path::PathBuf};

use super::{Cursor, entry_fields::EntryFields, file::FileError, origin::Origin};

/// A journal file that is open.
pub(super) trait JournalFile {
    /// The file's own id; it stays when the file is renamed or copied.
    fn id(&self) -> u128;
    /// How far it has been written.
    fn tail(&mut self) -> Tail;
    /// Sets where to start. To be called before the first [`Self::refresh`].
    fn begin(&mut self, origin: Origin);
    /// Picks up what has been written.
    fn refresh(&mut self);
    /// The next entry that passes the filter, unless its number is above `bound`.
    fn peek(&mut self, bound: u64) -> Option<Cursor>;
    /// Reads the entry that [`Self::peek`] returned. Returns `false` if it cannot be read.
    fn read(&mut self, fields: &mut EntryFields) -> bool;
    /// Moves past the entry that [`Self::peek`] returned.
    fn advance(&mut self);
    /// The number of the entry, or of its copy, in this file.
    fn locate(&mut self, entry: &Cursor) -> Option<u64>;
    /// Whether the entry is the file's last one and journald abandoned it half-way: the file was full, and journald
    /// writes the whole entry again to the next file.
    fn gave_up(&mut self, entry: &Cursor) -> bool;
    /// An error that made the reader skip something.
    fn take_fault(&mut self) -> Option<FileError>;
}

/// The folders in which journal files appear and disappear.
pub(super) trait JournalFolders {
    /// An open file.
    type File: JournalFile;
    /// What happened since the last call.
    fn changes(&mut self) -> Changes;
    /// The files that are there.
    fn list(&mut self) -> Vec<Found>;
    /// Opens one of them.
    fn open(&mut self, found: &Found) -> Result<Self::File, FileError>;
    /// Whether there is no folder at all yet.
    fn is_waiting(&self) -> bool;
}

/// What happened in the folders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Changes {
    /// Nothing.
    None,
    /// Files were written to.
    Content,
    /// Files or folders appeared, disappeared or were renamed; also reported by the first call.
    #[default]
    Names,
}

/// A file in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) key: FileKey,
    pub(super) path: PathBuf,
    /// Whether it is in /run.
    pub(super) runtime: bool,
    /// Its size and the time of its last change. If it could not be opened, it is retried when these change.
    pub(super) stamp: (u64, i64),
}

/// Identifies a file regardless of its name. Inode numbers are reused once a file is gone, so this identifies open
/// files only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileKey {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// How far a file has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) seqnum_id: u128,
    /// The number of the newest entry, which journald may still be writing.
    pub(super) seqnum: u64,
    /// Nothing will be added to it.
    pub(super) archived: bool,
}

// === impl FileKey ===

impl FileKey {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}
