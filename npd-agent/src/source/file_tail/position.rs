//! Where reading stands, as it is kept over a restart.
//!
//! A file is known again by its inode number, its time of birth and the hash of its first bytes. The device number
//! is left out on purpose: overlayfs, btrfs and NFS give a new one at each mount. The time of birth tells a reused
//! inode from the old one where the file system has it (ext4, XFS, btrfs, tmpfs do); the first bytes tell a file
//! that was truncated and filled again.

use std::{fs::File, io, os::unix::fs::FileExt};

use serde::{Deserialize, Serialize};

use super::stat::FileStat;
use crate::fnv;

/// Where reading stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FilePosition {
    /// The newest file of which reading has begun; `None` before the first.
    pub(super) file: Option<FileMark>,
    /// The file that was at the path before, while it may still be written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) predecessor: Option<FileMark>,
}

/// A place in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileMark {
    /// The inode number.
    pub(super) inode: u64,
    /// When the file was made, nanoseconds since 1970; 0 where the file system does not know.
    pub(super) born: u64,
    /// When it, or a file before it, was last seen to be written to.
    pub(super) modified: u64,
    /// Behind the last complete line.
    pub(super) offset: u64,
    /// Its first bytes.
    pub(super) head: Head,
}

/// A fingerprint of the first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    length: u16,
    /// FNV-1a, because it is to be the same in every version of the agent.
    hash: u64,
}

/// So many bytes are hashed: a time stamp and some text of most logs.
const HEAD_SIZE: usize = 256;

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
        mark.iter().fold(fnv::EMPTY, |hash, number| fnv::extend(hash, &number.to_le_bytes()))
    }
}

// === impl FileMark ===

impl FileMark {
    /// The start of a file.
    pub(super) fn start(stat: &FileStat) -> Self {
        Self { inode: stat.inode, born: stat.born, modified: 0, offset: 0, head: Head::default() }
    }

    /// Whether the file of `stat` can be the one of this mark.
    pub(super) fn names(&self, stat: &FileStat) -> bool {
        self.inode == stat.inode && (self.born == stat.born || self.born == 0 || stat.born == 0)
    }
}

// === impl Head ===

impl Default for Head {
    /// No bytes: every file starts like this.
    fn default() -> Self {
        Self { length: 0, hash: fnv::EMPTY }
    }
}

impl Head {
    /// Whether `file` still starts with these bytes.
    pub(super) fn matches(&self, file: &File) -> io::Result<bool> {
        let length = usize::from(self.length).min(HEAD_SIZE);
        let mut bytes = [0; HEAD_SIZE];
        let got = read_at(file, &mut bytes[..length], 0)?;
        Ok(got == length && fnv::extend(fnv::EMPTY, &bytes[..length]) == self.hash)
    }

    /// Takes in what `bytes`, which stand at `offset` of the file, add to the first bytes.
    pub(super) fn extend(&mut self, bytes: &[u8], offset: u64) {
        let known = usize::from(self.length);
        let Some(start) = usize::try_from(offset).ok().and_then(|offset| known.checked_sub(offset)) else { return };
        if known >= HEAD_SIZE || start >= bytes.len() {
            return;
        }
        // NULs at the end are not text yet: a writer that reserves space fills them in later.
        let end = bytes.len().min(start + HEAD_SIZE - known);
        let written = bytes[start..end].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        self.hash = fnv::extend(self.hash, &bytes[start..start + written]);
        self.length += written as u16;
    }
}

/// Reads until `buffer` is full or the file ends.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(size) => filled += size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_head_grows_with_its_file_and_is_the_same_however_it_was_read() {
        let text: Vec<u8> = (0..600_u16).map(|n| (n % 251) as u8 + 1).collect();
        let mut whole = Head::default();
        whole.extend(&text, 0);
        let mut pieces = Head::default();
        for (index, piece) in text.chunks(7).enumerate() {
            // Some bytes of the piece before come again.
            let from = (index * 7).saturating_sub(3);
            pieces.extend(&text[from..index * 7 + piece.len()], from as u64);
        }
        assert_eq!(pieces, whole);
        assert_eq!(usize::from(whole.length), HEAD_SIZE);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&text[..300]).unwrap();
        assert!(whole.matches(&file).unwrap());
        file.write_at(b"!", 255).unwrap();
        assert!(!whole.matches(&file).unwrap());
        file.set_len(100).unwrap();
        assert!(!whole.matches(&file).unwrap());
    }

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

    #[test]
    fn a_head_from_a_broken_state_file_matches_nothing_and_does_not_panic() {
        let mut head = Head { length: u16::MAX, hash: 1 };
        assert!(!head.matches(&tempfile::tempfile().unwrap()).unwrap());
        head.extend(b"abc", 0);
    }
}
