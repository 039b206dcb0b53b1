//! An ext4 that reports errors on demand.

use std::fs;

use anyhow::{Context, Result};

use super::{
    disk::{Disk, Mounted},
    ioctl,
};

/// A mounted ext4.
#[derive(Debug)]
pub struct Ext4 {
    mounted: Mounted,
}

// === impl Ext4 ===

impl Ext4 {
    /// A fresh one. `errors` is what it does at an error: `continue` or `remount-ro`, never `panic`.
    pub fn new(errors: &str) -> Result<Self> {
        Ok(Self { mounted: Disk::with_ext4(32 << 20)?.mount(&format!("errors={errors}"))? })
    }

    /// Its device's name in kernel messages.
    #[must_use]
    pub fn name(&self) -> &str {
        self.mounted.disk().name()
    }

    /// Makes it report an error: `EXT4-fs error (device loop0): trigger_test_error:…: comm …: TEXT`.
    pub fn report_error(&self, text: &str) -> Result<()> {
        let path = format!("/sys/fs/ext4/{}/trigger_fs_error", self.name());
        fs::write(&path, text).with_context(|| format!("cannot write to {path}"))
    }

    /// Shuts it down, as an administrator or a failing journal does: `EXT4-fs (loop0): shut down requested (0)`.
    pub fn shut_down(&self) -> Result<()> {
        ioctl::command::<{ ioctl::SHUTDOWN }>(self.mounted.path())
    }
}
