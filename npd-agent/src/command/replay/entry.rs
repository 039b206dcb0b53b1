//! The forms that a log comes in, and its entries.

use std::io::{self, BufRead, Read as _};

use jiff::civil::DateTime;

use self::exported::Exported;
use crate::{
    problem::Fields,
    source::{
        journal::Filter,
        kernel::kmsg::{self, KmsgRecord},
    },
    time::Timestamp,
};

mod exported;

/// Longer lines are cut.
const MAX_LINE: u64 = 2 << 20;

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `6,339,5140900,-;text`, as /dev/kmsg gives it, dictionary lines included.
    Kmsg,
    /// `[    5.140900] text`, as dmesg prints it, also with `--time-format=iso` and with levels.
    Dmesg,
    /// One record a line, nothing around it; for a `filelog` config, lines as its file has them.
    Plain,
    /// `journalctl -o export`.
    JournalExport,
}

/// One record of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// The line on which it begins, counted from 1.
    pub(crate) line: u64,
    pub(crate) text: &'a [u8],
    /// Its time; where the log counts from the boot, that long after 1970.
    pub(crate) at: Option<Timestamp>,
    /// Whether `at` is a time of day.
    pub(crate) is_absolute: bool,
    /// Nothing was taken off the line.
    pub(crate) is_whole_line: bool,
    pub(crate) fields: Option<&'a Fields>,
    /// What filters of the journal look at.
    exported: Option<&'a Exported>,
}

/// A log, entry by entry.
pub(crate) struct Entries<R> {
    lines: Lines<R>,
    format: Option<Format>,
    /// The current record as it stands in the log, and its text where that had to be put together.
    record: Vec<u8>,
    text: Vec<u8>,
    fields: Fields,
    exported: Exported,
}

/// Lines, with one that can be put back.
struct Lines<R> {
    reader: R,
    count: u64,
    line: Vec<u8>,
    /// `line` is to be given once more.
    again: bool,
}

// === impl Entries ===

impl<R: BufRead> Entries<R> {
    pub(crate) fn new(reader: R, format: Option<Format>) -> io::Result<Self> {
        let mut lines = Lines { reader, count: 0, line: Vec::new(), again: false };
        let format = match format {
            None if lines.next()? => {
                lines.again = true;
                Some(Format::of_line(&lines.line))
            }
            given => given,
        };
        let (fields, exported) = (Fields::default(), Exported::default());
        Ok(Self { lines, format, record: Vec::new(), text: Vec::new(), fields, exported })
    }

    /// How many lines were read.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.count
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Entry<'_>>> {
        match self.format {
            None => Ok(None),
            Some(Format::Kmsg) => self.next_kmsg(),
            Some(Format::JournalExport) => self.next_export(),
            Some(format) => {
                if !self.lines.next()? {
                    return Ok(None);
                }
                let (number, line) = (self.lines.count, &*self.lines.line);
                Ok(Some(match format {
                    Format::Dmesg => dmesg(number, line),
                    _ => Entry { is_whole_line: true, ..Entry::new(number, line) },
                }))
            }
        }
    }

    /// A line, and the dictionary lines behind it. What is no record is a text of its own.
    fn next_kmsg(&mut self) -> io::Result<Option<Entry<'_>>> {
        if !self.lines.next()? {
            return Ok(None);
        }
        let number = self.lines.count;
        self.record.clear();
        self.record.extend_from_slice(&self.lines.line);
        while self.lines.next()? {
            if !self.lines.line.starts_with(b" ") {
                self.lines.again = true;
                break;
            }
            self.record.push(b'\n');
            self.record.extend_from_slice(&self.lines.line);
        }
        let Some(record) = KmsgRecord::parse(&self.record) else {
            return Ok(Some(Entry::new(number, &self.record)));
        };
        self.fields = record.fields();
        self.text.clear();
        self.text.extend_from_slice(&kmsg::one_line(&record.text()));
        let at = Timestamp::from_unix_nanos(record.time.nanos().cast_signed());
        Ok(Some(Entry { at: Some(at), fields: Some(&self.fields), ..Entry::new(number, &self.text) }))
    }

    /// Fields up to an empty line. The first message counts.
    fn next_export(&mut self) -> io::Result<Option<Entry<'_>>> {
        loop {
            self.exported.clear();
            self.text.clear();
            let (mut first, mut at, mut has_message) = (None, None, false);
            while self.lines.next()? && !self.lines.line.is_empty() {
                first.get_or_insert(self.lines.count);
                let pair = self.lines.pair()?;
                let Some((name, value)) = split_at_bytes(pair, b"=") else { continue };
                match name {
                    b"MESSAGE" if !has_message => {
                        self.text.extend_from_slice(value);
                        has_message = true;
                    }
                    b"__REALTIME_TIMESTAMP" => at = micros(value),
                    _ => self.exported.add(name, pair),
                }
            }
            let Some(number) = first else {
                // Several empty lines, or the end.
                if self.lines.is_at_end()? {
                    return Ok(None);
                }
                continue;
            };
            if !has_message {
                continue;
            }
            self.fields = self.exported.fields();
            let (fields, exported) = (Some(&self.fields), Some(&self.exported));
            return Ok(Some(Entry {
                at,
                is_absolute: at.is_some(),
                fields,
                exported,
                ..Entry::new(number, &self.text)
            }));
        }
    }
}

// === impl Lines ===

impl<R: BufRead> Lines<R> {
    /// Reads the next line, without its newline; `false` at the end.
    fn next(&mut self) -> io::Result<bool> {
        if std::mem::take(&mut self.again) {
            return Ok(true);
        }
        self.line.clear();
        if (&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(false);
        }
        self.count += 1;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if self.line.len() as u64 == MAX_LINE {
            self.skip_line()?;
        }
        Ok(true)
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            let end = memchr::memchr(b'\n', buffer);
            let used = end.map_or(buffer.len(), |end| end + 1);
            let at_end = buffer.is_empty();
            self.reader.consume(used);
            if end.is_some() || at_end {
                return Ok(());
            }
        }
    }

    /// The line as `NAME=value`. A value with newlines in it comes as `NAME`, its length in eight bytes, the bytes and
    /// a newline; what is beyond the bound is dropped.
    fn pair(&mut self) -> io::Result<&[u8]> {
        if !self.line.contains(&b'=') {
            let mut length = [0; 8];
            self.reader.read_exact(&mut length)?;
            let length = u64::from_le_bytes(length);
            self.line.push(b'=');
            let start = self.line.len();
            (&mut self.reader).take(length.min(MAX_LINE)).read_to_end(&mut self.line)?;
            io::copy(&mut (&mut self.reader).take(length.saturating_sub(MAX_LINE)), &mut io::sink())?;
            self.count += memchr::memchr_iter(b'\n', &self.line[start..]).count() as u64 + 1;
            self.skip_line()?;
        }
        Ok(&self.line)
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.reader.fill_buf()?.is_empty())
    }
}

// === impl Format ===

impl Format {
    /// What a log looks like by its first line.
    fn of_line(line: &[u8]) -> Self {
        if line.starts_with(b"__CURSOR=") {
            return Self::JournalExport;
        }
        if KmsgRecord::parse(line).is_some() {
            return Self::Kmsg;
        }
        if dmesg(0, line).text.len() < line.len() { Self::Dmesg } else { Self::Plain }
    }
}

// === impl Entry ===

impl<'a> Entry<'a> {
    fn new(line: u64, text: &'a [u8]) -> Self {
        Self { line, text, at: None, is_absolute: false, is_whole_line: false, fields: None, exported: None }
    }

    /// Whether an entry of the journal is one that a monitor asks for.
    pub(crate) fn passes(&self, filter: &Filter) -> bool {
        filter.wants(|pair| self.exported.is_some_and(|exported| exported.has(pair)))
    }
}

/// A line of dmesg without what stands before its text: `<6>` or `kern  :info  : `, the time, the caller.
fn dmesg(number: u64, line: &[u8]) -> Entry<'_> {
    let mut entry = Entry::new(number, line);
    let mut rest = line;
    if let [b'<', digits @ ..] = rest
        && let Some(end) = memchr::memchr(b'>', digits)
        && digits[..end].iter().all(u8::is_ascii_digit)
    {
        rest = &digits[end + 1..];
    }
    if let Some((level, after)) = split_at_bytes(rest, b": ")
        && level.len() <= 20
        && level.contains(&b':')
        && level.iter().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b' ' | b':' | b'0'..=b'9'))
    {
        rest = after;
    }
    if let [b'[', inside @ ..] = rest
        && let Some(end) = memchr::memchr(b']', inside)
    {
        let (time, after) = (inside[..end].trim_ascii(), &inside[end + 1..]);
        if let Some(nanos) = seconds(time) {
            entry.at = Some(Timestamp::from_unix_nanos(nanos));
        } else if !is_ctime(time) {
            return entry;
        }
        entry.text = after.strip_prefix(b" ").unwrap_or(after);
        // With CONFIG_PRINTK_CALLER: `[    5.140900][    T1] text`.
        if let [b'[', inside @ ..] = after
            && let Some(end) = memchr::memchr(b']', inside)
            && matches!(inside[..end].trim_ascii(), [b'T' | b'C', digits @ ..] if digits.iter().all(u8::is_ascii_digit))
        {
            let after = &inside[end + 1..];
            entry.text = after.strip_prefix(b" ").unwrap_or(after);
        }
    } else if let Some((time, after)) = split_at_bytes(rest, b" ")
        && let Some(at) = iso(time)
    {
        (entry.at, entry.is_absolute, entry.text) = (Some(at), true, after);
    }
    entry
}

fn split_at_bytes<'a>(text: &'a [u8], between: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(text, between)?;
    Some((&text[..at], &text[at + between.len()..]))
}

/// journald's time of day.
fn micros(text: &[u8]) -> Option<Timestamp> {
    let micros: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(Timestamp::from_unix_nanos(micros.saturating_mul(1000)))
}

/// `5.140900` in nanoseconds.
fn seconds(text: &[u8]) -> Option<i64> {
    let (whole, fraction) = std::str::from_utf8(text).ok()?.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// `Tue Nov 24 09:00:00 2026`, as dmesg -T has it. It is off by the node's suspends, so it is not taken for a time.
fn is_ctime(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| DateTime::strptime("%a %b %e %H:%M:%S %Y", text).is_ok())
}

/// `2026-11-24T09:00:00,140900+00:00`, as dmesg --time-format=iso has it.
fn iso(text: &[u8]) -> Option<Timestamp> {
    if !text.first()?.is_ascii_digit() || text.len() < 19 {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?.replace(',', ".");
    let at = text.parse::<jiff::Timestamp>().ok()?;
    i64::try_from(at.as_nanosecond()).ok().map(Timestamp::from_unix_nanos)
}
