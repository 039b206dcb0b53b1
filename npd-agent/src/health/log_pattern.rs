//! Too many matching lines in the journal of a service.
//!
//! node-problem-detector counts with `journalctl --unit … --since … | grep -i … | wc -l`. Here the files of the journal are read
//! once for all patterns. A pattern is matched against each line as journalctl prints it after time and host name:
//! `identifier[pid]: message`; a message of several lines is matched line by line.

use std::{ops::ControlFlow, path::PathBuf, time::Instant};

use super::basic_regex::{BasicRegex, BasicRegexError};
use crate::{
    source::journal::{Entry, JournalError, JournalFilter, JournalTail, Start},
    time::Timestamp,
};

/// A pattern, and how many matching lines are too many.
#[derive(Clone, Debug)]
pub struct LogPattern {
    /// The pattern as written.
    pub text: String,
    /// Number of matching lines at which the service is unhealthy; a negative threshold is always reached.
    pub threshold: i64,
    regex: BasicRegex,
}

/// An invalid `--log-pattern`.
#[derive(Debug, thiserror::Error)]
pub enum LogPatternError {
    /// There is no colon.
    #[error("{0:?} must be <count>:<pattern>")]
    Shape(String),
    /// What precedes the colon is not a count.
    #[error("the count of {0:?} must be an integer other than 0")]
    Count(String),
    /// An empty pattern, which every line matches.
    #[error("the pattern of {0:?} is empty")]
    Empty(String),
    /// grep would not accept the pattern either, or it needs backtracking.
    #[error("the pattern of {text:?} is invalid")]
    Pattern {
        /// The whole value.
        text: String,
        /// What is wrong with it.
        source: BasicRegexError,
    },
}

/// Why lines cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// The journal cannot be read.
    #[error("cannot read the journal")]
    Journal(#[from] JournalError),
    /// The journal has no files, or they may not be read.
    #[error("no readable journal in {0:?}")]
    NoJournal(Vec<PathBuf>),
    /// The journal is too large to be read in the available time.
    #[error("the journal could not be read in time")]
    Late,
}

/// Which lines are counted.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The directory of the journal; `None` for the system's.
    pub folder: Option<PathBuf>,
    /// The unit.
    pub service: String,
    /// Earlier lines are not counted.
    pub since: Timestamp,
    /// When to give up.
    pub until: Instant,
}

/// How many lines in `scope` match each of the patterns. Blocks while it reads.
pub fn count(scope: Scope, patterns: &[LogPattern]) -> Result<Vec<i64>, CountError> {
    let filter = JournalFilter { units: vec![scope.service], ..JournalFilter::default() };
    let mut tail = JournalTail::open(scope.folder, &filter, Start::Since(scope.since))?;
    let mut counts = vec![0; patterns.len()];
    let mut line = Vec::new();
    loop {
        let mut is_late = false;
        let outcome = tail.read(&mut |entry| {
            add(&mut counts, patterns, entry, &mut line);
            is_late = Instant::now() > scope.until;
            if is_late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if is_late {
            return Err(CountError::Late);
        }
        if !outcome.more {
            break;
        }
    }
    let state = tail.state();
    if state.files == 0 {
        return Err(CountError::NoJournal([state.following, state.waiting_for].concat()));
    }
    Ok(counts)
}

fn add(counts: &mut [i64], patterns: &[LogPattern], entry: &Entry<'_>, line: &mut Vec<u8>) {
    for (at, text) in entry.message.split(|byte| *byte == b'\n').enumerate() {
        line.clear();
        if at == 0 {
            line.extend_from_slice(entry.identifier.unwrap_or("unknown").as_bytes());
            if let Some(pid) = entry.pid {
                line.extend_from_slice(format!("[{pid}]").as_bytes());
            }
            line.extend_from_slice(b": ");
        }
        line.extend_from_slice(text);
        for (count, pattern) in counts.iter_mut().zip(patterns) {
            *count += i64::from(pattern.regex.is_match(line));
        }
    }
}

// === impl LogPattern ===

impl LogPattern {
    /// Parses `<count>:<pattern>[,<count>:<pattern>…]`: patterns may contain colons, but no commas. If a pattern is given twice, the
    /// last count applies.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, LogPatternError> {
        let mut patterns = Vec::new();
        for item in text.split(',') {
            Self::parse(item)?.add_to(&mut patterns);
        }
        Ok(patterns)
    }

    /// Adds it to the list, or replaces the pattern with the same text.
    pub fn add_to(self, patterns: &mut Vec<Self>) {
        match patterns.iter_mut().find(|known| known.text == self.text) {
            Some(known) => *known = self,
            None => patterns.push(self),
        }
    }

    fn parse(item: &str) -> Result<Self, LogPatternError> {
        let (count, text) = item.split_once(':').ok_or_else(|| LogPatternError::Shape(item.to_owned()))?;
        let threshold = count.parse().ok().filter(|count| *count != 0);
        let threshold = threshold.ok_or_else(|| LogPatternError::Count(item.to_owned()))?;
        if text.is_empty() {
            return Err(LogPatternError::Empty(item.to_owned()));
        }
        let regex =
            BasicRegex::parse(text).map_err(|source| LogPatternError::Pattern { text: item.to_owned(), source })?;
        Ok(Self { text: text.to_owned(), threshold, regex })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parsed(text: &str) -> Vec<(String, i64)> {
        let patterns = LogPattern::parse_list(text).unwrap();
        patterns.into_iter().map(|pattern| (pattern.text, pattern.threshold)).collect()
    }

    #[test]
    fn a_list_is_split_at_commas_and_then_at_the_first_colon() {
        let is = |text: &str, count| (text.to_owned(), count);
        assert_eq!(parsed("10:pattern1,-1:a:b"), [is("pattern1", 10), is("a:b", -1)]);
        assert_eq!(parsed("1:a,2:b,3:a"), [is("a", 3), is("b", 2)]);
    }

    #[test]
    fn errors_say_what_is_wrong_with_a_pattern() {
        for (text, words) in [
            ("", "\"\" must be <count>:<pattern>"),
            ("a", "\"a\" must be <count>:<pattern>"),
            ("0:a", "the count of \"0:a\" must be an integer other than 0"),
            ("x:a", "the count of \"x:a\" must be an integer other than 0"),
            ("1:", "the pattern of \"1:\" is empty"),
            ("1:a,", "\"\" must be <count>:<pattern>"),
            ("1:[", "the pattern of \"1:[\" is invalid"),
        ] {
            assert_eq!(LogPattern::parse_list(text).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn a_missing_journal_is_an_error_and_not_a_count_of_zero() {
        let folder = tempfile::tempdir().unwrap();
        let until = Instant::now() + Duration::from_mins(1);
        let scope = Scope {
            folder: Some(folder.path().to_owned()),
            service: "kubelet".to_owned(),
            since: Timestamp::default(),
            until,
        };
        assert!(matches!(count(scope, &[]), Err(CountError::NoJournal(_))));
    }
}
