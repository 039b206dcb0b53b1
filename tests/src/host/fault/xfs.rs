//! An XFS that shuts down on demand.

use anyhow::Result;

use super::{
    disk::{Disk, Mounted},
    ioctl,
};

/// A mounted XFS.
#[derive(Debug)]
pub struct Xfs {
    mounted: Mounted,
}

// === impl Xfs ===

impl Xfs {
    /// A fresh one.
    pub fn new() -> Result<Self> {
        Ok(Self { mounted: Disk::with_xfs()?.mount_as("xfs", "")? })
    }

    /// Its device's name in kernel messages.
    #[must_use]
    pub fn name(&self) -> &str {
        self.mounted.disk().name()
    }

    /// Shuts it down, as an administrator or a failing log does: `XFS (loop0): … Shutting down filesystem.`
    pub fn shut_down(&self) -> Result<()> {
        ioctl::command::<{ ioctl::SHUTDOWN }>(self.mounted.path())
    }
}
