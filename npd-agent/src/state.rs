//! What survives a restart of the agent: one small file for each monitor, in one folder.
//!
//! A monitor's file holds its position in the log and what it knew at that very position. So an agent that is killed
//! and started again continues from there: whatever it had read since then without saving it is read again, with the
//! same result. Only reports cannot be taken back. Therefore a state that something is about to be reported from is
//! written *before* the report, marked as unconfirmed, and confirmed right after it. An unconfirmed state found at the
//! start means that it is unknown whether the report of exactly one record got out; it is then reported again, and says
//! so.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub(crate) use crate::state::two_slot_file::Defect;

use crate::{
    fingerprint, log_once::LogOnce, node::Node, record::Position, state::two_slot_file::TwoSlotFile, time::Timestamp,
};

/// The folder of the state, locked for this process.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    boot: String,
    _lock: File,
}

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder cannot be created or written to.
    #[error("the state folder {} cannot be used", .path.display())]
    Dir {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another agent uses it.
    #[error("the state folder {} is in use by another agent", .0.display())]
    InUse(PathBuf),
    /// A file cannot be opened, read or written.
    #[error("the state file {} cannot be used", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not npd's, of another version, or damaged.
    #[error("the state file {} {defect}: it is ignored", .path.display())]
    Defective {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        defect: Defect,
    },
    /// The content of a file cannot be decoded, or not encoded.
    #[error("the content of the state file {} is invalid: it is ignored", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where it is invalid.
        source: serde_json::Error,
    },
    /// The state does not fit into a slot.
    #[error("the state for {} is too large to be saved", .0.display())]
    TooLarge(PathBuf),
}

/// The state of one monitor, or of a source.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    boot: String,
    slots: TwoSlotFile,
    buffer: Vec<u8>,
    /// Why the last write failed.
    failure: LogOnce,
}

/// A state that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept<T> {
    /// How far the log had been read.
    pub position: Option<Position>,
    /// The time of the newest record read.
    pub at: Timestamp,
    /// What was known at that position.
    pub state: T,
    /// Whether that was before the node's last boot.
    pub before_boot: bool,
    /// The record of which it is unknown whether its reports got out.
    pub doubt: Option<Position>,
}

#[derive(Serialize, Deserialize)]
struct Content<T> {
    boot: String,
    position: Option<Position>,
    /// From before, and not resolved yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubt: Option<Position>,
    at: Timestamp,
    state: T,
}

/// A state to be saved.
#[derive(Clone, Copy, Debug)]
pub struct Keep<'a, T> {
    /// How far the log has been read.
    pub position: Option<Position>,
    /// A record from before of which it is still unknown whether its reports got out.
    pub doubt: Option<Position>,
    /// The time of the newest record read.
    pub at: Timestamp,
    /// What is known at that position.
    pub state: &'a T,
}

// === impl StateDir ===

impl StateDir {
    /// Opens the folder, or creates it, and locks other agents out of it.
    pub fn open(path: &Path, node: &Node) -> Result<Self, StateError> {
        let failed = |source| StateError::Dir { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let options = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).clone();
        let lock = options.open(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StateError::InUse(path.to_owned())),
            Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        Ok(Self { path: path.to_owned(), boot: node.boot_id().map_err(failed)?, _lock: lock })
    }

    /// The file for `name`, for example a config file's path.
    pub fn file(&self, name: &str) -> Result<StateFile, StateError> {
        let path = self.path.join(file_name(name));
        match TwoSlotFile::open(&path) {
            Ok(slots) => {
                Ok(StateFile { path, boot: self.boot.clone(), slots, buffer: Vec::new(), failure: LogOnce::default() })
            }
            Err(source) => Err(StateError::File { path, source }),
        }
    }
}

/// A file name for `name`: what has a meaning in paths is escaped, and a long name is cut and ends in its hash.
fn file_name(name: &str) -> String {
    const LONGEST: usize = 160;
    let mut escaped = String::new();
    for c in name.chars() {
        match c {
            '/' => escaped.push_str("%2F"),
            '%' => escaped.push_str("%25"),
            c if c.is_control() => escaped.push('_'),
            c => escaped.push(c),
        }
    }
    if escaped.len() > LONGEST {
        let cut = escaped.floor_char_boundary(LONGEST);
        escaped.truncate(cut);
        return format!("{escaped}-{:016x}.state", fingerprint::extend(fingerprint::EMPTY, name.as_bytes()));
    }
    format!("{escaped}.state")
}

// === impl StateFile ===

impl StateFile {
    /// Reads what was saved; `None` if the file is new. An error should be logged, but is no reason to stop: the next
    /// write makes the file good again.
    pub fn load<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<Kept<T>>, StateError> {
        let loaded = match self.slots.load() {
            Ok(loaded) => loaded,
            Err(two_slot_file::LoadError::Io(source)) => {
                return Err(StateError::File { path: self.path.clone(), source });
            }
            Err(two_slot_file::LoadError::Defect(defect)) => {
                return Err(StateError::Defective { path: self.path.clone(), defect });
            }
        };
        let content = |bytes: &[u8]| -> Result<Content<T>, StateError> {
            serde_json::from_slice(bytes).map_err(|source| StateError::Content { path: self.path.clone(), source })
        };
        let unconfirmed = match &loaded.unconfirmed {
            Some(bytes) => content(bytes)?.position,
            None => None,
        };
        let Some(bytes) = &loaded.confirmed else { return Ok(None) };
        let Content { boot, position, doubt, at, state } = content(bytes)?;
        Ok(Some(Kept { position, at, state, before_boot: boot != self.boot, doubt: unconfirmed.or(doubt) }))
    }

    /// Writes the state. One that is about to be reported from is unconfirmed until [`Self::confirm`].
    pub fn save<T: Serialize>(&mut self, keep: &Keep<'_, T>, confirmed: bool) -> Result<(), StateError> {
        let Keep { position, doubt, at, state } = *keep;
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, &Content { boot: self.boot.clone(), position, doubt, at, state })
            .map_err(|source| StateError::Content { path: self.path.clone(), source })?;
        let path = &self.path;
        if self.buffer.len() > two_slot_file::VALUE_MAX {
            return Err(StateError::TooLarge(path.clone()));
        }
        self.slots.write(&self.buffer, confirmed).map_err(|source| StateError::File { path: path.clone(), source })
    }

    /// What the state written last gave rise to has been reported.
    pub fn confirm(&mut self) -> Result<(), StateError> {
        self.slots.confirm().map_err(|source| StateError::File { path: self.path.clone(), source })
    }

    /// As [`Self::save`], but logs an error and returns whether there was none. A recurring error is logged once: a full
    /// disk is not worth a line for each record.
    pub fn save_or_warn<T: Serialize>(&mut self, keep: &Keep<'_, T>, confirmed: bool) -> bool {
        let saved = self.save(keep, confirmed);
        self.warn_once(&saved)
    }

    /// As [`Self::confirm`], but logs an error, as [`Self::save_or_warn`] does.
    pub fn confirm_or_warn(&mut self) {
        let confirmed = self.confirm();
        self.warn_once(&confirmed);
    }

    fn warn_once(&mut self, outcome: &Result<(), StateError>) -> bool {
        match outcome {
            Ok(()) => {
                self.failure.clear();
            }
            Err(error) => self.failure.error(error, |error| tracing::warn!(error, "the state cannot be saved")),
        }
        outcome.is_ok()
    }

    /// Makes what was written survive a loss of power as well.
    pub fn sync(&self) -> Result<(), StateError> {
        self.slots.sync().map_err(|source| StateError::File { path: self.path.clone(), source })
    }
}

/// Logs an error: no trouble with a state stops anything.
pub(crate) fn warn_on_error<T>(outcome: Result<T, StateError>) -> Option<T> {
    outcome.inspect_err(|error| tracing::warn!(error = error as &dyn std::error::Error, "state file error")).ok()
}

#[cfg(test)]
mod tests;
pub(crate) mod two_slot_file;
