//! What log-counter is to count, from its command line.

use std::path::PathBuf;

use super::Log;
use crate::{
    cli::log_counter::{LogCounterArgs, LogCounterSource},
    feature::{Feature, NotBuilt},
    go::{
        duration::{DurationError, GoDuration, parse_duration},
        time_layout::Layout,
    },
    rules::{Extractor, Pattern, PatternError},
    source::file::line_format::LineFormat,
};

/// What to count: the checked command line.
#[derive(Debug)]
pub struct Request {
    /// The log to read.
    pub log: Log,
    /// The lines that are counted.
    pub pattern: Pattern,
    /// The lines that are subtracted.
    pub revert: Option<Pattern>,
    /// How far back lines are counted.
    pub lookback: GoDuration,
    /// How long after boot counting begins.
    pub delay: GoDuration,
}

/// An invalid command line.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// An invalid duration. node-problem-detector has a separate exit code for it.
    #[error("failed to parse --{flag} {text:?}: {source}")]
    Duration {
        /// The flag.
        flag: &'static str,
        /// Its value.
        text: String,
        /// What is wrong with it.
        source: DurationError,
    },
    /// An invalid pattern.
    #[error("--{flag}: invalid pattern {text:?}: {}", crate::error::chain(.source))]
    Pattern {
        /// The flag.
        flag: &'static str,
        /// Its value.
        text: String,
        /// What is wrong with it.
        source: PatternError,
    },
    /// A source that this build cannot read.
    #[error("--source=journald: {0}; this build can read --source=kmsg and --source=file")]
    NotBuilt(#[from] NotBuilt),
    /// No identifier for the journal.
    #[error("--journald-source is empty: it must name the identifier (SYSLOG_IDENTIFIER) of the entries to count")]
    NoIdentifier,
    /// No path for a file.
    #[error("--log-path is empty: it must name the file to read")]
    NoFile,
    /// A layout without any element of a time.
    #[error(
        "--timestamp-format: {0:?} has no element of a time: it must be in Go's notation, such as \"2006-01-02 15:04:05\""
    )]
    Layout(String),
}

// === impl Request ===

impl Request {
    /// Checks the command line.
    pub fn new(args: &LogCounterArgs) -> Result<Self, UsageError> {
        let pattern = |flag, text: &str| {
            Pattern::parse(text).map_err(|source| UsageError::Pattern { flag, text: text.to_owned(), source })
        };
        let counted = pattern("pattern", &args.pattern)?;
        let revert = match args.revert_pattern.as_str() {
            "" => None,
            text => Some(pattern("revert-pattern", text)?),
        };
        Ok(Self {
            log: log(args)?,
            pattern: counted,
            revert,
            lookback: duration("lookback", &args.lookback)?,
            delay: duration("delay", &args.delay)?,
        })
    }
}

fn log(args: &LogCounterArgs) -> Result<Log, UsageError> {
    let path = Some(&args.log_path).filter(|path| !path.is_empty()).map(PathBuf::from);
    match args.source {
        LogCounterSource::Journald if !Feature::Journald.is_built() => Err(NotBuilt(Feature::Journald).into()),
        LogCounterSource::Journald if args.journald_source.is_empty() => Err(UsageError::NoIdentifier),
        LogCounterSource::Journald => Ok(Log::Journald { folder: path, identifier: args.journald_source.clone() }),
        LogCounterSource::Kmsg => Ok(Log::Kmsg(path.unwrap_or_else(|| "/dev/kmsg".into()))),
        LogCounterSource::File => {
            let path = path.ok_or(UsageError::NoFile)?;
            Ok(Log::File { path, format: Box::new(line_format(args)?) })
        }
    }
}

fn line_format(args: &LogCounterArgs) -> Result<LineFormat, UsageError> {
    let extractor = |flag, text: &Option<String>| {
        let parsed = text.as_ref().map(|text| {
            Extractor::new(text).map_err(|source| UsageError::Pattern { flag, text: text.clone(), source })
        });
        parsed.transpose()
    };
    let timestamp = extractor("timestamp", &args.timestamp)?;
    let layout = args.timestamp_format.as_deref().map(Layout::new);
    if let Some(layout) = layout.as_ref().filter(|layout| !layout.has_fields()) {
        return Err(UsageError::Layout(layout.source().to_owned()));
    }
    let message = extractor("message", &args.message)?;
    Ok(LineFormat { timestamp: timestamp.zip(layout), message, skip: Vec::new() })
}

/// Zero if empty.
fn duration(flag: &'static str, text: &str) -> Result<GoDuration, UsageError> {
    if text.is_empty() {
        return Ok(GoDuration::ZERO);
    }
    parse_duration(text).map_err(|source| UsageError::Duration { flag, text: text.to_owned(), source })
}

#[cfg(test)]
#[cfg(feature = "journald")]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn check(args: &[&str]) -> Result<Request, UsageError> {
        Request::new(&LogCounterArgs::try_parse_from([&["log-counter"], args].concat()).unwrap())
    }

    #[test]
    fn the_defaults_are_node_problem_detectors() {
        let request = check(&["--journald-source=kernel"]).unwrap();
        assert!(
            matches!(&request.log, Log::Journald { folder: None, identifier } if identifier == "kernel"),
            "{request:?}"
        );
        assert_eq!((request.lookback, request.delay), (GoDuration::ZERO, GoDuration::ZERO));
        assert_eq!((request.pattern.source(), request.revert.is_some()), ("", false));
        assert_eq!(LogCounterArgs::try_parse_from(["log-counter"]).unwrap().count, 1);
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
    fn errors_say_what_is_wrong() {
        for (args, words) in [
            (
                &["--pattern=x"][..],
                "--journald-source is empty: it must name the identifier (SYSLOG_IDENTIFIER) of the entries to count",
            ),
            (&["--source=file"], "--log-path is empty: it must name the file to read"),
            (
                &["--journald-source=a", "--lookback=5"],
                "failed to parse --lookback \"5\": time: missing unit in duration \"5\"",
            ),
            (
                &["--source=file", "--log-path=/x", "--timestamp=.", "--timestamp-format=x"],
                "--timestamp-format: \"x\" has no element of a time: it must be in Go's notation, such as \"2006-01-02 15:04:05\"",
            ),
        ] {
            assert_eq!(check(args).unwrap_err().to_string(), words);
        }
        let error = check(&["--journald-source=a", "--pattern=a(b"]).unwrap_err().to_string();
        assert!(error.starts_with("--pattern: invalid pattern \"a(b\": "), "{error}");
    }
}
