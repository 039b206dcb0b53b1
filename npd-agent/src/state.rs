//! What survives a restart of the agent: one small file for each monitor, in one folder.
//!
//! A monitor's file says how far it has read and what it knew then, both of the same moment. So an agent that is
//! killed and started again reads on from there: whatever it had read since and not kept is read once more, with the
//! same result. Only reports cannot be taken back. Therefore a state with news in it is written *before* the news are
//! reported, marked as unconfirmed, and confirmed right after; an unconfirmed state found at the start means that the
//! report of just one record is in doubt, and then it is given again and says so.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use crate::state::two_slot_file::Torn;

use crate::{fingerprint, node::Node, record::Position, state::two_slot_file::Slots, time::Timestamp};

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
    /// The folder cannot be made or written to.
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
    /// A file is not one of ours, of another version, or damaged.
    #[error("the state file {} {what}: it is ignored", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: Torn,
    },
    /// What a file says makes no sense.
    #[error("the state file {} cannot be read: it is ignored", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where it makes no sense.
        source: serde_json::Error,
    },
    /// There is more to remember than there is room for.
    #[error("the state for {} is too large to be kept", .0.display())]
    TooLarge(PathBuf),
}

/// The state of one monitor, or of a source.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    boot: String,
    slots: Slots,
    buffer: Vec<u8>,
    /// It could not be written when that was tried last.
    is_in_trouble: bool,
}

/// What was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept<T> {
    /// How far had been read.
    pub position: Option<Position>,
    /// The time of the newest record that had been read.
    pub at: Timestamp,
    /// What was known then.
    pub state: T,
    /// Whether that was before the last boot.
    pub before_boot: bool,
    /// The record whose reports are in doubt.
    pub doubt: Option<Position>,
}

#[derive(Serialize, Deserialize)]
struct Content<T> {
    boot: String,
    position: Option<Position>,
    /// Of before, and not resolved yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubt: Option<Position>,
    at: Timestamp,
    state: T,
}

/// What is written of a monitor.
#[derive(Clone, Copy, Debug)]
pub struct Keep<'a, T> {
    /// How far it has read.
    pub position: Option<Position>,
    /// A record whose reports are still in doubt from before.
    pub doubt: Option<Position>,
    /// The time of the newest record that it has read.
    pub at: Timestamp,
    /// What it knows.
    pub state: &'a T,
}

// === impl StateDir ===

impl StateDir {
    /// Opens the folder, or makes it, and keeps other agents out of it.
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
        match Slots::open(&path) {
            Ok(slots) => {
                Ok(StateFile { path, boot: self.boot.clone(), slots, buffer: Vec::new(), is_in_trouble: false })
            }
            Err(source) => Err(StateError::File { path, source }),
        }
    }
}

/// A name that is one file's name: what has a meaning in paths is escaped, and a long one ends in its hash.
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
    /// Reads what was kept; nothing when the file is new. A file that cannot be made sense of is an error that should
    /// be told, and no reason not to go on: the next write makes it good.
    pub fn load<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<Kept<T>>, StateError> {
        let found = match self.slots.load() {
            Ok(found) => found,
            Err(two_slot_file::LoadError::Io(source)) => {
                return Err(StateError::File { path: self.path.clone(), source });
            }
            Err(two_slot_file::LoadError::Torn(what)) => {
                return Err(StateError::Foreign { path: self.path.clone(), what });
            }
        };
        let content = |bytes: &[u8]| -> Result<Content<T>, StateError> {
            serde_json::from_slice(bytes).map_err(|source| StateError::Content { path: self.path.clone(), source })
        };
        let unconfirmed = match &found.unconfirmed {
            Some(bytes) => content(bytes)?.position,
            None => None,
        };
        let Some(bytes) = &found.confirmed else { return Ok(None) };
        let Content { boot, position, doubt, at, state } = content(bytes)?;
        Ok(Some(Kept { position, at, state, before_boot: boot != self.boot, doubt: unconfirmed.or(doubt) }))
    }

    /// Writes the state. One with news in it stays unconfirmed until [`Self::confirm`].
    pub fn save<T: Serialize>(&mut self, keep: &Keep<'_, T>, confirmed: bool) -> Result<(), StateError> {
        let Keep { position, doubt, at, state } = *keep;
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, &Content { boot: self.boot.clone(), position, doubt, at, state })
            .map_err(|source| StateError::Content { path: self.path.clone(), source })?;
        let path = &self.path;
        if self.buffer.len() > two_slot_file::ROOM {
            return Err(StateError::TooLarge(path.clone()));
        }
        self.slots.write(&self.buffer, confirmed).map_err(|source| StateError::File { path: path.clone(), source })
    }

    /// The news of the state written last are reported.
    pub fn confirm(&mut self) -> Result<(), StateError> {
        self.slots.confirm().map_err(|source| StateError::File { path: self.path.clone(), source })
    }

    /// [`Self::save`]; gives whether it went well. What goes wrong is told once as long as it goes on: a full disk is no
    /// news with each record.
    pub fn save_or_tell<T: Serialize>(&mut self, keep: &Keep<'_, T>, confirmed: bool) -> bool {
        let saved = self.save(keep, confirmed);
        self.tell_once(saved)
    }

    /// [`Self::confirm`], and tells as [`Self::save_or_tell`] does.
    pub fn confirm_or_tell(&mut self) {
        let confirmed = self.confirm();
        self.tell_once(confirmed);
    }

    fn tell_once(&mut self, outcome: Result<(), StateError>) -> bool {
        let was_in_trouble = std::mem::replace(&mut self.is_in_trouble, outcome.is_err());
        match outcome {
            Err(_) if was_in_trouble => false,
            outcome => tell(outcome).is_some(),
        }
    }

    /// Has what was written survive a loss of power as well.
    pub fn sync(&self) -> Result<(), StateError> {
        self.slots.sync().map_err(|source| StateError::File { path: self.path.clone(), source })
    }
}

/// What goes wrong with a state is told and stops nothing.
pub fn tell<T>(outcome: Result<T, StateError>) -> Option<T> {
    outcome.inspect_err(|error| tracing::warn!(error = error as &dyn std::error::Error, "state")).ok()
}

#[cfg(test)]
mod tests;
pub(crate) mod two_slot_file;
