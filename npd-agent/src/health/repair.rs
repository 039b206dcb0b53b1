//! When a service may be repaired, and the record of when it was repaired last.
//!
//! node-problem-detector's limit is the uptime of the service: one that has just restarted is not repaired again until its
//! cooldown is over. But a service that survives its repair keeps its uptime and would get a signal every few seconds, so the last
//! repair counts as well. health-checker is a new process each time, so it stores the last repair in a file. Locking that file
//! also prevents two processes from repairing at once.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::time::Monotonic;

/// Where the times of the last repairs are stored, until the next boot.
pub const FOLDER: &str = "/run/npd";

/// Whether a service with this uptime may be repaired. `last` is how long ago it was repaired.
#[must_use]
pub fn is_due(uptime: Duration, cooldown: Duration, last: Option<Duration>) -> bool {
    uptime > cooldown && last.is_none_or(|last| last > cooldown)
}

/// The record of a service's last repair, locked until it is dropped.
#[derive(Debug)]
pub struct Memory {
    file: File,
    last: Option<Monotonic>,
}

/// Why the time of the last repair is unknown.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The directory or the file cannot be created, read or written.
    #[error("cannot open {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process has locked it.
    #[error("{} is locked: another repair is in progress", .0.display())]
    Busy(PathBuf),
}

// === impl Memory ===

impl Memory {
    /// Opens and locks the record of a service.
    pub fn open(folder: &Path, service: &str) -> Result<Self, MemoryError> {
        // The only character of a path that systemd allows in names.
        let name: String = service.chars().map(|c| if c == '/' { '-' } else { c }).collect();
        let path = folder.join(format!("repaired-{name}"));
        let read = || {
            fs::create_dir_all(folder)?;
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let mut text = String::new();
            (&file).take(32).read_to_string(&mut text)?;
            let last = text.trim_end().parse().ok().map(Monotonic::from_nanos);
            Ok(Some(Self { file, last }))
        };
        match read() {
            Ok(Some(memory)) => Ok(memory),
            Ok(None) => Err(MemoryError::Busy(path)),
            Err(source) => Err(MemoryError::File { path, source }),
        }
    }

    /// How long ago the last repair was. A repair in the future was before a reboot, and is ignored.
    #[must_use]
    pub fn since_last(&self, now: Monotonic) -> Option<Duration> {
        self.last.filter(|last| *last <= now).map(|last| now.since(last))
    }

    /// Stores the time of a repair. This comes before the repair itself, so that a repair that kills this process is not repeated.
    pub fn store(&mut self, now: Monotonic) -> io::Result<()> {
        let text = now.nanos().to_string();
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(text.len() as u64)?;
        self.last = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_service_is_repaired_if_both_its_start_and_its_last_repair_are_long_ago() {
        let secs = Duration::from_secs;
        for (uptime, last, due) in [
            (61, None, true),
            (60, None, false),
            (0, None, false),
            (61, Some(60), false),
            (1000, Some(61), true),
            (1000, Some(10), false),
        ] {
            assert_eq!(is_due(secs(uptime), MINUTE, last.map(secs)), due, "{uptime} {last:?}");
        }
        assert!(is_due(secs(1), Duration::ZERO, None));
    }

    #[test]
    fn a_repair_is_known_to_the_next_process_but_not_after_a_reboot() {
        let folder = tempfile::tempdir().unwrap();
        let at = |seconds: u64| Monotonic::from_nanos(seconds * 1_000_000_000);
        let mut memory = Memory::open(folder.path(), "kubelet").unwrap();
        assert_eq!(memory.since_last(at(5000)), None);
        memory.store(at(5000)).unwrap();
        assert!(matches!(Memory::open(folder.path(), "kubelet"), Err(MemoryError::Busy(_))));
        drop(memory);
        let mut memory = Memory::open(folder.path(), "kubelet").unwrap();
        assert_eq!(memory.since_last(at(5060)), Some(MINUTE));
        assert_eq!(memory.since_last(at(100)), None, "the clock has started again");
        memory.store(at(100)).unwrap();
        drop(memory);
        assert_eq!(Memory::open(folder.path(), "kubelet").unwrap().since_last(at(160)), Some(MINUTE));
        assert_eq!(Memory::open(folder.path(), "docker").unwrap().since_last(at(160)), None);
    }

    #[test]
    fn a_service_name_is_not_a_path_and_an_unusable_directory_is_named() {
        let folder = tempfile::tempdir().unwrap();
        drop(Memory::open(folder.path(), "../x").unwrap());
        assert!(folder.path().join("repaired-..-x").exists());
        let file = folder.path().join("repaired-..-x");
        let error = Memory::open(&file, "x").unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
