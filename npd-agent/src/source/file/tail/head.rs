//! Comparing a saved position with the files that exist now.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use super::stat::FileStat;
use crate::{
    fingerprint,
    record::file_position::{FileMark, HEAD_SIZE, Head},
};

// === impl FileMark ===

impl FileMark {
    /// The start of a file.
    pub(crate) fn start(stat: &FileStat) -> Self {
        Self { inode: stat.inode, born: stat.born, modified: 0, offset: 0, head: Head::default() }
    }

    /// Whether the file of `stat` can be the file of this mark.
    pub(crate) fn names(&self, stat: &FileStat) -> bool {
        self.inode == stat.inode && (self.born == stat.born || self.born == 0 || stat.born == 0)
    }
}

// === impl Head ===

impl Head {
    /// Whether `file` still starts with these bytes.
    pub(crate) fn matches(&self, file: &File) -> io::Result<bool> {
        let length = usize::from(self.length).min(HEAD_SIZE);
        let mut bytes = [0; HEAD_SIZE];
        let got = read_at(file, &mut bytes[..length], 0)?;
        Ok(got == length && fingerprint::extend(fingerprint::EMPTY, &bytes[..length]) == self.hash)
    }
}

/// Reads until `buffer` is full or the file ends.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
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
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_head_grows_with_its_file_and_is_the_same_however_it_was_read() {
        let text: Vec<u8> = (0..600_u16).map(|n| (n % 251) as u8 + 1).collect();
        let mut whole = Head::default();
        whole.extend(&text, 0);
        let mut pieces = Head::default();
        for (index, piece) in text.chunks(7).enumerate() {
            // Some bytes of the previous piece are passed again.
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
    fn a_head_from_a_broken_state_file_matches_nothing_and_does_not_panic() {
        let mut head = Head { length: u16::MAX, hash: 1 };
        assert!(!head.matches(&tempfile::tempfile().unwrap()).unwrap());
        head.extend(b"abc", 0);
    }
}
