//! /dev/kmsg: its records and their reader.
//!
//! One read(2) gives one record, `prio,seq,usec,flags[,…];text\n KEY=value\n…`. Control characters, bytes above
//! 0x7e and backslashes come as `\xNN`. A reader that falls behind the kernel's buffer gets EPIPE once and goes on
//! at the oldest record; the jump of the sequence number is the exact loss.

use std::{
    borrow::Cow,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{OFlags, SeekFrom};

use crate::{problem::Fields, record::Priority, time::Monotonic};

/// Larger than any record: the kernel's own limit is 2048 bytes (`PRINTK_MESSAGE_MAX`), 8192 before Linux 6.4.
const BUFFER_SIZE: usize = 8192;

/// One record, as the kernel returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KmsgRecord<'a> {
    /// Severity and facility.
    pub priority: Priority,
    /// The sequence number.
    pub seq: u64,
    /// When it was printed, by the kernel's local clock, which is CLOCK_MONOTONIC but for a small drift.
    pub time: Monotonic,
    /// The text, still escaped.
    escaped: &'a [u8],
    /// The dictionary lines behind the text, still escaped.
    dictionary: &'a [u8],
}

/// An open /dev/kmsg.
#[derive(Debug)]
pub(crate) struct Kmsg {
    file: File,
    buffer: Box<[u8; BUFFER_SIZE]>,
}

/// What a read of /dev/kmsg returned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KmsgRead<'a> {
    /// A record.
    Record(KmsgRecord<'a>),
    /// The kernel overwrote what would have been next; reading goes on at the oldest record.
    Overrun,
    /// Nothing more for now.
    End,
    /// A record that cannot be parsed; it is skipped.
    Malformed,
}

/// Why /dev/kmsg cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KmsgError {
    /// It cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The device.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It opens but cannot be read; without CAP_SYSLOG that is `dmesg_restrict`.
    #[error("cannot read {}", path.display())]
    Read {
        /// The device.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

// === impl KmsgRecord ===

impl<'a> KmsgRecord<'a> {
    /// Decodes one record; `None` if it is not valid.
    #[must_use]
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let semicolon = bytes.iter().position(|b| *b == b';')?;
        let (head, rest) = (&bytes[..semicolon], &bytes[semicolon + 1..]);
        let mut parts = head.split(|b| *b == b',');
        let priority = number(parts.next()?)?;
        let seq = number(parts.next()?)?;
        let micros = number(parts.next()?)?;
        let (escaped, dictionary) = match rest.iter().position(|b| *b == b'\n') {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &rest[..0]),
        };
        Some(Self {
            priority: Priority { level: (priority & 7) as u8, facility: u16::try_from(priority >> 3).ok()? },
            seq,
            time: Monotonic::from_nanos(micros.saturating_mul(1000)),
            escaped,
            dictionary,
        })
    }

    /// The text as it was printed.
    #[must_use]
    pub(crate) fn text(&self) -> Cow<'a, [u8]> {
        unescape(self.escaped)
    }

    /// The dictionary: `SUBSYSTEM=pci`, `DEVICE=+pci:0000:00:01.0` and the like, as `subsystem` and `device`.
    #[must_use]
    pub(crate) fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        for line in self.dictionary.split(|b| *b == b'\n') {
            let Some(line) = line.strip_prefix(b" ") else { continue };
            let Some(equals) = line.iter().position(|b| *b == b'=') else { continue };
            let name = match &line[..equals] {
                b"SUBSYSTEM" => "subsystem",
                b"DEVICE" => "device",
                _ => continue,
            };
            fields.add(name, String::from_utf8_lossy(&unescape(&line[equals + 1..])));
        }
        fields
    }

    /// Whether the kernel may have cut the record to make it fit.
    #[must_use]
    pub(crate) fn may_be_cut(&self) -> bool {
        self.escaped.len() > 960
    }
}

/// The text as rules see it: without white space around it, with its newlines as /dev/kmsg shows them, `\x0a`.
///
/// A rule that is anchored at the start of a line means the start of the kernel's message. Some names that users choose, of processes
/// and in mount options, are printed with their newlines: text after such a newline is not the kernel's.
pub(crate) fn one_line(text: &[u8]) -> Cow<'_, [u8]> {
    let text = text.trim_ascii();
    let Some(first) = memchr::memchr(b'\n', text) else { return Cow::Borrowed(text) };
    let mut line = text[..first].to_vec();
    for byte in &text[first..] {
        match byte {
            b'\n' => line.extend_from_slice(br"\x0a"),
            other => line.push(*other),
        }
    }
    Cow::Owned(line)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then_some(())?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn unescape(escaped: &[u8]) -> Cow<'_, [u8]> {
    if !escaped.contains(&b'\\') {
        return Cow::Borrowed(escaped);
    }
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let [first, tail @ ..] = rest {
        let decoded = match rest {
            [b'\\', b'x', high, low, after @ ..] => {
                hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low, after))
            }
            _ => None,
        };
        let (byte, after) = decoded.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = after;
    }
    Cow::Owned(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

// === impl Kmsg ===

impl Kmsg {
    /// Opens the log at its oldest record and makes sure that it can be read.
    pub(crate) fn open(path: &Path) -> Result<Self, KmsgError> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed())
            .open(path)
            .map_err(|source| KmsgError::Open { path: path.to_owned(), source })?;
        let mut kmsg = Self { file, buffer: Box::new([0; BUFFER_SIZE]) };
        kmsg.read()
            .map(drop)
            .and_then(|()| kmsg.seek_oldest())
            .map_err(|source| KmsgError::Read { path: path.to_owned(), source })?;
        Ok(kmsg)
    }

    /// Reads the next record; never blocks.
    pub(crate) fn read(&mut self) -> io::Result<KmsgRead<'_>> {
        loop {
            return match (&self.file).read(&mut self.buffer[..]) {
                Ok(0) => Ok(KmsgRead::End),
                Ok(size) => Ok(KmsgRecord::parse(&self.buffer[..size]).map_or(KmsgRead::Malformed, KmsgRead::Record)),
                Err(error) => match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
                    Some(rustix::io::Errno::AGAIN) => Ok(KmsgRead::End),
                    Some(rustix::io::Errno::PIPE) => Ok(KmsgRead::Overrun),
                    Some(rustix::io::Errno::INTR) => continue,
                    _ => Err(error),
                },
            };
        }
    }

    /// Moves past the newest record.
    pub(crate) fn seek_end(&self) -> io::Result<()> {
        rustix::fs::seek(&self.file, SeekFrom::End(0))?;
        Ok(())
    }

    /// Moves to the oldest record.
    pub(crate) fn seek_oldest(&self) -> io::Result<()> {
        rustix::fs::seek(&self.file, SeekFrom::Start(0))?;
        Ok(())
    }
}

impl AsFd for Kmsg {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Writes one line of level 7 (debug) into the kernel log.
pub(crate) fn write_debug(path: &Path, text: &str) -> io::Result<()> {
    // One write(2) is one record.
    OpenOptions::new().write(true).open(path)?.write_all(format!("<7>{text}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_driver_record_gives_text_and_dictionary() {
        let record = KmsgRecord::parse(
            b"6,1234,567890,-,caller=T1;pci 0000:00:01.0: BAR 0\\x0ax\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:01.0\n",
        )
        .unwrap();
        assert_eq!(record.priority, Priority { level: 6, facility: 0 });
        assert_eq!(record.seq, 1234);
        assert_eq!(record.time, Monotonic::from_nanos(567_890_000));
        assert_eq!(&*record.text(), b"pci 0000:00:01.0: BAR 0\nx");
        assert_eq!(record.fields().to_string(), "subsystem=pci device=+pci:0000:00:01.0");
    }

    #[test]
    fn a_line_from_user_space_keeps_its_facility() {
        let record = KmsgRecord::parse(b"11,1,2,-;x;y,z\n").unwrap();
        assert_eq!(record.priority, Priority { level: 3, facility: 1 });
        assert_eq!(&*record.text(), b"x;y,z");
    }

    #[test]
    fn an_invalid_record_is_refused() {
        for bytes in
            [&b""[..], b"6,1,2", b"6,1;x", b"a,1,2,-;x", b"6,,2,-;x", b"6,1,-2,-;x", b"6,99999999999999999999,2,-;x"]
        {
            assert_eq!(KmsgRecord::parse(bytes), None, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn text_after_a_newline_is_not_a_line_of_its_own() {
        assert!(matches!(one_line(b"a: b"), Cow::Borrowed(b"a: b")));
        assert_eq!(&*one_line(b" x\nOops [#1][42]: segfault\n\ny\n"), br"x\x0aOops [#1][42]: segfault\x0a\x0ay");
    }

    #[test]
    fn half_an_escape_stays_text() {
        assert_eq!(&*unescape(br"a\x4"), br"a\x4");
        assert_eq!(&*unescape(br"\xzz\x5c\x41"), br"\xzz\A");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(record) = KmsgRecord::parse(&bytes) {
                let _ = (record.text(), record.fields());
            }
        }

        #[test]
        fn escaped_text_comes_back(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut escaped = Vec::new();
            for byte in &text {
                match byte {
                    b' '..127 if *byte != b'\\' => escaped.push(*byte),
                    _ => escaped.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
                }
            }
            prop_assert_eq!(&*unescape(&escaped), &text[..]);
        }
    }
}
