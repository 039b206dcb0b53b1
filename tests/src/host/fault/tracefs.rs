//! tracefs, which most machines have mounted and a bare VM has not.

use std::path::Path;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags};

const PATH: &str = "/sys/kernel/tracing";

/// A tracefs that is mounted; unmounted when dropped if it was not before.
#[derive(Debug)]
pub struct Tracefs {
    ours: bool,
}

// === impl Tracefs ===

impl Tracefs {
    /// Mounts it where it belongs, unless it is there.
    pub fn mounted() -> Result<Self> {
        let ours = !Path::new(PATH).join("events").exists();
        if ours {
            let none = None::<&std::ffi::CStr>;
            rustix::mount::mount("none", PATH, "tracefs", MountFlags::empty(), none).context("cannot mount tracefs")?;
        }
        Ok(Self { ours })
    }
}

impl Drop for Tracefs {
    fn drop(&mut self) {
        if self.ours {
            rustix::mount::unmount(PATH, UnmountFlags::DETACH).unwrap_or(());
        }
    }
}
