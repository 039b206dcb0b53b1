//! Running a plugin once.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use npd_tests::driver::binary;
use tempfile::TempDir;

/// A run of health-checker that is being prepared. Nothing of this machine reaches it: no bus, no environment.
pub(crate) struct HealthChecker {
    command: Command,
    folder: TempDir,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

// === impl HealthChecker ===

impl HealthChecker {
    pub(crate) fn new(args: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let mut command = Command::new(binary::health_checker()?);
        command
            .env_clear()
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .arg(format!("--repair-dir={}", folder.path().join("repairs").display()))
            .args(args);
        Ok(Self { command, folder })
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The folder of the run, removed when it is dropped.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn run(&mut self) -> Result<Outcome> {
        run(&mut self.command)
    }
}

/// Runs log-counter.
pub(crate) fn log_counter(args: &[&str]) -> Result<Outcome> {
    run(Command::new(binary::log_counter()?).args(args))
}

fn run(command: &mut Command) -> Result<Outcome> {
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {command:?}"))?;
    Ok(Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).context("not UTF-8")?,
        stderr: String::from_utf8(output.stderr).context("not UTF-8")?,
        took: begun.elapsed(),
    })
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn expect(&self, code: i32, stdout: &str) -> Result<()> {
        ensure!(self.code == Some(code) && self.stdout.trim_end() == stdout, "expected {code} {stdout:?}: {self:?}");
        Ok(())
    }

    /// Nothing on standard output.
    pub(crate) fn expect_healthy(&self) -> Result<()> {
        self.expect(0, "")
    }

    pub(crate) fn expect_unhealthy(&self, component: &str, service: &str, repairs: bool) -> Result<()> {
        self.expect(1, &format!("{component}:{service} was found unhealthy; repair flag : {repairs}"))
    }

    pub(crate) fn expect_unknown(&self, component: &str, why: &str) -> Result<()> {
        let begins = format!("error checking {component} health: ");
        let is_so = self.code == Some(2) && self.stdout.starts_with(&begins) && self.stdout.contains(why);
        ensure!(is_so, "expected 2 {begins:?} with {why:?}: {self:?}");
        Ok(())
    }
}
