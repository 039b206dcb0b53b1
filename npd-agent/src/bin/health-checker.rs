//! health-checker: a plugin that tells whether a component of the node is healthy, and repairs its service.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use npd_agent::health::{Verdict, args::Args};

const UNHEALTHY: u8 = 1;
const UNKNOWN: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    args.klog.start();
    let check = match args.check() {
        Ok(check) => check,
        Err(error) => return end(UNKNOWN, &error.to_string()),
    };
    match check.run().await {
        Verdict::Healthy => ExitCode::SUCCESS,
        Verdict::Unhealthy(_) => end(UNHEALTHY, &check.unhealthy()),
        Verdict::CannotTell(why) => end(UNKNOWN, &check.cannot_tell(&why)),
    }
}

/// Says why, to whoever has started the plugin; without a reader the exit code says it.
fn end(code: u8, why: &str) -> ExitCode {
    drop(writeln!(std::io::stdout(), "{why}"));
    code.into()
}
