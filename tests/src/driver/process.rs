//! A process seen through /proc, and signals to its threads.

use std::{fmt::Display, fs};

use anyhow::{Context, Result, bail};
use rustix::{
    fs::OFlags,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

/// `PIDFD_THREAD` of `linux/pidfd.h`: the descriptor stands for a thread, and signals through it are for that thread.
const PIDFD_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(OFlags::EXCL.bits());

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

/// Sends a signal to the thread of this name.
///
/// # Kernel
///
/// 6.9, which has `PIDFD_THREAD`.
pub fn signal_thread(pid: u32, name: &str, signal: Signal) -> Result<()> {
    let folder = format!("/proc/{pid}/task");
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
        let path = entry.with_context(|| format!("cannot read {folder}"))?.path();
        // A thread may have ended since the folder was read.
        let Ok(comm) = fs::read_to_string(path.join("comm")) else { continue };
        if comm.trim_end() != name {
            continue;
        }
        let thread = path.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Pid::from_raw);
        let thread = thread.with_context(|| format!("{} is not named after a thread", path.display()))?;
        let thread = pidfd_open(thread, PIDFD_THREAD).with_context(|| format!("cannot open the thread {name}"))?;
        return pidfd_send_signal(thread, signal).with_context(|| format!("cannot signal the thread {name}"));
    }
    bail!("the process {pid} has no thread {name}")
}
