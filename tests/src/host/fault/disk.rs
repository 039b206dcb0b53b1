//! A loop device over a file of its own, and mounts of it.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags};
use tempfile::TempDir;

use crate::driver::{poll, program::output};

/// A loop device; detached when dropped.
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
    device: PathBuf,
}

/// A mounted disk; unmounted when dropped.
#[derive(Debug)]
pub struct Mounted {
    // Dropped after the unmount below: `drop` runs before the fields go.
    disk: Disk,
    path: PathBuf,
}

// === impl Disk ===

impl Disk {
    /// An empty disk of this many bytes, which take no room before they are written.
    pub fn new(size: u64) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("npd-disk-").tempdir().context("cannot make a temporary folder")?;
        let image = folder.path().join("image");
        let file = File::create(&image).with_context(|| format!("cannot make {}", image.display()))?;
        file.set_len(size).context("cannot size the disk")?;
        let device = output(Command::new("losetup").args(["--show", "-f"]).arg(&image))?;
        Ok(Self { folder, device: device.trim_end().into() })
    }

    /// A disk of this many bytes with an ext4 on it.
    pub fn with_ext4(size: u64) -> Result<Self> {
        let disk = Self::new(size)?;
        output(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(disk.image()))?;
        Ok(disk)
    }

    /// A disk with an XFS on it, which does not come smaller.
    pub fn with_xfs() -> Result<Self> {
        let disk = Self::new(320 << 20)?;
        output(Command::new("mkfs.xfs").args(["-q", "-f"]).arg(disk.image()))?;
        Ok(disk)
    }

    /// The file behind the device.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// The device's file, such as `/dev/loop0`.
    #[must_use]
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// The device's name in kernel messages, such as `loop0`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.device.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Opens the device so that each read is one request to it, past the page cache.
    pub fn open_direct(&self) -> Result<File> {
        let direct = rustix::fs::OFlags::DIRECT.bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(direct).open(&self.device);
        opened.with_context(|| format!("cannot open {}", self.device.display()))
    }

    /// Mounts the ext4 on it. `options` are ext4's own, such as `errors=continue`.
    pub fn mount(self, options: &str) -> Result<Mounted> {
        self.mount_as("ext4", options)
    }

    /// Mounts what is on it.
    pub fn mount_as(self, kind: &str, options: &str) -> Result<Mounted> {
        let path = self.folder.path().join("mnt");
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let options = std::ffi::CString::new(options).context("a NUL in the mount options")?;
        rustix::mount::mount(&self.device, &path, kind, MountFlags::empty(), Some(options.as_c_str()))
            .with_context(|| format!("cannot mount {} with {options:?}", self.device.display()))?;
        Ok(Mounted { disk: self, path })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The device goes by itself with its last user when somebody holds it still.
        drop(output(Command::new("losetup").arg("-d").arg(&self.device)));
    }
}

// === impl Mounted ===

impl Mounted {
    /// The mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk below.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Unmounts it, which a process that is still leaving may hold up for a moment.
    pub fn unmount(self) -> Result<()> {
        let unmounted = self.try_unmount();
        ensure!(unmounted, "cannot unmount {}", self.path.display());
        Ok(())
    }

    fn try_unmount(&self) -> bool {
        let gone = || {
            matches!(rustix::mount::unmount(&self.path, UnmountFlags::empty()), Ok(()) | Err(rustix::io::Errno::INVAL))
        };
        poll::wait_until("the unmount", poll::SOON, gone).is_ok()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if !self.try_unmount() {
            rustix::mount::unmount(&self.path, UnmountFlags::DETACH).unwrap_or(());
        }
    }
}
