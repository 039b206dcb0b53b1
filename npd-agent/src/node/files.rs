//! The node as the collectors see it: where its files are, and the two questions that no file answers.
//!
//! The files are read as plain text and taken apart by each collector. The `procfs` crate does not fit here: it drops what
//! these metrics need (the sum of all interrupts, the numbers of the CPUs, the order of mount options, anything finer
//! than a millisecond), and some of its parsers panic on text that is cut short.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::node::clock::{self, ClockState};

/// The most bytes a file of /proc may have: several times what 10,000 interfaces and disks need.
const MAX_FILE_SIZE: u64 = 32 << 20;

/// The node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its /proc.
    pub proc: PathBuf,
    /// Its /sys.
    pub sys: PathBuf,
    /// Its /etc.
    pub etc: PathBuf,
    /// Its /: the mount points are found below it.
    pub root: PathBuf,
    /// How full the file system at a mount point is.
    pub space: fn(&Path) -> io::Result<Space>,
    /// What the kernel knows of its clock.
    pub clock: fn() -> io::Result<ClockState>,
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that a user without privileges can still have.
    pub bytes_free: u64,
    /// Bytes in use.
    pub bytes_used: u64,
    /// All inodes; 0 where the file system makes them as it needs them.
    pub inodes: u64,
    /// Those that are free.
    pub inodes_free: u64,
}

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not say what it says on every kernel known.
    #[error("{} has no {what}", .path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What is missing in it.
        what: &'static str,
    },
    /// The system call that asks for it failed.
    #[error("cannot ask for {what}")]
    Ask {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

// === impl Node ===

impl Node {
    /// The node as node-problem-detector finds it: in `$HOST_PROC`, `$HOST_SYS`, `$HOST_ETC` and `$HOST_ROOT`, where they
    /// are set. A config's `procPath` wins over the first.
    #[must_use]
    pub fn new(proc: Option<&Path>, env: impl Fn(&str) -> Option<OsString>) -> Self {
        let folder = |name, default: PathBuf| env(name).filter(|path| !path.is_empty()).map_or(default, PathBuf::from);
        let root = folder("HOST_ROOT", "/".into());
        Self {
            proc: proc.map_or_else(|| folder("HOST_PROC", "/proc".into()), Path::to_owned),
            sys: folder("HOST_SYS", "/sys".into()),
            etc: folder("HOST_ETC", root.join("etc")),
            root,
            space,
            clock: clock::read,
        }
    }

    /// A file of /proc.
    pub(crate) fn proc(&self, name: &str) -> Result<String, CollectError> {
        read(&self.proc.join(name))
    }

    /// A file of /proc that is not there on every kernel.
    pub(crate) fn proc_if_there(&self, name: &str) -> Result<Option<String>, CollectError> {
        if_there(self.proc(name))
    }

    /// A number that is all that a file of /proc says, if that file is there.
    pub(crate) fn proc_number(&self, name: &str) -> Option<u64> {
        number(&self.proc.join(name))
    }

    /// The names in a folder of /sys, sorted; none when it is not there.
    pub(crate) fn sys_names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.sys.join(folder)) else { return Vec::new() };
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// A mount point as a path that can be asked.
    pub(crate) fn below_root(&self, mount_point: &str) -> PathBuf {
        self.root.join(mount_point.trim_start_matches('/'))
    }

    /// What the text of a file of /proc lacks.
    pub(crate) fn lacks(&self, name: &str, what: &'static str) -> CollectError {
        CollectError::Unexpected { path: self.proc.join(name), what }
    }
}

// === impl CollectError ===

impl CollectError {
    fn is_absence(&self) -> bool {
        let absent = |source: &io::Error| {
            // Pressure stall information that is switched off can be opened and not be read.
            source.kind() == io::ErrorKind::NotFound
                || source.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error())
        };
        matches!(self, Self::Read { source, .. } if absent(source))
    }
}

/// The text of a file, bounded.
pub(crate) fn read(path: &Path) -> Result<String, CollectError> {
    let bytes = || {
        let mut bytes = Vec::with_capacity(4096);
        File::open(path)?.take(MAX_FILE_SIZE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = bytes().map_err(|source| CollectError::Read { path: path.to_owned(), source })?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The number that a file of /proc or /sys says.
pub(crate) fn number(path: &Path) -> Option<u64> {
    // One read is one value; the text of a number has at most 20 digits.
    let mut text = [0; 32];
    let length = File::open(path).and_then(|mut file| file.read(&mut text)).ok()?;
    std::str::from_utf8(text.get(..length)?).ok()?.trim().parse().ok()
}

/// Nothing when the file is not there.
pub(crate) fn if_there(text: Result<String, CollectError>) -> Result<Option<String>, CollectError> {
    match text {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.is_absence() => Ok(None),
        Err(error) => Err(error),
    }
}

fn space(mount_point: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(mount_point)?;
    Ok(Space {
        bytes_free: stat.f_bavail.saturating_mul(stat.f_frsize),
        bytes_used: stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize),
        inodes: stat.f_files,
        inodes_free: stat.f_ffree,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_where_the_node_is_and_the_config_wins() {
        let env = |name: &str| match name {
            "HOST_PROC" => Some("/host/proc".into()),
            "HOST_ROOT" => Some("/host/root".into()),
            "HOST_SYS" => Some("".into()),
            _ => None,
        };
        let node = Node::new(None, env);
        assert_eq!(node.proc, Path::new("/host/proc"));
        assert_eq!(node.sys, Path::new("/sys"));
        assert_eq!(node.etc, Path::new("/host/root/etc"));
        assert_eq!(node.below_root("/var/lib"), Path::new("/host/root/var/lib"));
        assert_eq!(Node::new(Some(Path::new("/p")), env).proc, Path::new("/p"));
    }
}
