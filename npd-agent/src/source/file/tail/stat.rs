//! What statx(2) says of a file, as far as following needs it.

use std::{fs::File, io, path::Path};

use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags};

/// The facts about a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileStat {
    pub(crate) device: (u32, u32),
    pub(crate) inode: u64,
    /// Nanoseconds since 1970; 0 where the file system does not know.
    pub(crate) born: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: u64,
    pub(crate) size: u64,
    /// How many names it has; 0 when it is deleted.
    pub(crate) links: u32,
    /// A regular file, and not a folder, a FIFO, a device…
    pub(crate) regular: bool,
}

// === impl FileStat ===

impl FileStat {
    /// Of an open file.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Ok(rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, MASK)?.into())
    }

    /// Of the file at `path`, through symlinks.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Ok(rustix::fs::statx(CWD, path, AtFlags::empty(), MASK)?.into())
    }

    /// Of what is at `path` itself, be it a symlink.
    pub(crate) fn at_link(path: &Path) -> io::Result<Self> {
        Ok(rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, MASK)?.into())
    }

    /// Whether both are the same file, as long as one of the two is open.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

const MASK: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

impl From<Statx> for FileStat {
    fn from(statx: Statx) -> Self {
        let nanos = |seconds: i64, nanos: u32| {
            u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000).saturating_add(u64::from(nanos))
        };
        let knows_birth = StatxFlags::from_bits_retain(statx.stx_mask).contains(StatxFlags::BTIME);
        Self {
            device: (statx.stx_dev_major, statx.stx_dev_minor),
            inode: statx.stx_ino,
            born: if knows_birth { nanos(statx.stx_btime.tv_sec, statx.stx_btime.tv_nsec) } else { 0 },
            modified: nanos(statx.stx_mtime.tv_sec, statx.stx_mtime.tv_nsec),
            size: statx.stx_size,
            links: statx.stx_nlink,
            regular: FileType::from_raw_mode(u32::from(statx.stx_mode)) == FileType::RegularFile,
        }
    }
}
