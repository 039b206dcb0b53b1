//! The objects of a journal file, as systemd's JOURNAL_FILE_FORMAT lays them out: little-endian, each aligned to 8
//! bytes, with a type and a size in front.
//!
//! Everything is read with pread(2). A memory map would end the process with SIGBUS when a file is truncated under
//! it, and its pages would count as ours. Nothing in a file is trusted before it is checked.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
};

use super::{FileError, compression::Compression, hash};
use crate::record::cursor::Cursor;

/// The part of the header that every version has.
const HEADER_SIZE: usize = 184;
/// Maximum number of fields of an entry: more than the 1024 that journald allows.
const MAX_ITEMS: usize = 4096;
/// Size of a usual entry: 32 fields in the older, larger format.
const USUAL_ENTRY: usize = 64 + 32 * 16;

const INCOMPATIBLE_KEYED_HASH: u32 = 4;
const INCOMPATIBLE_COMPACT: u32 = 16;
/// XZ, LZ4, keyed hash, zstd and compact.
const KNOWN_INCOMPATIBLE: u32 = 0x1f;
const STATE_ARCHIVED: u8 = 2;
/// The flags of a field: XZ, LZ4, zstd.
const COMPRESSED: u8 = 7;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data = 1,
    Entry = 3,
    EntryArray = 6,
}

/// The header of a file, as it was when it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    incompatible: u32,
    pub(super) archived: bool,
    pub(super) file_id: [u8; 16],
    pub(super) seqnum_id: u128,
    size: u64,
    hash_table: u64,
    hash_table_size: u64,
    pub(super) entries: u64,
    /// The number of the newest entry, which journald may still be writing.
    pub(super) tail_seqnum: u64,
    /// The first array of the list of all entries.
    pub(super) entry_array: u64,
}

/// One file's objects.
#[derive(Debug)]
pub(super) struct Objects {
    file: File,
    compact: bool,
}

/// An array of entries: a link of a chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryArray {
    pub(super) offset: u64,
    pub(super) capacity: u64,
}

/// Which entries have a field with a certain value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DataEntries {
    /// The first one is stored separately.
    pub(super) first: u64,
    /// The others: the first array.
    pub(super) array: u64,
    pub(super) total: u64,
}

/// A field with its value, or the beginning of it.
#[derive(Debug)]
pub(super) struct Payload<'a> {
    /// What has been read so far.
    pub(super) bytes: &'a [u8],
    /// Where it starts in the file.
    pub(super) offset: u64,
    /// Its length as stored.
    pub(super) size: u64,
    pub(super) compression: Option<Compression>,
}

/// A section of a file.
#[derive(Debug)]
struct Section<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

// === impl Header ===

impl Header {
    /// Reads and validates the header.
    pub(super) fn read(file: &File) -> Result<Self, FileError> {
        let mut bytes = [0; HEADER_SIZE];
        let size = read_some(file, 0, &mut bytes)?;
        if size < HEADER_SIZE || bytes[..8] == [0; 8] {
            return Err(FileError::Incomplete);
        }
        if bytes[..8] != *b"LPKSHHRH" {
            return Err(FileError::Foreign);
        }
        let header = Self {
            incompatible: le32(&bytes, 12),
            archived: bytes[16] == STATE_ARCHIVED,
            file_id: array(&bytes, 24),
            seqnum_id: u128::from_be_bytes(array(&bytes, 72)),
            size: le64(&bytes, 88),
            hash_table: le64(&bytes, 104),
            hash_table_size: le64(&bytes, 112),
            entries: le64(&bytes, 152),
            tail_seqnum: le64(&bytes, 160),
            entry_array: le64(&bytes, 176),
        };
        match header.incompatible & !KNOWN_INCOMPATIBLE {
            0 if header.size < HEADER_SIZE as u64 => Err(FileError::Foreign),
            0 => Ok(header),
            unknown => Err(FileError::Unknown(unknown)),
        }
    }
}

// === impl Objects ===

impl Objects {
    pub(super) fn new(file: File, header: &Header) -> Self {
        Self { file, compact: header.incompatible & INCOMPATIBLE_COMPACT != 0 }
    }

    pub(super) fn header(&self) -> Result<Header, FileError> {
        Header::read(&self.file)
    }

    /// The identity of the entry at `offset`; fills `items` with the offsets of its fields.
    pub(super) fn entry(&self, seqnum_id: u128, offset: u64, items: &mut Vec<u64>) -> Result<Cursor, FileError> {
        let mut start = [0; USUAL_ENTRY];
        let (size, got) = self.object(Kind::Entry, offset, 64, &mut start)?;
        let width = if self.compact { 4 } else { 16 };
        let count = usize::try_from((size - 64) / width).unwrap_or(usize::MAX).min(MAX_ITEMS);
        let wanted = 64 + count * width as usize;
        let mut rest = Vec::new();
        let bytes = if wanted <= got {
            &start[..wanted]
        } else {
            rest.resize(wanted, 0);
            self.read(offset, &mut rest)?;
            &rest[..]
        };
        items.clear();
        items.extend(bytes[64..].chunks_exact(width as usize).map(|item| self.item(item)).filter(|item| *item != 0));
        Ok(cursor(seqnum_id, bytes))
    }

    /// The identity of the entry at `offset`.
    pub(super) fn entry_cursor(&self, seqnum_id: u128, offset: u64) -> Result<Cursor, FileError> {
        let mut bytes = [0; 64];
        self.object(Kind::Entry, offset, 64, &mut bytes)?;
        Ok(cursor(seqnum_id, &bytes))
    }

    /// The array of entries at `offset`.
    pub(super) fn entry_array(&self, offset: u64) -> Result<EntryArray, FileError> {
        let (size, _) = self.object(Kind::EntryArray, offset, 24, &mut [0; 24])?;
        Ok(EntryArray { offset, capacity: (size - 24) / self.item_size() })
    }

    /// The offset of the array after `array`; 0 if there is none yet.
    pub(super) fn next_array(&self, array: EntryArray) -> Result<u64, FileError> {
        let mut bytes = [0; 24];
        self.object(Kind::EntryArray, array.offset, 24, &mut bytes)?;
        let next = le64(&bytes, 16);
        // Newer objects have higher offsets: a pointer to a lower one would be a loop.
        if next != 0 && next <= array.offset {
            return Err(damaged(array.offset, "a chain of arrays that points backwards"));
        }
        Ok(next)
    }

    /// Reads up to `count` items of an array, starting with item `from`.
    pub(super) fn array_items(
        &self,
        array: EntryArray,
        from: u64,
        count: usize,
        items: &mut Vec<u64>,
    ) -> Result<(), FileError> {
        let mut bytes = [0; 64 * 8];
        let width = self.item_size();
        let size = (count * width as usize).min(64 * width as usize);
        let bytes = &mut bytes[..size];
        self.read(array.offset.saturating_add(24).saturating_add(from.saturating_mul(width)), bytes)?;
        items.extend(bytes.chunks_exact(width as usize).map(|item| self.item(item)));
        Ok(())
    }

    /// The offset of the field `term`, if the file has it.
    pub(super) fn find_data(&self, header: &Header, term: &[u8]) -> Result<Option<u64>, FileError> {
        let buckets = header.hash_table_size / 16;
        if header.hash_table == 0 || buckets == 0 {
            return Ok(None);
        }
        let hash = if header.incompatible & INCOMPATIBLE_KEYED_HASH == 0 {
            hash::jenkins(term)
        } else {
            hash::keyed(&header.file_id, term)
        };
        let mut bucket = [0; 8];
        self.read(header.hash_table.saturating_add(hash % buckets * 16), &mut bucket)?;
        let (mut offset, mut buffer) = (u64::from_le_bytes(bucket), [0; 256]);
        while offset != 0 {
            let (size, got) = self.object(Kind::Data, offset, self.payload_start(), &mut buffer)?;
            let start = self.payload_start();
            // The values that filters look for are too short to be compressed.
            let same =
                le64(&buffer, 16) == hash && buffer[1] & COMPRESSED == 0 && size - start as u64 == term.len() as u64;
            if same && self.payload_is(offset, &buffer[start..got], term)? {
                return Ok(Some(offset));
            }
            let next = le64(&buffer, 24);
            if next != 0 && next <= offset {
                return Err(damaged(offset, "a hash chain that points backwards"));
            }
            offset = next;
        }
        Ok(None)
    }

    /// Which entries have the field at `offset`.
    pub(super) fn data_entries(&self, offset: u64) -> Result<DataEntries, FileError> {
        let mut bytes = [0; 64];
        self.object(Kind::Data, offset, 64, &mut bytes)?;
        Ok(DataEntries { first: le64(&bytes, 40), array: le64(&bytes, 48), total: le64(&bytes, 56) })
    }

    /// The field at `offset`, or as much of it as fits into `buffer`.
    pub(super) fn payload<'a>(&self, offset: u64, buffer: &'a mut [u8; 512]) -> Result<Payload<'a>, FileError> {
        let start = self.payload_start();
        let (size, got) = self.object(Kind::Data, offset, start, buffer)?;
        let compression = match buffer[1] & COMPRESSED {
            0 => None,
            2 => Some(Compression::Lz4),
            4 => Some(Compression::Zstd),
            1 => return Err(FileError::Xz),
            _ => return Err(damaged(offset, "several compression flags are set")),
        };
        let end = usize::try_from(size).unwrap_or(usize::MAX).min(got);
        let bytes = &buffer[start..end];
        Ok(Payload { bytes, offset: offset + start as u64, size: size - start as u64, compression })
    }

    /// All of a field as it is stored.
    pub(super) fn stored(&self, payload: &Payload<'_>) -> impl Read {
        BufReader::new(Section { file: &self.file, offset: payload.offset, left: payload.size })
    }

    fn payload_is(&self, offset: u64, read: &[u8], term: &[u8]) -> Result<bool, FileError> {
        if let Some(read) = read.get(..term.len()) {
            return Ok(read == term);
        }
        let mut bytes = vec![0; term.len()];
        self.read(offset + self.payload_start() as u64, &mut bytes)?;
        Ok(bytes == term)
    }

    /// Where the value of a field starts in its object.
    fn payload_start(&self) -> usize {
        if self.compact { 72 } else { 64 }
    }

    fn item_size(&self) -> u64 {
        if self.compact { 4 } else { 8 }
    }

    /// The offset at the start of an item, whatever its format.
    fn item(&self, item: &[u8]) -> u64 {
        if self.compact { le32(item, 0).into() } else { le64(item, 0) }
    }

    /// Reads the start of an object, at least `least` bytes of it. Returns its size and how much was read.
    fn object(&self, kind: Kind, offset: u64, least: usize, buffer: &mut [u8]) -> Result<(u64, usize), FileError> {
        if !offset.is_multiple_of(8) || offset < HEADER_SIZE as u64 {
            return Err(damaged(offset, "no object can be at this offset"));
        }
        let got = read_some(&self.file, offset, buffer)?;
        if got < least {
            return Err(damaged(offset, "the file ends too early"));
        }
        if buffer[0] != kind as u8 {
            return Err(damaged(offset, "an object of an unexpected type"));
        }
        let size = le64(buffer, 8);
        if size < least as u64 {
            return Err(damaged(offset, "an object that is too small"));
        }
        Ok((size, got))
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), FileError> {
        if read_some(&self.file, offset, bytes)? < bytes.len() {
            return Err(damaged(offset, "the file ends too early"));
        }
        Ok(())
    }
}

fn cursor(seqnum_id: u128, entry: &[u8]) -> Cursor {
    Cursor {
        seqnum_id,
        seqnum: le64(entry, 16),
        realtime: le64(entry, 24),
        monotonic: le64(entry, 32),
        boot_id: u128::from_be_bytes(array(entry, 40)),
        xor_hash: le64(entry, 56),
    }
}

fn damaged(offset: u64, what: &'static str) -> FileError {
    FileError::Damaged { offset, what }
}

/// Reads until the buffer is full or the file ends.
fn read_some(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read_at(&mut buffer[got..], offset.saturating_add(got as u64)) {
            Ok(0) => break,
            Ok(size) => got += size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // An offset too large for the system call is beyond the end of the file.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// The bytes at `at`; zeros where there are none.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or([0; N])
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

// === impl Section ===

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let size = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset = self.offset.saturating_add(size as u64);
        self.left -= size as u64;
        Ok(size)
    }
}
