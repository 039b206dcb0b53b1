//! log-counter's command line: node-problem-detector's flags, and the logs beside the journal.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, ValueEnum};

use super::Log;
use crate::{
    feature::{Feature, NotBuilt},
    go::{
        duration::{DurationError, GoDuration, parse_duration},
        time_layout::Layout,
    },
    process::log::KlogArgs,
    rules::{Extractor, Pattern, PatternError},
    source::file::line_format::LineFormat,
};

const ABOUT: &str = "Counts the lines of a log that match a pattern.

A plugin for custom plugin monitors, with node-problem-detector's flags. It is done when it has read the log.";

const EXAMPLES: &str = "Examples:
  log-counter --journald-source=systemd --lookback=20m --count=5 --pattern='Started .*' --revert-pattern='Stopping .*'
  log-counter --source=kmsg --lookback=1h --pattern='.*: page allocation failure.*'
  log-counter --source=file --log-path=/var/log/app.log --pattern='.*panic.*' --count=2

Exit status: 0 for fewer than --count lines; 1 for that many or more; 2 when the log cannot be read or the command line \
is wrong; 255 for a duration that is none.";

/// The arguments.
#[derive(Debug, Parser)]
#[command(
    name = "log-counter",
    about = ABOUT.split('\n').next(),
    long_about = ABOUT,
    after_long_help = EXAMPLES,
    args_override_self = true,
    max_term_width = 110
)]
pub struct Args {
    /// Which log.
    #[arg(long, value_enum, default_value_t, value_name = "SOURCE")]
    source: Source,

    /// The identifier (SYSLOG_IDENTIFIER) of the journal's entries.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "IDENTIFIER")]
    journald_source: String,

    /// The journal's folder, the log file, or the kernel log's device; by default the system's journal and /dev/kmsg.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PATH")]
    log_path: OsString,

    /// How far back lines count; by default not at all.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true, value_name = "DURATION")]
    lookback: String,

    /// How long after the boot lines begin to count.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true, value_name = "DURATION")]
    delay: String,

    /// A regular expression in Go's syntax that matches up to the end of a line; an empty one matches every line.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true, value_name = "PATTERN")]
    pattern: String,

    /// What is taken back.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true, value_name = "PATTERN")]
    revert_pattern: String,

    /// From so many lines on they are too many.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_name = "COUNT")]
    pub count: i64,

    /// Where in a line of a file its time stands: a regular expression, of which the last group counts. Without it
    /// all lines count.
    #[arg(long, requires = "timestamp_format", value_name = "PATTERN")]
    timestamp: Option<String>,

    /// How the time is written, as Go has it: "2006-01-02 15:04:05".
    #[arg(long, requires = "timestamp", value_name = "LAYOUT")]
    timestamp_format: Option<String>,

    /// Where in a line of a file its message stands; by default it is the whole line.
    #[arg(long, value_name = "PATTERN")]
    message: Option<String>,

    /// The log.
    #[command(flatten)]
    pub klog: KlogArgs,
}

/// Which log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Source {
    /// The journal.
    #[default]
    Journald,
    /// The kernel's log.
    Kmsg,
    /// A file.
    File,
}

/// What is to be counted, checked.
#[derive(Debug)]
pub struct Request {
    /// The log.
    pub log: Log,
    /// What counts.
    pub pattern: Pattern,
    /// What is taken back.
    pub revert: Option<Pattern>,
    /// How far back.
    pub lookback: GoDuration,
    /// How long after the boot.
    pub delay: GoDuration,
}

/// A command line that is wrong as a whole.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A duration. node-problem-detector ends with another exit code here.
    #[error("failed to parse --{flag} {text:?}: {source}")]
    Duration {
        /// The flag.
        flag: &'static str,
        /// Its value.
        text: String,
        /// What is wrong.
        source: DurationError,
    },
    /// A pattern.
    #[error("--{flag}: the pattern {text:?} cannot be used: {}", crate::error::chain(.source))]
    Pattern {
        /// The flag.
        flag: &'static str,
        /// Its value.
        text: String,
        /// What is wrong.
        source: PatternError,
    },
    /// A source that this build cannot read.
    #[error("--source=journald: {0}; --source=kmsg and --source=file are there")]
    NotBuilt(#[from] NotBuilt),
    /// Which entries?
    #[error("--journald-source is empty: it must name the identifier (SYSLOG_IDENTIFIER) of the entries to count")]
    NoIdentifier,
    /// Which file?
    #[error("--log-path is empty: it must name the file to count in")]
    NoFile,
    /// A layout without any part of a time.
    #[error(
        "--timestamp-format: {0:?} names no part of a time: it must be written as Go has it, \"2006-01-02 15:04:05\""
    )]
    Layout(String),
}

// === impl Args ===

impl Args {
    /// What is asked for.
    pub fn check(&self) -> Result<Request, UsageError> {
        let pattern = |flag, text: &str| {
            Pattern::parse(text).map_err(|source| UsageError::Pattern { flag, text: text.to_owned(), source })
        };
        let counted = pattern("pattern", &self.pattern)?;
        let revert = match self.revert_pattern.as_str() {
            "" => None,
            text => Some(pattern("revert-pattern", text)?),
        };
        Ok(Request {
            log: self.log()?,
            pattern: counted,
            revert,
            lookback: duration("lookback", &self.lookback)?,
            delay: duration("delay", &self.delay)?,
        })
    }

    fn log(&self) -> Result<Log, UsageError> {
        let path = Some(&self.log_path).filter(|path| !path.is_empty()).map(PathBuf::from);
        match self.source {
            Source::Journald if !Feature::Journald.is_built() => Err(NotBuilt(Feature::Journald).into()),
            Source::Journald if self.journald_source.is_empty() => Err(UsageError::NoIdentifier),
            Source::Journald => Ok(Log::Journald { folder: path, identifier: self.journald_source.clone() }),
            Source::Kmsg => Ok(Log::Kmsg(path.unwrap_or_else(|| "/dev/kmsg".into()))),
            Source::File => {
                let path = path.ok_or(UsageError::NoFile)?;
                Ok(Log::File { path, format: Box::new(self.format()?) })
            }
        }
    }

    fn format(&self) -> Result<LineFormat, UsageError> {
        let extractor = |flag, text: &Option<String>| {
            let parsed = text.as_ref().map(|text| {
                Extractor::new(text).map_err(|source| UsageError::Pattern { flag, text: text.clone(), source })
            });
            parsed.transpose()
        };
        let timestamp = extractor("timestamp", &self.timestamp)?;
        let layout = self.timestamp_format.as_deref().map(Layout::new);
        if let Some(layout) = layout.as_ref().filter(|layout| !layout.has_fields()) {
            return Err(UsageError::Layout(layout.source().to_owned()));
        }
        let message = extractor("message", &self.message)?;
        Ok(LineFormat { timestamp: timestamp.zip(layout), message, skip: Vec::new() })
    }
}

/// An empty one is none at all.
fn duration(flag: &'static str, text: &str) -> Result<GoDuration, UsageError> {
    if text.is_empty() {
        return Ok(GoDuration::ZERO);
    }
    parse_duration(text).map_err(|source| UsageError::Duration { flag, text: text.to_owned(), source })
}

#[cfg(test)]
#[cfg(feature = "journald")]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn check(args: &[&str]) -> Result<Request, UsageError> {
        Args::try_parse_from([&["log-counter"], args].concat()).unwrap().check()
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_not_given_is_node_problem_detectors_default() {
        let request = check(&["--journald-source=kernel"]).unwrap();
        assert!(
            matches!(&request.log, Log::Journald { folder: None, identifier } if identifier == "kernel"),
            "{request:?}"
        );
        assert_eq!((request.lookback, request.delay), (GoDuration::ZERO, GoDuration::ZERO));
        assert_eq!((request.pattern.source(), request.revert.is_some()), ("", false));
        assert_eq!(Args::try_parse_from(["log-counter"]).unwrap().count, 1);
    }

    #[test]
    fn each_log_has_its_path() {
        let log = |args: &[&str]| check(args).unwrap().log;
        assert!(matches!(log(&["--source=kmsg"]), Log::Kmsg(path) if path.as_os_str() == "/dev/kmsg"));
        assert!(matches!(log(&["--source=kmsg", "--log-path=/x"]), Log::Kmsg(path) if path.as_os_str() == "/x"));
        assert!(matches!(log(&["--source=file", "--log-path=/x"]), Log::File { path, .. } if path.as_os_str() == "/x"));
        let folder = log(&["--journald-source=a", "--log-path=/x"]);
        assert!(matches!(folder, Log::Journald { folder: Some(path), .. } if path.as_os_str() == "/x"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (args, words) in [
            (
                &["--pattern=x"][..],
                "--journald-source is empty: it must name the identifier (SYSLOG_IDENTIFIER) of the entries to count",
            ),
            (&["--source=file"], "--log-path is empty: it must name the file to count in"),
            (
                &["--journald-source=a", "--lookback=5"],
                "failed to parse --lookback \"5\": time: missing unit in duration \"5\"",
            ),
            (
                &["--source=file", "--log-path=/x", "--timestamp=.", "--timestamp-format=x"],
                "--timestamp-format: \"x\" names no part of a time: it must be written as Go has it, \"2006-01-02 15:04:05\"",
            ),
        ] {
            assert_eq!(check(args).unwrap_err().to_string(), words);
        }
        let error = check(&["--journald-source=a", "--pattern=a(b"]).unwrap_err().to_string();
        assert!(error.starts_with("--pattern: the pattern \"a(b\" cannot be used: "), "{error}");
    }
}
