//! log-counter: a plugin that counts the lines of a log.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use npd_agent::{
    command::log_counter::{
        Counter,
        args::{Args, UsageError},
    },
    error::chain,
    time::{BootTimes, Now},
};

const TOO_MANY: u8 = 1;
const UNKNOWN: u8 = 2;
/// What node-problem-detector ends with for a duration that is none; to a plugin monitor it is unknown as well.
const FATAL: u8 = 255;

fn main() -> ExitCode {
    let args = Args::parse();
    args.klog.start();
    let request = match args.check() {
        Ok(request) => request,
        Err(error @ UsageError::Duration { .. }) => {
            tracing::error!("{error}");
            return FATAL.into();
        }
        Err(error) => return end(UNKNOWN, &error.to_string()),
    };
    let since = BootTimes::read().start(request.lookback.nanos(), request.delay.nanos());
    let now = Now::read();
    let mut counter = Counter::new(request.pattern, request.revert, since, now.wall);
    if let Err(error) = request.log.count(now, &mut counter) {
        return end(UNKNOWN, &chain(&error));
    }
    let (found, threshold) = (counter.count(), args.count);
    if found < threshold {
        return ExitCode::SUCCESS;
    }
    end(TOO_MANY, &format!("Found {found} matching logs, which meets the threshold of {threshold}"))
}

/// Says why, to whoever has started the plugin; without a reader the exit code says it.
fn end(code: u8, why: &str) -> ExitCode {
    drop(writeln!(std::io::stdout(), "{why}"));
    code.into()
}
