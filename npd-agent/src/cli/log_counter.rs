//! The command line of log-counter: node-problem-detector's flags, and flags for logs other than the journal.

use std::ffi::OsString;

use clap::{Parser, ValueEnum};

use crate::process::klog::KlogArgs;

const ABOUT: &str = "Counts the lines of a log that match a pattern.

A plugin for custom plugin monitors, with node-problem-detector's flags. It ends when it has read the log.";

const EXAMPLES: &str = "Examples:
  log-counter --journald-source=systemd --lookback=20m --count=5 --pattern='Started .*' --revert-pattern='Stopping .*'
  log-counter --source=kmsg --lookback=1h --pattern='.*: page allocation failure.*'
  log-counter --source=file --log-path=/var/log/app.log --pattern='.*panic.*' --count=2

Exit status: 0 if fewer than --count lines match; 1 if --count or more match; 2 if the log cannot be read or the command \
line is invalid; 255 if --lookback or --delay is not a duration.";

/// The command line of log-counter.
#[derive(Debug, Parser)]
#[command(
    name = "log-counter",
    about = ABOUT.split('\n').next(),
    long_about = ABOUT,
    after_long_help = EXAMPLES,
    args_override_self = true,
    max_term_width = 110
)]
pub struct LogCounterArgs {
    /// Which log to read.
    #[arg(long, value_enum, default_value_t, value_name = "SOURCE")]
    pub source: LogCounterSource,

    /// Identifier (SYSLOG_IDENTIFIER) of the journal entries to count.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "IDENTIFIER")]
    pub journald_source: String,

    /// Path of the journal directory, the log file or the kernel log device; by default the system's journal or /dev/kmsg.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PATH")]
    pub log_path: OsString,

    /// How far back lines are counted; by default, lines of the past are not counted.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true, value_name = "DURATION")]
    pub lookback: String,

    /// Lines logged earlier than this after boot are not counted.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true, value_name = "DURATION")]
    pub delay: String,

    /// Regular expression in Go's syntax, which must match up to the end of a line; an empty one matches every line.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true, value_name = "PATTERN")]
    pub pattern: String,

    /// A pattern whose matches are subtracted from the count.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true, value_name = "PATTERN")]
    pub revert_pattern: String,

    /// Number of matching lines at which the check fails.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true, value_name = "COUNT")]
    pub count: i64,

    /// Where a line of a file has its timestamp: a regular expression whose last group is the timestamp. Without it,
    /// all lines are counted.
    #[arg(long, requires = "timestamp_format", value_name = "PATTERN")]
    pub timestamp: Option<String>,

    /// Layout of the timestamp in Go's notation, such as "2006-01-02 15:04:05".
    #[arg(long, requires = "timestamp", value_name = "LAYOUT")]
    pub timestamp_format: Option<String>,

    /// Where a line of a file has its message: a regular expression whose last group is the message; by default, the
    /// whole line.
    #[arg(long, value_name = "PATTERN")]
    pub message: Option<String>,

    /// The log of the program itself.
    #[command(flatten)]
    pub klog: KlogArgs,
}

/// A kind of log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogCounterSource {
    /// The journal.
    #[default]
    Journald,
    /// The kernel log.
    Kmsg,
    /// A file.
    File,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        LogCounterArgs::command().debug_assert();
    }
}
