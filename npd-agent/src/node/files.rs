//! Files of the node's /proc and /sys as plain text, bounded.
//!
//! Collectors parse the text themselves. The `procfs` crate does not fit there: it drops what these metrics need (the
//! sum of all interrupts, the numbers of the CPUs, the order of mount options, anything finer than a millisecond), and
//! some of its parsers panic on truncated text.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::Node;

/// Maximum size of a file of /proc: several times what 10,000 interfaces and disks need.
const MAX_FILE_SIZE: u64 = 32 << 20;

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
    /// A file lacks something that it has on every known kernel.
    #[error("{} has no {what}", .path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What is missing in it.
        what: &'static str,
    },
    /// A system call failed.
    #[error("cannot query {what}")]
    Ask {
        /// What was queried.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

// === impl Node ===

impl Node {
    /// A file of /proc.
    pub(crate) fn proc(&self, name: &str) -> Result<String, CollectError> {
        read(&self.proc.join(name))
    }

    /// A file of /proc that not every kernel has.
    pub(crate) fn proc_if_there(&self, name: &str) -> Result<Option<String>, CollectError> {
        if_there(self.proc(name))
    }

    /// The number in a file of /proc that has nothing else; `None` if the file does not exist.
    pub(crate) fn proc_number(&self, name: &str) -> Option<u64> {
        number(&self.proc.join(name))
    }

    /// The names in a folder of /sys, sorted; empty if it does not exist.
    pub(crate) fn sys_names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.sys.join(folder)) else { return Vec::new() };
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// The error that a file of /proc lacks something.
    pub(crate) fn lacks(&self, name: &str, what: &'static str) -> CollectError {
        CollectError::Unexpected { path: self.proc.join(name), what }
    }
}

// === impl CollectError ===

impl CollectError {
    fn is_absence(&self) -> bool {
        let absent = |source: &io::Error| {
            // Pressure stall information that is switched off can be opened but not read.
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

/// The number in a file of /proc or /sys.
pub(crate) fn number(path: &Path) -> Option<u64> {
    // One read returns the whole value; a number has at most 20 digits.
    let mut text = [0; 32];
    let length = File::open(path).and_then(|mut file| file.read(&mut text)).ok()?;
    std::str::from_utf8(text.get(..length)?).ok()?.trim().parse().ok()
}

/// `None` if the file does not exist.
pub(crate) fn if_there(text: Result<String, CollectError>) -> Result<Option<String>, CollectError> {
    match text {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.is_absence() => Ok(None),
        Err(error) => Err(error),
    }
}
