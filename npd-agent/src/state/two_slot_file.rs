//! A file with two places for one value: the new one is written beside the old one, never over it.
//!
//! A write is one system call into memory that outlives the process, so a process that is killed at any moment leaves
//! either the old value or the new one; a torn write is known by its checksum and leaves the old one. Unlike the usual
//! writing of a new file and renaming it, this moves no metadata and makes the file system flush nothing, so that it
//! costs microseconds and can be done for each report.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use crate::fingerprint;

/// The start of the file: what it is, and the version of its form.
const MAGIC: &[u8; 16] = b"npd state 1\n\0\0\0\0";
/// Where the places start. The file has holes; only what is written takes room.
const PLACES: [u64; 2] = [4096, 4096 + PLACE];
const PLACE: u64 = 4 << 20;
const HEADER: usize = 32;
/// Where in a header it says that the value is confirmed. The checksum does not cover it.
const CONFIRMED: u64 = 12;
/// The most bytes a value can have.
pub(crate) const ROOM: usize = PLACE as usize - HEADER;

/// The file.
#[derive(Debug)]
pub(crate) struct Slots {
    file: File,
    generation: u64,
    /// The place of the value that must not be overwritten.
    current: usize,
    buffer: Vec<u8>,
}

/// What the file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The newest confirmed value.
    pub(crate) confirmed: Option<Vec<u8>>,
    /// A newer one that was not confirmed.
    pub(crate) unconfirmed: Option<Vec<u8>>,
}

/// Why the file cannot be read.
#[derive(Debug)]
pub(crate) enum LoadError {
    Io(io::Error),
    Torn(Torn),
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Torn {
    /// It is none of ours, or of another version of npd.
    Foreign,
    /// It holds no whole value.
    Damaged,
}

struct Value {
    generation: u64,
    confirmed: bool,
    bytes: Vec<u8>,
}

/// By what a torn write is known.
fn checksum(generation: &[u8], length: &[u8], bytes: &[u8]) -> u64 {
    [generation, length, bytes].into_iter().fold(fingerprint::EMPTY, fingerprint::extend)
}

// === impl Slots ===

impl Slots {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        Ok(Self { file: options.open(path)?, generation: 0, current: 1, buffer: Vec::new() })
    }

    /// Reads the file. After an error it is written anew by the next [`Self::write`].
    pub(crate) fn load(&mut self) -> Result<Found, LoadError> {
        if self.file.metadata().map_err(LoadError::Io)?.len() == 0 {
            return Ok(Found::default());
        }
        let mut magic = [0; MAGIC.len()];
        let is_ours = match self.file.read_exact_at(&mut magic, 0) {
            Ok(()) => magic == *MAGIC,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(LoadError::Io(error)),
        };
        if !is_ours {
            self.file.set_len(0).map_err(LoadError::Io)?;
            return Err(LoadError::Torn(Torn::Foreign));
        }
        let mut values = Vec::new();
        for (place, start) in PLACES.into_iter().enumerate() {
            values.extend(self.read_place(start).map_err(LoadError::Io)?.map(|value| (place, value)));
        }
        values.sort_by_key(|(_, value)| value.generation);
        let Some((place, newest)) = values.pop() else { return Err(LoadError::Torn(Torn::Damaged)) };
        self.generation = newest.generation;
        self.current = place;
        if newest.confirmed {
            return Ok(Found { confirmed: Some(newest.bytes), unconfirmed: None });
        }
        // The next write goes over the unconfirmed one, not over what was before it.
        self.current = 1 - place;
        Ok(Found { confirmed: values.pop().map(|(_, before)| before.bytes), unconfirmed: Some(newest.bytes) })
    }

    /// Writes a value of at most [`ROOM`] bytes.
    pub(crate) fn write(&mut self, bytes: &[u8], confirmed: bool) -> io::Result<()> {
        if self.generation == 0 {
            self.file.write_all_at(MAGIC, 0)?;
        }
        let place = 1 - self.current;
        let generation = (self.generation + 1).to_le_bytes();
        let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?.to_le_bytes();
        let checksum = checksum(&generation, &length, bytes).to_le_bytes();
        self.buffer.clear();
        self.buffer.extend_from_slice(&generation);
        self.buffer.extend_from_slice(&length);
        self.buffer.extend_from_slice(&[u8::from(confirmed), 0, 0, 0]);
        self.buffer.extend_from_slice(&checksum);
        self.buffer.resize(HEADER, 0);
        self.buffer.extend_from_slice(bytes);
        self.file.write_all_at(&self.buffer, PLACES[place])?;
        self.generation += 1;
        self.current = place;
        Ok(())
    }

    /// Confirms the value written last.
    pub(crate) fn confirm(&mut self) -> io::Result<()> {
        self.file.write_all_at(&[1], PLACES[self.current] + CONFIRMED)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn read_place(&self, start: u64) -> io::Result<Option<Value>> {
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
        if size > ROOM || generation == [0; 8] {
            return Ok(None);
        }
        let mut bytes = vec![0; size];
        match self.file.read_exact_at(&mut bytes, start + HEADER as u64) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let whole = checksum(&generation, &length, &bytes) == u64::from_le_bytes(sum);
        let confirmed = header[CONFIRMED as usize] == 1;
        Ok(whole.then(|| Value { generation: u64::from_le_bytes(generation), confirmed, bytes }))
    }
}

// === impl Torn ===

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "is none of npd's, or of another version",
            Self::Damaged => "is damaged",
        })
    }
}
