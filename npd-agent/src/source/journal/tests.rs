//! Against a real journald, and against what journalctl says.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(in crate::source::journal) use self::warnings::Warnings;
use super::*;
use crate::journald_namespace::{self, ExportedEntry, JournaldNamespace, export_folder, field, write_journal};

const DEADLINE: Duration = Duration::from_secs(20);

/// What is compared with journalctl.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    cursor: String,
    at: i64,
    message: Vec<u8>,
}

impl Line {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.message).unwrap()
    }
}

fn from_entry(entry: &Entry<'_>) -> Line {
    Line { cursor: entry.cursor.to_string(), at: entry.at.unix_nanos(), message: entry.message.to_vec() }
}

fn from_export(entries: &[ExportedEntry]) -> Vec<Line> {
    let text = |entry, name| String::from_utf8_lossy(field(entry, name).unwrap()).into_owned();
    entries
        .iter()
        .map(|entry| Line {
            cursor: text(entry, "__CURSOR"),
            at: text(entry, "__REALTIME_TIMESTAMP").parse::<i64>().unwrap() * 1000,
            message: field(entry, "MESSAGE").unwrap_or_default().to_vec(),
        })
        .collect()
}

fn since_ever() -> Start {
    Start::Since(Timestamp::default())
}

fn identifier(name: &str) -> JournalFilter {
    JournalFilter { identifiers: vec![name.to_owned()], ..JournalFilter::default() }
}

fn open(folder: &Path, filter: &JournalFilter, start: Start) -> JournalTail {
    JournalTail::open(Some(folder.to_owned()), filter, start).unwrap()
}

/// All that is there now.
fn read(tail: &mut JournalTail) -> Vec<Line> {
    let mut lines = Vec::new();
    loop {
        let outcome = tail.read(&mut |entry| {
            lines.push(from_entry(entry));
            ControlFlow::Continue(())
        });
        if !outcome.more {
            return lines;
        }
    }
}

fn wait(tail: &JournalTail, at_most: Duration) {
    let at_most = Timespec::try_from(at_most.min(tail.timeout().unwrap_or(at_most))).unwrap();
    poll(&mut [PollFd::new(tail, PollFlags::IN)], Some(&at_most)).unwrap();
}

/// Follows until the lines so far are enough; reads only when woken up.
fn follow(tail: &mut JournalTail, lines: &mut Vec<Line>, enough: impl Fn(&[Line]) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        lines.extend(read(tail));
        if enough(lines) {
            return;
        }
        assert!(Instant::now() < deadline, "got only {} lines: {:?}", lines.len(), lines.last());
        wait(tail, DEADLINE);
    }
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(Line::text).collect()
}

/// Says where they differ, and not all of both.
fn assert_texts(lines: &[Line], expected: &[String], what: impl std::fmt::Display) {
    let texts = texts(lines);
    let at = texts.iter().zip(expected).take_while(|(text, expected)| text == expected).count();
    let around = |texts: &[&str]| format!("{:?}", &texts[at.saturating_sub(3)..texts.len().min(at + 3)]);
    let cursors: Vec<_> = lines.iter().skip(at.saturating_sub(2)).take(4).map(|line| &line.cursor).collect();
    assert!(
        at == texts.len() && at == expected.len(),
        "{what}: {} lines instead of {}, different from {at} on: {}, {cursors:#?}",
        texts.len(),
        expected.len(),
        around(&texts)
    );
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Starts a journald, or says why the test cannot run.
fn journald(settings: &str) -> Option<JournaldNamespace> {
    journald_with(settings, &[])
}

fn journald_with(settings: &str, environment: &[(&str, &str)]) -> Option<JournaldNamespace> {
    if let Some(reason) = journald_namespace::missing() {
        eprintln!("skipped: {reason}");
        return None;
    }
    Some(JournaldNamespace::start_with(settings, environment).unwrap())
}

/// An entry with trusted fields, as journald would have written it.
fn exported(number: u64, boot: &str, fields: &[(&str, &str)]) -> ExportedEntry {
    let realtime = 1_700_000_000_000_000 + number * 1000;
    let mut entry = vec![
        ("__REALTIME_TIMESTAMP".to_owned(), realtime.to_string().into_bytes()),
        ("__MONOTONIC_TIMESTAMP".to_owned(), (number * 1000).to_string().into_bytes()),
        ("_BOOT_ID".to_owned(), boot.as_bytes().to_vec()),
        ("MESSAGE".to_owned(), number.to_string().into_bytes()),
    ];
    entry.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
    entry
}

const BOOT: &str = "0a2e6e5f5a0d4a3fb12f9a33a1b4d8c1";

mod live;
mod warnings;
mod written;
