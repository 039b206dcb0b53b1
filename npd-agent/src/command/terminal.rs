//! What a verb prints, and the exit codes.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::error::chain;

/// The exit code for an invalid command line.
pub const USAGE: u8 = 2;
/// The exit code for everything else that keeps a program from working.
pub const FATAL: u8 = 255;

/// Prints the results of a verb to standard output.
#[must_use]
pub fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Prints a plugin's message to standard output, where its monitor reads it. If nothing reads it the exit code has to do.
#[must_use]
pub fn print_status(code: u8, message: &str) -> ExitCode {
    drop(writeln!(io::stdout(), "{message}"));
    code.into()
}

/// Prints a diagnostic of a verb to standard error, if that is open.
pub fn print_diagnostic(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// Logs the error that ends the program, with its causes: the only place that does.
#[must_use]
pub fn fail(error: &dyn Error) -> ExitCode {
    tracing::error!("{}", chain(error));
    FATAL.into()
}
