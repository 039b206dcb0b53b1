//! When a service may be repaired, and the memory of when it was last.
//!
//! node-problem-detector's limit is the age of the service: one that restarts is not hit again until it had its time.
//! A service that survives its repair stays old, and would get a signal every few seconds; so the last repair counts
//! as well. health-checker is a new process each time: what it remembers stands in a file, whose lock also keeps two
//! of them from repairing at once.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::time::Monotonic;

/// Where the last repairs are remembered, until the next boot.
pub const FOLDER: &str = "/run/npd";

/// Whether a service that has been up so long may be repaired. `last` is how long ago it was repaired.
#[must_use]
pub fn is_due(uptime: Duration, cooldown: Duration, last: Option<Duration>) -> bool {
    uptime > cooldown && last.is_none_or(|last| last > cooldown)
}

/// The memory of one service's repairs, locked until it is dropped.
#[derive(Debug)]
pub struct Memory {
    file: File,
    last: Option<Monotonic>,
}

/// Why it is not known when the last repair was.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The folder or the file cannot be made, read or written.
    #[error("cannot keep {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process has it locked.
    #[error("{} is locked: another repair is under way", .0.display())]
    Busy(PathBuf),
}

// === impl Memory ===

impl Memory {
    /// Opens and locks the memory of a service.
    pub fn open(folder: &Path, service: &str) -> Result<Self, MemoryError> {
        // What systemd allows in names beside this is no path.
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

    /// How long ago the last repair was. One in the future was before a reboot.
    #[must_use]
    pub fn since_last(&self, now: Monotonic) -> Option<Duration> {
        self.last.filter(|last| *last <= now).map(|last| now.since(last))
    }

    /// Remembers a repair. It is written before the repair is made: one that kills the writer is not repeated.
    pub fn keep(&mut self, now: Monotonic) -> io::Result<()> {
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
    fn a_service_is_repaired_when_both_its_start_and_its_last_repair_are_long_ago() {
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
    fn a_repair_is_remembered_by_the_next_process_and_not_over_a_boot() {
        let folder = tempfile::tempdir().unwrap();
        let at = |seconds: u64| Monotonic::from_nanos(seconds * 1_000_000_000);
        let mut memory = Memory::open(folder.path(), "kubelet").unwrap();
        assert_eq!(memory.since_last(at(5000)), None);
        memory.keep(at(5000)).unwrap();
        assert!(matches!(Memory::open(folder.path(), "kubelet"), Err(MemoryError::Busy(_))));
        drop(memory);
        let mut memory = Memory::open(folder.path(), "kubelet").unwrap();
        assert_eq!(memory.since_last(at(5060)), Some(MINUTE));
        assert_eq!(memory.since_last(at(100)), None, "the clock began anew");
        memory.keep(at(100)).unwrap();
        drop(memory);
        assert_eq!(Memory::open(folder.path(), "kubelet").unwrap().since_last(at(160)), Some(MINUTE));
        assert_eq!(Memory::open(folder.path(), "docker").unwrap().since_last(at(160)), None);
    }

    #[test]
    fn a_service_is_no_path_and_a_folder_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        drop(Memory::open(folder.path(), "../x").unwrap());
        assert!(folder.path().join("repaired-..-x").exists());
        let file = folder.path().join("repaired-..-x");
        let error = Memory::open(&file, "x").unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
