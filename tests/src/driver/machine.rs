//! What belongs to the whole machine, and so to one test run at a time: its kernel log, its sysctls, its loop devices.

use std::{
    fs::{File, TryLockError},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::driver::poll;

/// Waits until no other run of tests is on this machine; it is ours until this is dropped.
pub fn lock() -> Result<File> {
    let path = std::env::temp_dir().join("npd-kernel-tests.lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    poll::wait_for("another run of these tests to end", Duration::from_mins(10), || match file.try_lock() {
        Ok(()) => Ok(Some(())),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock"),
    })?;
    Ok(file)
}
