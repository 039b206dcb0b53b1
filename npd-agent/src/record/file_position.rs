//! Where reading stands, as it is kept over a restart.
//!
//! A file is known again by its inode number, its time of birth and the hash of its first bytes. The device number
//! is left out on purpose: overlayfs, btrfs and NFS give a new one at each mount. The time of birth tells a reused
//! inode from the old one where the file system has it (ext4, XFS, btrfs, tmpfs do); the first bytes tell a file
//! that was truncated and filled again.

use serde::{Deserialize, Serialize};

use crate::fingerprint;

/// Where reading stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilePosition {
    /// The newest file of which reading has begun; `None` before the first.
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
    /// When the file was made, nanoseconds since 1970; 0 where the file system does not know.
    pub(crate) born: u64,
    /// When it, or a file before it, was last seen to be written to.
    pub(crate) modified: u64,
    /// Behind the last complete line.
    pub(crate) offset: u64,
    /// Its first bytes.
    pub(crate) head: Head,
}

/// A fingerprint of the first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) length: u16,
    /// FNV-1a, because it is to be the same in every version of the agent.
    pub(crate) hash: u64,
}

/// So many bytes are hashed: a time stamp and some text of most logs.
pub(crate) const HEAD_SIZE: usize = 256;

// === impl FilePosition ===

impl FilePosition {
    /// Whether both are behind the same line. What else is known of the files may be known of one of them only: they
    /// have grown since, and the one before may be done with.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        let same = |a: Option<FileMark>, b: Option<FileMark>| match (a, b) {
            (Some(a), Some(b)) => (a.inode, a.born, a.offset) == (b.inode, b.born, b.offset),
            (a, b) => a.is_none() && b.is_none(),
        };
        let is_optional = self.predecessor.is_none() || other.predecessor.is_none();
        same(self.file, other.file) && (is_optional || same(self.predecessor, other.predecessor))
    }

    /// Of positions that are the same place this is the same number.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mark = self.file.map(|file| [file.inode, file.born, file.offset]).unwrap_or_default();
        mark.iter().fold(fingerprint::EMPTY, |hash, number| fingerprint::extend(hash, &number.to_le_bytes()))
    }
}

// === impl Head ===

impl Default for Head {
    /// No bytes: every file starts like this.
    fn default() -> Self {
        Self { length: 0, hash: fingerprint::EMPTY }
    }
}

impl Head {
    /// Takes in what `bytes`, which stand at `offset` of the file, add to the first bytes.
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
