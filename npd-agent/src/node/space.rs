//! How full file systems are: statvfs(3).

use std::{io, path::Path};

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that an unprivileged user can still use.
    pub bytes_free: u64,
    /// Bytes in use.
    pub bytes_used: u64,
    /// All inodes; 0 if the file system creates them as needed.
    pub inodes: u64,
    /// Free inodes.
    pub inodes_free: u64,
}

/// Queries the file system at a mount point. Hangs if the server of a network file system does.
pub(crate) fn read(mount_point: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(mount_point)?;
    Ok(Space {
        bytes_free: stat.f_bavail.saturating_mul(stat.f_frsize),
        bytes_used: stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize),
        inodes: stat.f_files,
        inodes_free: stat.f_ffree,
    })
}
