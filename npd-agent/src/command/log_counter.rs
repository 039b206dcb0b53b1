//! How many lines of a log match a pattern: node-problem-detector's log-counter as a library.
//!
//! What is in the log when the counting begins is counted, and then it is done; node-problem-detector waits for a
//! second of silence. A pattern is matched like a monitor's: up to the end of the newest line, over as many as
//! [`BUFFER_LINES`] lines.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;

use crate::{
    rules::{Pattern, Rules},
    source::{
        file::line_format::LineFormat,
        journal::{JournalError, JournalFilter, JournalTail, Start},
        kernel::kmsg::{self, Kmsg, KmsgError, KmsgRead},
    },
    time::{Monotonic, Now, Timestamp},
};

pub mod args;

/// So many lines a match can reach over.
pub const BUFFER_LINES: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
/// What is beyond it in a line of a file is not looked at.
const MAX_LINE: u64 = 1 << 20;

/// A log to count in.
#[derive(Clone, Debug)]
pub enum Log {
    /// The journal's entries of one identifier.
    Journald {
        /// Its folder; nothing for the system's.
        folder: Option<PathBuf>,
        /// SYSLOG_IDENTIFIER.
        identifier: String,
    },
    /// The kernel's log.
    Kmsg(PathBuf),
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// How its lines are read; a line that does not read like that is passed over.
        format: Box<LineFormat>,
    },
}

/// What counts.
#[derive(Debug)]
pub struct Counter {
    rules: Rules,
    since: Timestamp,
    until: Timestamp,
    count: i64,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// The journal's folder is not there.
    #[error("cannot look at the journal's folder {}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// /dev/kmsg.
    #[error(transparent)]
    Kmsg(#[from] KmsgError),
    /// A file.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

// === impl Log ===

impl Log {
    /// Gives all that is there to the counter.
    pub fn count(&self, now: Now, counter: &mut Counter) -> Result<(), CountError> {
        match self {
            Self::Journald { folder, identifier } => count_journal(folder.as_deref(), identifier, counter),
            Self::Kmsg(path) => count_kmsg(path, now, counter),
            Self::File { path, format } => {
                let failed = |source| CountError::Read { path: path.clone(), source };
                let file = BufReader::new(File::open(path).map_err(failed)?);
                count_lines(file, format, now.wall, counter).map_err(failed)
            }
        }
    }
}

fn count_journal(folder: Option<&Path>, identifier: &str, counter: &mut Counter) -> Result<(), CountError> {
    if let Some(path) = folder {
        std::fs::metadata(path).map_err(|source| CountError::Folder { path: path.to_owned(), source })?;
    }
    let filter = JournalFilter { identifiers: vec![identifier.to_owned()], ..JournalFilter::default() };
    let mut tail = JournalTail::open(folder.map(Path::to_owned), &filter, Start::Since(counter.since))?;
    loop {
        let mut is_done = false;
        let outcome = tail.read(&mut |entry| {
            is_done = counter.line(&entry.text(), entry.at).is_break();
            if is_done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if is_done || !outcome.more {
            break;
        }
    }
    let state = tail.state();
    if state.files == 0 {
        let folders = format!("{:?}", [state.following, state.waiting_for].concat());
        tracing::warn!(folders, "there is no journal: nothing is counted");
    }
    Ok(())
}

fn count_kmsg(path: &Path, now: Now, counter: &mut Counter) -> Result<(), CountError> {
    let mut kmsg = Kmsg::open(path)?;
    loop {
        match kmsg.read() {
            Ok(KmsgRead::Record(record)) => {
                if counter.line(&kmsg::one_line(&record.text()), printed_at(record.time, now)).is_break() {
                    return Ok(());
                }
            }
            Ok(KmsgRead::Overrun | KmsgRead::Malformed) => {}
            Ok(KmsgRead::End) => return Ok(()),
            Err(source) => return Err(KmsgError::Read { path: path.to_owned(), source }.into()),
        }
    }
}

/// When a record was printed. The kernel's clock may be ahead of ours (1.6 ms after ten hours was measured), but what is there is not of
/// the future.
fn printed_at(time: Monotonic, now: Now) -> Timestamp {
    now.wall_of(time).min(now.wall)
}

fn count_lines(
    mut log: impl io::BufRead,
    format: &LineFormat,
    now: Timestamp,
    counter: &mut Counter,
) -> io::Result<()> {
    let zone = TimeZone::system();
    let mut line = Vec::new();
    loop {
        line.clear();
        if log.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 == MAX_LINE {
            log.skip_until(b'\n')?;
        }
        let at = format.timestamp(&line, &zone, now);
        match at.and_then(|at| Ok((at, format.message(&line)?))) {
            // Lines of a file need not be in the order of their times.
            Ok((at, message)) => drop(counter.line(&message, at)),
            Err(error) => tracing::debug!(error = crate::error::chain(&error), "line cannot be read"),
        }
    }
}

// === impl Counter ===

impl Counter {
    /// Counts what matches `pattern`, less what matches `revert`, from `since` to `until`.
    #[must_use]
    pub fn new(pattern: Pattern, revert: Option<Pattern>, since: Timestamp, until: Timestamp) -> Self {
        let patterns = std::iter::once(pattern).chain(revert).collect();
        Self { rules: Rules::new(patterns, BUFFER_LINES), since, until, count: 0 }
    }

    /// Takes the next line; breaks off when it is from after the end.
    fn line(&mut self, text: &[u8], at: Timestamp) -> ControlFlow<()> {
        if at > self.until {
            return ControlFlow::Break(());
        }
        if at >= self.since {
            let count = &mut self.count;
            self.rules.push(text, at, &mut |hit| *count += if hit.rule == 0 { 1 } else { -1 });
        }
        ControlFlow::Continue(())
    }

    /// How many; less than none when more was taken back.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn counter(pattern: &str, revert: Option<&str>, since: i64, until: i64) -> Counter {
        let parse = |text| Pattern::parse(text).unwrap();
        let at = |seconds: i64| Timestamp::from_unix_nanos(seconds * SECOND);
        Counter::new(parse(pattern), revert.map(parse), at(since), at(until))
    }

    fn count(mut counter: Counter, lines: &[(&str, i64)]) -> i64 {
        for (text, at) in lines {
            if counter.line(text.as_bytes(), Timestamp::from_unix_nanos(at * SECOND)).is_break() {
                break;
            }
        }
        counter.count()
    }

    const LINES: &[(&str, i64)] =
        &[("Started a", 1), ("Stopping a", 2), ("Started a", 3), ("other", 4), ("Started a", 5), ("Started a", 6)];

    #[test]
    fn what_matches_is_counted_from_the_start_to_the_end() {
        assert_eq!(count(counter("Started .*", None, 0, 9), LINES), 4);
        assert_eq!(count(counter("Started .*", None, 3, 9), LINES), 3);
        assert_eq!(count(counter("Started .*", None, 3, 5), LINES), 2, "a newer line ends it");
    }

    #[test]
    fn what_matches_the_revert_pattern_is_taken_back_below_zero_if_need_be() {
        assert_eq!(count(counter("Started .*", Some("Stopping .*"), 0, 9), LINES), 3);
        assert_eq!(count(counter("none", Some("Started .*"), 0, 9), LINES), -4);
        assert_eq!(count(counter(".*", Some("Started .*"), 0, 9), LINES), 2, "both can apply");
    }

    #[test]
    fn a_record_of_a_clock_that_is_ahead_counts() {
        let now = Now::read();
        let later = |time: std::time::Duration| printed_at(now.mono.after(time), now);
        assert_eq!(later(std::time::Duration::from_millis(2)), now.wall);
        let before = Monotonic::from_nanos(now.mono.nanos() - 5);
        assert_eq!(printed_at(before, now), now.wall_of(before));
    }

    #[test]
    fn an_empty_pattern_matches_every_line() {
        assert_eq!(count(counter("", None, 0, 9), LINES), 6);
    }

    #[test]
    fn each_branch_of_a_pattern_must_end_with_its_line() {
        assert_eq!(count(counter("Started|other", None, 0, 9), LINES), 1);
        assert_eq!(count(counter("(?:Started a|other)", None, 0, 9), LINES), 5);
    }

    #[test]
    fn a_pattern_reaches_over_lines() {
        assert_eq!(count(counter(r"Started a\nStopping a", None, 0, 9), LINES), 1);
    }

    #[test]
    fn a_line_of_a_file_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        let long = "x".repeat(usize::try_from(MAX_LINE).unwrap() + 5);
        let text = format!("{long}\nx\nlast");
        let format = LineFormat { timestamp: None, message: None, skip: Vec::new() };
        for (pattern, expected) in [("x+", 2), ("last", 1), (".*", 3)] {
            let mut counter = counter(pattern, None, 0, 9);
            let now = Timestamp::from_unix_nanos(SECOND);
            count_lines(text.as_bytes(), &format, now, &mut counter).unwrap();
            assert_eq!(counter.count(), expected, "{pattern}");
        }
    }
}
