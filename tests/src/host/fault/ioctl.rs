//! The three ioctls of file systems that no library of ours wraps.

use std::{fs::File, io, path::Path};

use anyhow::{Context, Result};
use rustix::ioctl::{Opcode, Setter};

/// `FIFREEZE`, `_IOWR('X', 119, int)`: every write waits from now on, in state D.
pub(super) const FREEZE: Opcode = 0xc004_5877;
/// `FITHAW`, `_IOWR('X', 120, int)`.
pub(super) const THAW: Opcode = 0xc004_5878;
/// `EXT4_IOC_SHUTDOWN`, `_IOR('X', 125, __u32)`; XFS has the same one.
pub(super) const SHUTDOWN: Opcode = 0x8004_587d;

/// Gives a file system one of the commands above, with the argument 0.
pub(super) fn command<const CODE: Opcode>(mount_point: &Path) -> Result<()> {
    let folder = File::open(mount_point).with_context(|| format!("cannot open {}", mount_point.display()))?;
    give::<CODE>(&folder).with_context(|| format!("ioctl {CODE:#x} of {} failed", mount_point.display()))
}

#[expect(unsafe_code, reason = "an ioctl that rustix does not know")]
fn give<const CODE: Opcode>(folder: &File) -> io::Result<()> {
    // SAFETY: each of the three takes a pointer to four bytes that the kernel only reads (SHUTDOWN) or leaves alone
    // (FREEZE, THAW), and `Setter` passes the address of a u32 that lives until the call returns.
    unsafe { rustix::ioctl::ioctl(folder, Setter::<CODE, u32>::new(0)) }.map_err(Into::into)
}
