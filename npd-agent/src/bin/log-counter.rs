//! log-counter: a plugin that counts the lines of a log that match a pattern.

use std::process::ExitCode;

use clap::Parser as _;
use npd_agent::{cli::log_counter::LogCounterArgs, command::log_counter::count_lines};

fn main() -> ExitCode {
    count_lines(&LogCounterArgs::parse())
}
