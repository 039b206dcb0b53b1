//! Reading a journal to lines that can be compared with those of journalctl, or with what was sent.

use std::{
    borrow::Cow,
    fmt::Display,
    ops::{ControlFlow, Range},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use npd_agent::{
    source::journal::{Entry, JournalFilter, JournalTail, Start},
    time::Timestamp,
};
use npd_tests::{
    driver::poll::SOON,
    host::journald_namespace::{ExportedEntry, field},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What is compared of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) cursor: String,
    pub(crate) at: i64,
    pub(crate) message: Vec<u8>,
}

impl Line {
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.message)
    }
}

pub(crate) fn from_entry(entry: &Entry<'_>) -> Line {
    Line { cursor: entry.cursor.to_string(), at: entry.at.unix_nanos(), message: entry.message.to_vec() }
}

pub(crate) fn from_export(entries: &[ExportedEntry]) -> Result<Vec<Line>> {
    let line = |entry| {
        let text = |name| field(entry, name).map(String::from_utf8_lossy).with_context(|| format!("no {name}"));
        Ok(Line {
            cursor: text("__CURSOR")?.into_owned(),
            at: text("__REALTIME_TIMESTAMP")?.parse::<i64>()? * 1000,
            message: field(entry, "MESSAGE").unwrap_or_default().to_vec(),
        })
    };
    entries.iter().map(line).collect()
}

pub(crate) fn since_ever() -> Start {
    Start::Since(Timestamp::default())
}

pub(crate) fn identifier(name: &str) -> JournalFilter {
    JournalFilter { identifiers: vec![name.to_owned()], ..JournalFilter::default() }
}

pub(crate) fn open(folder: &Path, filter: &JournalFilter, start: Start) -> Result<JournalTail> {
    Ok(JournalTail::open(Some(folder.to_owned()), filter, start)?)
}

/// All that is there now.
pub(crate) fn read(tail: &mut JournalTail) -> Vec<Line> {
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

/// All that a new reader finds.
pub(crate) fn read_anew(folder: &Path, filter: &JournalFilter, start: Start) -> Result<Vec<Line>> {
    Ok(read(&mut open(folder, filter, start)?))
}

/// Whether the reader was woken up.
pub(crate) fn wait(tail: &JournalTail, at_most: Duration) -> Result<bool> {
    let at_most = Timespec::try_from(at_most.min(tail.timeout().unwrap_or(at_most)))?;
    Ok(poll(&mut [PollFd::new(tail, PollFlags::IN)], Some(&at_most))? == 1)
}

/// Follows until the lines so far are enough; reads only when woken up.
pub(crate) fn follow(tail: &mut JournalTail, lines: &mut Vec<Line>, enough: impl Fn(&[Line]) -> bool) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        lines.extend(read(tail));
        if enough(lines) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "got only {} lines: {:?}", lines.len(), lines.last());
        wait(tail, SOON)?;
    }
}

pub(crate) fn numbers(range: Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Checks that these texts were read; says where they differ, and not all of both.
pub(crate) fn expect_texts(lines: &[Line], expected: &[String], what: impl Display) -> Result<()> {
    let at = lines.iter().zip(expected).take_while(|(line, expected)| line.text() == **expected).count();
    let around = lines.iter().skip(at.saturating_sub(3)).take(6);
    let around: Vec<_> = around.map(|line| (line.text(), &line.cursor)).collect();
    ensure!(
        at == lines.len() && at == expected.len(),
        "{what}: {} lines instead of {}, different from {at} on: {around:#?}",
        lines.len(),
        expected.len()
    );
    Ok(())
}

/// Checks that these entries were read; says where they differ, and not all of both.
pub(crate) fn expect_lines(lines: &[Line], expected: &[Line], what: impl Display) -> Result<()> {
    let at = lines.iter().zip(expected).take_while(|(line, expected)| line == expected).count();
    let cursors = |lines: &[Line]| lines.get(at).map(|line| line.cursor.clone());
    ensure!(
        at == lines.len() && at == expected.len(),
        "{what}: {} lines instead of {}, different from {at} on: {:?} in place of {:?}",
        lines.len(),
        expected.len(),
        cursors(lines),
        cursors(expected)
    );
    Ok(())
}
