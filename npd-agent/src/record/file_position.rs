//! The reading position in a log file, as it is saved across restarts.
//!
//! A file is recognised by its inode number, its time of birth and the hash of its first bytes. The device number
//! is left out on purpose: overlayfs, btrfs and NFS give a new one at each mount. The time of birth distinguishes
//! a reused inode from the old one, if the file system records it (ext4, XFS, btrfs and tmpfs do). The first bytes
//! reveal a file that was truncated and filled again.

use serde::{Deserialize, Serialize};

use crate::fingerprint;

/// The reading position in a log file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilePosition {
    /// The newest file that reading has started in; `None` before the first.
    pub(crate) file: Option<FileMark>,
    /// The file that was at the path before, while it may still be written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) predecessor: Option<FileMark>,
}

/// A place in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileMark {
    /// The inode number.
    pub(crate) inode: u64,
    /// When the file was created, nanoseconds since 1970; 0 if the file system does not record it.
    pub(crate) born: u64,
    /// The time of the last known write to it or to a file before it.
    pub(crate) modified: u64,
    /// The offset after the last complete line.
    pub(crate) offset: u64,
    /// Its first bytes.
    pub(crate) head: Head,
}

/// A fingerprint of the first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) length: u16,
    /// FNV-1a, because it must be the same in every version of the agent.
    pub(crate) hash: u64,
}

/// How many bytes are hashed: for most logs a timestamp and some text.
pub(crate) const HEAD_SIZE: usize = 256;

// === impl FilePosition ===

impl FilePosition {
    /// Whether both are after the same line. Other details may differ: the files may have grown since, and the one
    /// before may be finished.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        let same = |a: Option<FileMark>, b: Option<FileMark>| match (a, b) {
            (Some(a), Some(b)) => (a.inode, a.born, a.offset) == (b.inode, b.born, b.offset),
            (a, b) => a.is_none() && b.is_none(),
        };
        let is_optional = self.predecessor.is_none() || other.predecessor.is_none();
        same(self.file, other.file) && (is_optional || same(self.predecessor, other.predecessor))
    }

    /// A number that is equal for positions that are the same place.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mark = self.file.map(|file| [file.inode, file.born, file.offset]).unwrap_or_default();
        mark.iter().fold(fingerprint::EMPTY, |hash, number| fingerprint::extend(hash, &number.to_le_bytes()))
    }
}

// === impl Head ===

impl Default for Head {
    /// No bytes: every file starts with these.
    fn default() -> Self {
        Self { length: 0, hash: fingerprint::EMPTY }
    }
}

impl Head {
    /// Adds those of `bytes`, which are at `offset` of the file, that continue the first bytes.
    pub(crate) fn extend(&mut self, bytes: &[u8], offset: u64) {
        let known = usize::from(self.length);
        let Some(start) = usize::try_from(offset).ok().and_then(|offset| known.checked_sub(offset)) else { return };
        if known >= HEAD_SIZE || start >= bytes.len() {
            return;
        }
        // NULs at the end are not text yet: a writer that reserves space fills them in later.
        let end = bytes.len().min(start + HEAD_SIZE - known);
        let written = bytes[start..end].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        self.hash = fingerprint::extend(self.hash, &bytes[start..start + written]);
        self.length += written as u16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_in_what_was_read_does_not_spoil_the_head() {
        let mut head = Head::default();
        head.extend(b"abc", 0);
        let before = head;
        head.extend(b"xyz", 10);
        assert_eq!(head, before);
        head.extend(b"\0\0\0", 3);
        assert_eq!(head, before);
    }

    #[test]
    fn a_position_is_small_json_and_comes_back() {
        let (head, max) = (Head { length: 256, hash: u64::MAX }, u64::MAX);
        let mark = FileMark { inode: max, born: max, modified: max, offset: max, head };
        let position = FilePosition { file: Some(mark), predecessor: Some(mark) };
        let json = serde_json::to_string(&position).unwrap();
        assert!(json.len() < 400, "{json}");
        assert_eq!(serde_json::from_str::<FilePosition>(&json).unwrap(), position);
        assert_eq!(serde_json::from_str::<FilePosition>("{}").unwrap(), FilePosition::default());
    }
}
