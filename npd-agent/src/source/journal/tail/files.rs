//! What following needs of journal files and of the folders they are in.
//!
//! It is all that would have to be written for another reader of journal files, and for a simulation.

use std::{fs::Metadata, os::unix::fs::MetadataExt, path::PathBuf};

use super::{Cursor, entry_fields::EntryFields, file::FileError, origin::Origin};

/// A journal file that is open.
pub(super) trait JournalFile {
    /// The file's own id; it stays when the file is renamed or copied.
    fn id(&self) -> u128;
    /// How far it has been written.
    fn tail(&mut self) -> Tail;
    /// Where to begin; before the first [`Self::refresh`].
    fn begin(&mut self, origin: Origin);
    /// Takes note of what has been written.
    fn refresh(&mut self);
    /// The next entry that passes the filter, unless its number is beyond `bound`.
    fn peek(&mut self, bound: u64) -> Option<Cursor>;
    /// Reads the entry that [`Self::peek`] gave. `false` when it cannot be read.
    fn read(&mut self, fields: &mut EntryFields) -> bool;
    /// Goes behind the entry that [`Self::peek`] gave.
    fn advance(&mut self);
    /// The number of the entry, or of its copy, in this file.
    fn locate(&mut self, entry: &Cursor) -> Option<u64>;
    /// Whether the entry is the file's last and journald gave it up half-way: the file was full, and journald writes
    /// the whole entry again to the next one.
    fn gave_up(&mut self, entry: &Cursor) -> bool;
    /// Something that could not be read and was skipped.
    fn take_fault(&mut self) -> Option<FileError>;
}

/// The folders in which journal files come and go.
pub(super) trait JournalFolders {
    /// An open file.
    type File: JournalFile;
    /// What happened since the last time.
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
    /// Files or folders came, went or changed their names; this is so before the first look.
    #[default]
    Names,
}

/// A file in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) key: FileKey,
    pub(super) path: PathBuf,
    /// Whether it lies in /run.
    pub(super) runtime: bool,
    /// Its size and the time of its last change: whether to try again when it could not be opened.
    pub(super) stamp: (u64, i64),
}

/// Which file it is, whatever its name. A number is given again when a file is gone, so that it tells nothing of a
/// file that is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileKey {
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// How far a file has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) seqnum_id: u128,
    /// The newest entry's number, or that of the one being written.
    pub(super) seqnum: u64,
    /// Nothing will be added.
    pub(super) archived: bool,
}

// === impl FileKey ===

impl FileKey {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}
