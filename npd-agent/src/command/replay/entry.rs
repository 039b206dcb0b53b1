//! The formats of logs, and their entries.

use std::io::{self, BufRead, Read as _};

use jiff::civil::DateTime;

use self::exported::Exported;
use crate::{
    cli::ReplayFormat,
    problem::Fields,
    source::{
        journal::Filter,
        kernel::kmsg::{self, KmsgRecord},
    },
    time::Timestamp,
};

mod exported;

/// Maximum length of a line; a longer line is cut off.
const MAX_LINE: u64 = 2 << 20;

/// One record of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// The line on which it begins, counted from 1.
    pub(crate) line: u64,
    pub(crate) text: &'a [u8],
    /// Its time. If the log counts from boot, the time since boot is added to 1970.
    pub(crate) at: Option<Timestamp>,
    /// Whether `at` is a time of day.
    pub(crate) is_absolute: bool,
    /// The text is the whole line.
    pub(crate) is_whole_line: bool,
    pub(crate) fields: Option<&'a Fields>,
    /// The fields that journal filters use.
    exported: Option<&'a Exported>,
}

/// A log, entry by entry.
pub(crate) struct Entries<R> {
    lines: Lines<R>,
    format: Option<ReplayFormat>,
    /// The current record as it is in the log, and its text if that had to be assembled.
    record: Vec<u8>,
    text: Vec<u8>,
    fields: Fields,
    exported: Exported,
}

/// A reader of lines that can put one line back.
struct Lines<R> {
    reader: R,
    count: u64,
    line: Vec<u8>,
    /// `line` was put back.
    again: bool,
}

// === impl Entries ===

impl<R: BufRead> Entries<R> {
    pub(crate) fn new(reader: R, format: Option<ReplayFormat>) -> io::Result<Self> {
        let mut lines = Lines { reader, count: 0, line: Vec::new(), again: false };
        let format = match format {
            None if lines.next()? => {
                lines.again = true;
                Some(detect_format(&lines.line))
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
            Some(ReplayFormat::Kmsg) => self.next_kmsg(),
            Some(ReplayFormat::JournalExport) => self.next_export(),
            Some(format) => {
                if !self.lines.next()? {
                    return Ok(None);
                }
                let (number, line) = (self.lines.count, &*self.lines.line);
                Ok(Some(match format {
                    ReplayFormat::Dmesg => dmesg(number, line),
                    _ => Entry { is_whole_line: true, ..Entry::new(number, line) },
                }))
            }
        }
    }

    /// A line and the dictionary lines after it. A line that is not a record is an entry as it is.
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

    /// Fields up to an empty line. If there are several messages, the first one counts.
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
                // Several empty lines, or the end of the log.
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

    /// The line as `NAME=value`. A value that contains newlines is encoded as `NAME`, its length in eight bytes, the bytes and a
    /// newline; what exceeds the maximum length is dropped.
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

// === impl Entry ===

impl<'a> Entry<'a> {
    fn new(line: u64, text: &'a [u8]) -> Self {
        Self { line, text, at: None, is_absolute: false, is_whole_line: false, fields: None, exported: None }
    }

    /// Whether a journal entry passes the filter of a monitor.
    pub(crate) fn passes(&self, filter: &Filter) -> bool {
        filter.wants(|pair| self.exported.is_some_and(|exported| exported.has(pair)))
    }
}

/// The format of a log with this first line.
fn detect_format(line: &[u8]) -> ReplayFormat {
    if line.starts_with(b"__CURSOR=") {
        return ReplayFormat::JournalExport;
    }
    if KmsgRecord::parse(line).is_some() {
        return ReplayFormat::Kmsg;
    }
    if dmesg(0, line).text.len() < line.len() { ReplayFormat::Dmesg } else { ReplayFormat::Plain }
}

/// A line of dmesg without what precedes its text: `<6>` or `kern  :info  : `, the time, the caller.
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

/// A timestamp of journald, in microseconds since 1970.
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

/// `Tue Nov 24 09:00:00 2026`, as printed by dmesg -T. It is off by the time the node was suspended, so it is not used as a time.
fn is_ctime(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| DateTime::strptime("%a %b %e %H:%M:%S %Y", text).is_ok())
}

/// `2026-11-24T09:00:00,140900+00:00`, as printed by dmesg --time-format=iso.
fn iso(text: &[u8]) -> Option<Timestamp> {
    if !text.first()?.is_ascii_digit() || text.len() < 19 {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?.replace(',', ".");
    let at = text.parse::<jiff::Timestamp>().ok()?;
    i64::try_from(at.as_nanosecond()).ok().map(Timestamp::from_unix_nanos)
}
