//! npd-agent: reads the command line, starts the log, and runs the verb that was asked for.

use std::process::ExitCode;

use clap::Parser as _;
use npd_agent::{
    cli::{Args, Command},
    command::{
        check_config::check_config,
        features::features,
        replay::replay,
        run::run,
        terminal::{USAGE, print},
    },
    process::{capabilities, log},
};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(message) => {
            let code = if message.use_stderr() { USAGE } else { 0 };
            return if message.print().is_ok() { code.into() } else { USAGE.into() };
        }
    };
    if args.version {
        return print(&format!("v{}\n", env!("CARGO_PKG_VERSION")));
    }
    log::start(args.log_filter(), args.log_format);
    match &args.command {
        None => {
            raise_capabilities();
            run(&args)
        }
        Some(Command::Features) => {
            raise_capabilities();
            features(&args)
        }
        Some(Command::CheckConfig { files }) => check_config(files),
        Some(Command::Replay(replayed)) => replay(replayed),
    }
}

/// Permitted capabilities suffice. If raising them fails the agent continues; each component reports what it is missing.
fn raise_capabilities() {
    if let Err(error) = capabilities::raise() {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot raise the permitted capabilities; continuing without them");
    }
}
