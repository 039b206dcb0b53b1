//! `log-counter`: how many lines of a log match a pattern, as node-problem-detector's log-counter counts them.
//!
//! It counts what the log contains when counting begins, and then ends; node-problem-detector waits for a second of silence. A
//! pattern is matched like a monitor's: up to the end of the newest line, across up to [`BUFFER_LINES`] lines.

mod request;

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
};

use jiff::tz::TimeZone;

pub use self::request::{Request, UsageError};

use super::terminal::{FATAL, print_status};
use crate::{
    cli::log_counter::LogCounterArgs,
    error::chain,
    rules::{Pattern, Rules},
    source::{
        file::line_format::LineFormat,
        journal::{JournalError, JournalFilter, JournalTail, Start},
        kernel::kmsg::{self, Kmsg, KmsgError, KmsgRead},
    },
    time::{BootTimes, Monotonic, Now, Timestamp},
};

const TOO_MANY: u8 = 1;
const UNKNOWN: u8 = 2;

/// Maximum number of lines that a match can span.
pub const BUFFER_LINES: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
/// Maximum length of a line of a file; the rest of a longer line is ignored.
const MAX_LINE: u64 = 1 << 20;

/// A log to count in.
#[derive(Clone, Debug)]
pub enum Log {
    /// The journal's entries of one identifier.
    Journald {
        /// Its directory; `None` for the system's.
        folder: Option<PathBuf>,
        /// SYSLOG_IDENTIFIER.
        identifier: String,
    },
    /// The kernel log, read from this device.
    Kmsg(PathBuf),
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// The format of its lines; lines that do not have it are skipped.
        format: Box<LineFormat>,
    },
}

/// Counts matching lines.
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
    /// The directory of the journal does not exist or is not accessible.
    #[error("cannot access the journal directory {}", .path.display())]
    Folder {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The kernel log cannot be read.
    #[error(transparent)]
    Kmsg(#[from] KmsgError),
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Counts the lines. Prints one line if there are too many of them or if they cannot be counted.
#[must_use]
pub fn count_lines(args: &LogCounterArgs) -> ExitCode {
    args.klog.start_log();
    let request = match Request::new(args) {
        Ok(request) => request,
        // node-problem-detector's exit code; to a plugin monitor it means "unknown" as well.
        Err(error @ UsageError::Duration { .. }) => {
            tracing::error!("{error}");
            return FATAL.into();
        }
        Err(error) => return print_status(UNKNOWN, &error.to_string()),
    };
    let since = BootTimes::read().start(request.lookback.nanos(), request.delay.nanos());
    let now = Now::read();
    let mut counter = Counter::new(request.pattern, request.revert, since, now.wall);
    if let Err(error) = request.log.count(now, &mut counter) {
        return print_status(UNKNOWN, &chain(&error));
    }
    let (found, threshold) = (counter.count(), args.count);
    if found < threshold {
        return ExitCode::SUCCESS;
    }
    print_status(TOO_MANY, &format!("Found {found} matching logs, which meets the threshold of {threshold}"))
}

// === impl Log ===

impl Log {
    /// Passes all lines of the log to the counter.
    pub fn count(&self, now: Now, counter: &mut Counter) -> Result<(), CountError> {
        match self {
            Self::Journald { folder, identifier } => count_journal(folder.as_deref(), identifier, counter),
            Self::Kmsg(path) => count_kmsg(path, now, counter),
            Self::File { path, format } => {
                let failed = |source| CountError::Read { path: path.clone(), source };
                let file = BufReader::new(File::open(path).map_err(failed)?);
                count_file(file, format, now.wall, counter).map_err(failed)
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
        tracing::warn!(folders, "no journal found: the count is 0");
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

/// When a record was printed. The kernel's clock may be ahead of ours (by 1.6 ms after ten hours, as measured), but a record that
/// exists is not from the future.
fn printed_at(time: Monotonic, now: Now) -> Timestamp {
    now.wall_of(time).min(now.wall)
}

fn count_file(mut log: impl io::BufRead, format: &LineFormat, now: Timestamp, counter: &mut Counter) -> io::Result<()> {
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
            // The timestamps of a file's lines need not be in order.
            Ok((at, message)) => drop(counter.line(&message, at)),
            Err(error) => tracing::debug!(error = chain(&error), "skipped a line that does not have the given format"),
        }
    }
}

// === impl Counter ===

impl Counter {
    /// Counts the lines that match `pattern`, minus those that match `revert`, from `since` to `until`.
    #[must_use]
    pub fn new(pattern: Pattern, revert: Option<Pattern>, since: Timestamp, until: Timestamp) -> Self {
        let patterns = std::iter::once(pattern).chain(revert).collect();
        Self { rules: Rules::new(patterns, BUFFER_LINES), since, until, count: 0 }
    }

    /// Counts the next line, or breaks if it was logged after the end.
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

    /// The count; negative if more was subtracted than counted.
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
    fn matches_are_counted_from_the_start_to_the_end() {
        assert_eq!(count(counter("Started .*", None, 0, 9), LINES), 4);
        assert_eq!(count(counter("Started .*", None, 3, 9), LINES), 3);
        assert_eq!(count(counter("Started .*", None, 3, 5), LINES), 2, "a newer line ends it");
    }

    #[test]
    fn matches_of_the_revert_pattern_are_subtracted_even_below_zero() {
        assert_eq!(count(counter("Started .*", Some("Stopping .*"), 0, 9), LINES), 3);
        assert_eq!(count(counter("none", Some("Started .*"), 0, 9), LINES), -4);
        assert_eq!(count(counter(".*", Some("Started .*"), 0, 9), LINES), 2, "both can apply");
    }

    #[test]
    fn a_record_from_a_clock_that_is_ahead_counts() {
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
    fn a_match_can_span_lines() {
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
            count_file(text.as_bytes(), &format, now, &mut counter).unwrap();
            assert_eq!(counter.count(), expected, "{pattern}");
        }
    }
}
