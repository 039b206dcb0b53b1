//! Runs tests, one after the other or a few at once, and says at the end which of them could not run here, and why.
//!
//! A thin layer over `libtest-mimic`: its command line, its output. A test that lacks something returns [`skip`] as
//! its error; it shows as `ignored` with the reason beside it and is counted.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Error, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

pub mod need;

/// A list of tests.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
    skipped: Arc<Mutex<Vec<(String, String)>>>,
}

/// The error of a test that cannot run here.
#[derive(Debug)]
struct Skip(String);

/// The test cannot run here, for this reason.
#[must_use]
pub fn skip(reason: impl Into<String>) -> Error {
    Error::new(Skip(reason.into()))
}

// === impl Suite ===

impl Suite {
    /// Adds a test whose name is its claim.
    pub fn test(&mut self, claim: impl Into<String>, run: impl FnOnce() -> Result<()> + Send + 'static) {
        let claim = claim.into();
        let (name, skipped) = (claim.clone(), Arc::clone(&self.skipped));
        self.trials.push(Trial::ignorable_test(claim, move || match run() {
            Ok(()) => Ok(Completion::Completed),
            Err(error) => match error.downcast_ref::<Skip>() {
                Some(Skip(reason)) => {
                    skipped.lock().unwrap_or_else(PoisonError::into_inner).push((name, reason.clone()));
                    Ok(Completion::ignored_with(reason))
                }
                None => Err(Failed::from(format!("{error:#}"))),
            },
        }));
    }

    /// Runs the tests that the command line asks for, in the order they were added, never two at once.
    #[must_use]
    pub fn run(self) -> ExitCode {
        self.run_on(1)
    }

    /// As [`Suite::run`], with up to so many at once: for tests that mostly wait and have nothing in common.
    #[must_use]
    pub fn run_on(self, threads: usize) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads = Some(arguments.test_threads.unwrap_or(threads).min(threads));
        let conclusion = libtest_mimic::run(&arguments, self.trials);
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = tell(&skipped) {
            return if error.kind() == io::ErrorKind::BrokenPipe { conclusion.exit_code() } else { ExitCode::FAILURE };
        }
        conclusion.exit_code()
    }
}

fn tell(skipped: &[(String, String)]) -> io::Result<()> {
    if skipped.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "skipped, because it cannot be done here: {}", skipped.len())?;
    for (name, reason) in skipped {
        writeln!(out, "    {name}: {reason}")?;
    }
    writeln!(out)
}

// === impl Skip ===

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}
