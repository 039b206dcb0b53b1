//! A task that hangs in state D: it wants to make a file on a file system that is frozen.
//!
//! The kernel looks for hung tasks every `hung_task_check_interval_secs` and reports one that has not run for
//! `hung_task_timeout_secs`, again at every look, until `hung_task_warnings` is used up; `sched_process_hang` fires
//! at every look all the same.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{
    disk::{Disk, Mounted},
    ioctl,
    setting::Setting,
    victim::Victim,
};
use crate::driver::poll::{self, SOON};

const SYSCTL: &str = "/proc/sys/kernel";

/// The name of the task that hangs.
pub const COMM: &str = "npd-hang";

/// A machine on which a task may hang: short times, a file system to freeze, a task.
#[derive(Debug)]
pub struct HungTask {
    // In this order: the task dies, the disk goes, the sysctls return.
    victim: Victim,
    mounted: Freezable,
    timeout: Setting,
    _interval: Setting,
    _warnings: Setting,
}

/// An ext4 that can be frozen: who writes to it then waits in state D. Thawed when dropped.
#[derive(Debug)]
pub struct Freezable(Mounted);

// === impl HungTask ===

impl HungTask {
    /// A task that works still. `warnings` is how often printk may speak of hung tasks.
    pub fn prepare(warnings: u32) -> Result<Self> {
        let set = |name: &str, value: &str| Setting::set(Path::new(SYSCTL).join(name), value);
        let mounted = Freezable::mount()?;
        let file = mounted.path().join("x");
        let file = file.to_str().context("a mount point that is no UTF-8")?;
        Ok(Self {
            victim: Victim::start(COMM, &["hang", file])?,
            mounted,
            timeout: set("hung_task_timeout_secs", "0")?,
            _interval: set("hung_task_check_interval_secs", "1")?,
            _warnings: set("hung_task_warnings", &warnings.to_string())?,
        })
    }

    /// A task that hangs already.
    pub fn start(warnings: u32) -> Result<Self> {
        let mut task = Self::prepare(warnings)?;
        task.hang()?;
        Ok(task)
    }

    /// The task that hangs.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.victim.pid()
    }

    /// Makes it hang; the kernel notices after about two seconds.
    pub fn hang(&mut self) -> Result<()> {
        self.mounted.freeze()?;
        self.victim.order()?;
        self.victim.wait_until_blocked()?;
        self.timeout.change("2")
    }

    /// Lets it go on, and waits until it has.
    pub fn recover(&mut self) -> Result<()> {
        self.mounted.thaw()?;
        self.victim.wait_for_answer()
    }

    /// Waits until the kernel's detector has found it this many times more than at `before`.
    pub fn wait_for_detections(&self, before: u64, more: u64) -> Result<()> {
        poll::wait_for("the kernel to find the hung task", SOON, || Ok((detections()? >= before + more).then_some(())))
    }
}

impl Drop for HungTask {
    fn drop(&mut self) {
        // First of all: nothing that hangs can be killed. It fails when nothing is frozen.
        drop(self.mounted.thaw());
    }
}

/// How often the kernel has found a hung task since boot. Not all kernels count (6.1 does not).
pub fn detections() -> Result<u64> {
    let path = Path::new(SYSCTL).join("hung_task_detect_count");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.trim().parse().context("hung_task_detect_count is no number")
}

// === impl Freezable ===

impl Freezable {
    /// A new one, which works still.
    pub fn mount() -> Result<Self> {
        Ok(Self(Disk::with_ext4(64 << 20)?.mount("")?))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes writers wait.
    pub fn freeze(&self) -> Result<()> {
        ioctl::command::<{ ioctl::FREEZE }>(self.0.path())
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Result<()> {
        ioctl::command::<{ ioctl::THAW }>(self.0.path())
    }
}

impl Drop for Freezable {
    fn drop(&mut self) {
        drop(self.thaw());
    }
}
