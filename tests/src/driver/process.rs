//! What /proc tells of a process.

use std::{fmt::Display, fs};

use anyhow::{Context, Result};

/// A field of `/proc/PID/status`; `self` is this process.
pub fn status(pid: impl Display, field: &str) -> Result<String> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(value.with_context(|| format!("{path} has no {field}"))?.trim().to_owned())
}

/// One of its sets of capabilities, such as `CapEff`: a bit for each number of `linux/capability.h`.
pub fn capabilities(pid: impl Display, set: &str) -> Result<u64> {
    u64::from_str_radix(&status(pid, set)?, 16).with_context(|| format!("{set} is no number"))
}
