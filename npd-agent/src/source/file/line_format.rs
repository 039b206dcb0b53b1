//! From a line of a log file to a record: which part of it is the time, and which the message.
//!
//! node-problem-detector's `pluginConfig` of a `filelog` specifies it with two regular expressions in Go's dialect and
//! one of Go's time layouts. The first match counts: its last group, or the whole match if there is no group. A line
//! in which either is not found is not a record. Unlike there, both parts are optional: without `message` the whole
//! line is the message, without `timestamp` a line is dated when it is read.

use std::borrow::Cow;

use crate::{
    go::time_layout::{Layout, LayoutError},
    rules::{Extractor, decode},
    time::Timestamp,
};

/// The format of the lines of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFormat {
    /// Where the time is, and how it is written.
    pub timestamp: Option<(Extractor, Layout)>,
    /// Where the message is.
    pub message: Option<Extractor>,
    /// Lines that contain one of these are skipped.
    pub skip: Vec<Box<[u8]>>,
}

/// Why a line is not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The expression for the time does not match.
    #[error("no timestamp: the line does not match {0:?}")]
    NoTimestamp(Box<str>),
    /// The expression for the message does not match.
    #[error("no message: the line does not match {0:?}")]
    NoMessage(Box<str>),
    /// The text that the expression found is not a time.
    #[error("cannot parse the timestamp")]
    Time(#[source] LayoutError),
}

// === impl LineFormat ===

impl LineFormat {
    /// Whether the line is skipped without being parsed.
    #[must_use]
    pub fn skips(&self, line: &[u8]) -> bool {
        self.skip.iter().any(|word| memchr::memmem::find(line, word).is_some())
    }

    /// When the line was written; `now` if the lines have no time.
    pub fn timestamp(&self, line: &[u8], zone: &jiff::tz::TimeZone, now: Timestamp) -> Result<Timestamp, LineError> {
        let Some((extractor, layout)) = &self.timestamp else { return Ok(now) };
        let line = decode(line);
        let text = extractor.find(&line).ok_or_else(|| LineError::NoTimestamp(extractor.source().into()))?;
        layout.read(text, zone, now).map_err(LineError::Time)
    }

    /// The message of the line. Whenever possible it is a part of the original line, including invalid UTF-8.
    pub fn message<'l>(&self, line: &'l [u8]) -> Result<Cow<'l, [u8]>, LineError> {
        let Some(extractor) = &self.message else { return Ok(Cow::Borrowed(line)) };
        let none = || LineError::NoMessage(extractor.source().into());
        Ok(match decode(line) {
            Cow::Borrowed(line) => Cow::Borrowed(extractor.find(line).ok_or_else(none)?.as_bytes()),
            Cow::Owned(line) => Cow::Owned(extractor.find(&line).ok_or_else(none)?.as_bytes().to_vec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(timestamp: &str, layout: &str, message: &str) -> LineFormat {
        LineFormat {
            timestamp: Some((Extractor::new(timestamp).unwrap(), Layout::new(layout))),
            message: Some(Extractor::new(message).unwrap()),
            skip: Vec::new(),
        }
    }

    fn read(format: &LineFormat, line: &[u8]) -> Result<(String, Vec<u8>), LineError> {
        let at =
            format.timestamp(line, &jiff::tz::TimeZone::UTC, Timestamp::from_unix_nanos(1_764_000_000_000_000_000));
        Ok((at?.to_string(), format.message(line)?.into_owned()))
    }

    #[test]
    fn the_last_group_of_the_first_match_counts() {
        let syslog = format("^.{15}", "Jan _2 15:04:05", r"kernel: \[.*\] (.*)");
        let line = b"Nov  3 07:08:09 node kernel: [    5.678] task docker:7 blocked";
        let expected = ("2025-11-03T07:08:09Z".to_owned(), b"task docker:7 blocked".to_vec());
        assert_eq!(read(&syslog, line), Ok(expected));
        let docker = format(r#"^time="(\S*)""#, "2006-01-02T15:04:05.999999999Z07:00", r#"msg="([^\n]*)""#);
        let line = br#"time="2025-11-03T07:08:09.5+01:00" level=error msg="it failed""#;
        assert_eq!(read(&docker, line), Ok(("2025-11-03T06:08:09.5Z".to_owned(), b"it failed".to_vec())));
    }

    #[test]
    fn a_line_without_time_or_message_says_which() {
        let syslog = format("^.{15}", "Jan _2 15:04:05", "kernel: (.*)");
        assert!(matches!(read(&syslog, b"short"), Err(LineError::NoTimestamp(_))));
        assert!(matches!(read(&syslog, b"no time at all here kernel: x"), Err(LineError::Time(_))));
        assert!(matches!(read(&syslog, b"Nov  3 07:08:09 node sshd: x"), Err(LineError::NoMessage(_))));
    }

    #[test]
    fn without_expressions_the_line_is_the_message_and_now_its_time() {
        let plain = LineFormat { timestamp: None, message: None, skip: vec![(*b" audit:").into()] };
        let now = Timestamp::from_unix_nanos(7);
        assert_eq!(plain.timestamp(b"x", &jiff::tz::TimeZone::UTC, now), Ok(now));
        assert_eq!(plain.message(b"x\xff"), Ok(Cow::Borrowed(&b"x\xff"[..])));
        assert!(plain.skips(b"node audit: yes") && !plain.skips(b"node audited"));
    }

    #[test]
    fn invalid_utf_8_is_read_as_go_reads_it() {
        let format = format("^.", "2", "x(.*)");
        assert_eq!(format.message(b"1x\xff\xfe"), Ok(Cow::Owned("\u{fffd}\u{fffd}".as_bytes().to_vec())));
    }
}
