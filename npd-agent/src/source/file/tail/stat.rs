//! The metadata from statx(2) that following a file needs.

use std::{fs::File, io, path::Path};

use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags};

/// The metadata of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileStat {
    pub(crate) device: (u32, u32),
    pub(crate) inode: u64,
    /// Time of birth, nanoseconds since 1970; 0 if the file system does not record it.
    pub(crate) born: u64,
    /// Time of the last write, nanoseconds since 1970.
    pub(crate) modified: u64,
    pub(crate) size: u64,
    /// How many names it has; 0 once it is deleted.
    pub(crate) links: u32,
    /// Whether it is a regular file, and not a folder, a FIFO, a device…
    pub(crate) regular: bool,
}

// === impl FileStat ===

impl FileStat {
    /// Reads the metadata of an open file.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Ok(rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, MASK)?.into())
    }

    /// Reads the metadata of the file at `path`, following symlinks.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Ok(rustix::fs::statx(CWD, path, AtFlags::empty(), MASK)?.into())
    }

    /// Reads the metadata of `path` itself, even if it is a symlink.
    pub(crate) fn at_link(path: &Path) -> io::Result<Self> {
        Ok(rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, MASK)?.into())
    }

    /// Whether both are the same file. Valid as long as one of the two is open.
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
