//! Runs other programs to their end.

use std::{
    env,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Runs a program and gives what it has printed on standard output. It has nothing to read, and finds what is in sbin too, which
/// not every PATH has.
///
/// # Errors
///
/// When it cannot be started or fails; with what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let path = format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default());
    let output = command.env("PATH", path).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {command:?}"))?;
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    ensure!(output.status.success(), "{command:?} ended with {}: {}", output.status, (out + &err).trim());
    Ok(out)
}
