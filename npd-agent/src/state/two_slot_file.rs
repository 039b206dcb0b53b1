//! A file with two slots for one value: the new value is written beside the old one, never over it.
//!
//! A write is one system call into memory that outlives the process, so a process that is killed at any moment leaves
//! either the old value or the new one; the checksum detects a torn write, which leaves the old value. Unlike writing
//! a new file and renaming it, this changes no metadata and makes the file system flush nothing, so it takes
//! microseconds and can be done for each report.
//!
//! Each slot says which checksum it has. Early versions used FNV-1a; their slots are still read, so that an upgraded
//! agent continues where the one before it stopped, and replaced one by one as new values are written.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use crate::fingerprint;

/// The start of the file: what it is, and the version of its layout.
const MAGIC: &[u8; 16] = b"npd state 1\n\0\0\0\0";
/// Where the slots start. The file is sparse: only what is written takes up space on disk.
const SLOTS: [u64; 2] = [4096, 4096 + SLOT_SIZE];
const SLOT_SIZE: u64 = 4 << 20;
/// Generation (8 bytes), length (4), whether the value is confirmed (1), which checksum (1), unused (2), checksum (8),
/// unused (8); integers are little-endian.
const HEADER: usize = 32;
/// Where in a header it says that the value is confirmed. The checksum does not cover it.
const CONFIRMED: u64 = 12;
/// Where in a header it says which checksum follows.
const CHECKSUM_KIND: usize = 13;
const FNV: u8 = 0;
const CRC32: u8 = 1;
/// The largest size of a value in bytes.
pub(crate) const VALUE_MAX: usize = SLOT_SIZE as usize - HEADER;

/// The file.
#[derive(Debug)]
pub(crate) struct TwoSlotFile {
    file: File,
    generation: u64,
    /// The slot whose value must not be overwritten.
    current: usize,
    buffer: Vec<u8>,
}

/// What the file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// The newest confirmed value.
    pub(crate) confirmed: Option<Vec<u8>>,
    /// A newer value that was not confirmed.
    pub(crate) unconfirmed: Option<Vec<u8>>,
}

/// Why the file cannot be read.
#[derive(Debug)]
pub(crate) enum LoadError {
    Io(io::Error),
    Defect(Defect),
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// It is not npd's, or of another version of npd.
    Foreign,
    /// It holds no complete value.
    Damaged,
}

struct Value {
    generation: u64,
    confirmed: bool,
    bytes: Vec<u8>,
}

/// Detects torn writes; `None` for a kind of checksum that is not known.
fn checksum(kind: u8, generation: &[u8], length: &[u8], bytes: &[u8]) -> Option<u64> {
    let parts = [generation, length, bytes];
    match kind {
        FNV => Some(parts.into_iter().fold(fingerprint::EMPTY, fingerprint::extend)),
        CRC32 => {
            let mut hasher = crc32fast::Hasher::new();
            for part in parts {
                hasher.update(part);
            }
            Some(hasher.finalize().into())
        }
        _ => None,
    }
}

// === impl TwoSlotFile ===

impl TwoSlotFile {
    /// Opens the file, or creates it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        Ok(Self { file: options.open(path)?, generation: 0, current: 1, buffer: Vec::new() })
    }

    /// Reads the file. After an error, the next [`Self::write`] makes it good again.
    pub(crate) fn load(&mut self) -> Result<Loaded, LoadError> {
        if self.file.metadata().map_err(LoadError::Io)?.len() == 0 {
            return Ok(Loaded::default());
        }
        let mut magic = [0; MAGIC.len()];
        let is_ours = match self.file.read_exact_at(&mut magic, 0) {
            Ok(()) => magic == *MAGIC,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(LoadError::Io(error)),
        };
        if !is_ours {
            self.file.set_len(0).map_err(LoadError::Io)?;
            return Err(LoadError::Defect(Defect::Foreign));
        }
        let mut values = Vec::new();
        for (slot, start) in SLOTS.into_iter().enumerate() {
            values.extend(self.read_slot(start).map_err(LoadError::Io)?.map(|value| (slot, value)));
        }
        values.sort_by_key(|(_, value)| value.generation);
        let Some((slot, newest)) = values.pop() else { return Err(LoadError::Defect(Defect::Damaged)) };
        self.generation = newest.generation;
        self.current = slot;
        if newest.confirmed {
            return Ok(Loaded { confirmed: Some(newest.bytes), unconfirmed: None });
        }
        // The next write replaces the unconfirmed value, not the one before it.
        self.current = 1 - slot;
        Ok(Loaded { confirmed: values.pop().map(|(_, before)| before.bytes), unconfirmed: Some(newest.bytes) })
    }

    /// Writes a value of at most [`VALUE_MAX`] bytes.
    pub(crate) fn write(&mut self, bytes: &[u8], confirmed: bool) -> io::Result<()> {
        if self.generation == 0 {
            self.file.write_all_at(MAGIC, 0)?;
        }
        let slot = 1 - self.current;
        let generation = (self.generation + 1).to_le_bytes();
        let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?.to_le_bytes();
        let checksum = checksum(CRC32, &generation, &length, bytes).unwrap_or_default().to_le_bytes();
        self.buffer.clear();
        self.buffer.extend_from_slice(&generation);
        self.buffer.extend_from_slice(&length);
        self.buffer.extend_from_slice(&[u8::from(confirmed), CRC32, 0, 0]);
        self.buffer.extend_from_slice(&checksum);
        self.buffer.resize(HEADER, 0);
        self.buffer.extend_from_slice(bytes);
        self.file.write_all_at(&self.buffer, SLOTS[slot])?;
        self.generation += 1;
        self.current = slot;
        Ok(())
    }

    /// Confirms the value written last.
    pub(crate) fn confirm(&mut self) -> io::Result<()> {
        self.file.write_all_at(&[1], SLOTS[self.current] + CONFIRMED)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn read_slot(&self, start: u64) -> io::Result<Option<Value>> {
        let mut header = [0; HEADER];
        match self.file.read_exact_at(&mut header, start) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let [generation @ .., _, _, _, _, _, _, _, _] = header.first_chunk::<16>().copied().unwrap_or_default();
        let length: [u8; 4] = header[8..12].try_into().unwrap_or_default();
        let sum: [u8; 8] = header[16..24].try_into().unwrap_or_default();
        let size = u32::from_le_bytes(length) as usize;
        if size > VALUE_MAX || generation == [0; 8] {
            return Ok(None);
        }
        let mut bytes = vec![0; size];
        match self.file.read_exact_at(&mut bytes, start + HEADER as u64) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let is_whole = checksum(header[CHECKSUM_KIND], &generation, &length, &bytes) == Some(u64::from_le_bytes(sum));
        let confirmed = header[CONFIRMED as usize] == 1;
        Ok(is_whole.then(|| Value { generation: u64::from_le_bytes(generation), confirmed, bytes }))
    }
}

// === impl Defect ===

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "was not written by npd, or by another version of it",
            Self::Damaged => "is damaged",
        })
    }
}
