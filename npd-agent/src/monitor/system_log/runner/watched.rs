//! One monitor at work: what it has taken, what it has found, and what is written down of it.

use std::path::PathBuf;

use crate::{
    monitor::system_log::{Findings, SystemLog, SystemLogState},
    problem::Status,
    record::Position,
    state::{Keep, Kept, StateFile, warn_on_error},
    time::{Monotonic, Timestamp},
};

/// A monitor with what it remembers.
pub(crate) struct Watched {
    pub(crate) path: PathBuf,
    pub(crate) monitor: SystemLog,
    pub(crate) memory: Option<StateFile>,
    /// The last record that it has taken.
    pub(crate) position: Option<Position>,
    /// The time of the newest record taken.
    pub(crate) at: Timestamp,
    /// What was found in the current step.
    pub(crate) found: Found,
    pub(crate) has_read: bool,
    /// Something is not written down yet.
    pub(crate) dirty: bool,
    pub(crate) saved: Monotonic,
    pub(crate) deadline: Option<Timestamp>,
    /// The record whose reports may have been given before.
    pub(crate) doubt: Option<Position>,
}

#[derive(Default)]
pub(crate) struct Found {
    pub(crate) statuses: Vec<Status>,
    pub(crate) suppressed: Vec<Box<str>>,
}

impl Findings for Found {
    fn status(&mut self, status: Status) {
        self.statuses.push(status);
    }

    fn suppressed(&mut self, reason: &str) {
        self.suppressed.push(reason.into());
    }
}

// === impl Watched ===

impl Watched {
    /// A monitor that has taken nothing yet.
    pub(crate) fn new(path: PathBuf, monitor: SystemLog, memory: Option<StateFile>) -> Self {
        Self {
            path,
            position: None,
            at: monitor.start(),
            found: Found::default(),
            has_read: false,
            dirty: true,
            saved: Monotonic::default(),
            deadline: None,
            doubt: None,
            memory,
            monitor,
        }
    }

    /// Goes on with what was kept.
    pub(crate) fn recall(&mut self) {
        let Some(memory) = &mut self.memory else { return };
        let Some(kept) = warn_on_error(memory.load::<SystemLogState>()).flatten() else { return };
        let Kept { position, at, state, before_boot, doubt } = kept;
        self.at = at;
        self.doubt = doubt;
        let state = if before_boot { state.after_boot() } else { state };
        self.monitor.restore(state);
        match position {
            // Sequence numbers begin anew with each boot.
            Some(Position::Kernel(_)) if before_boot => self.monitor.resume_after(at),
            None => self.monitor.resume_after(at),
            position => {
                self.position = position;
                self.monitor.resume();
            }
        }
    }

    pub(crate) fn save(&mut self, confirmed: bool) {
        let Some(memory) = &mut self.memory else { return };
        let state = &self.monitor.state();
        let keep = Keep { position: self.position, doubt: self.doubt, at: self.at, state };
        memory.save_or_warn(&keep, confirmed);
        self.dirty = false;
    }

    pub(crate) fn confirm(&mut self) {
        if let Some(memory) = &mut self.memory {
            memory.confirm_or_warn();
        }
    }

    /// Whether the reports of the record at this position may have been given before.
    pub(crate) fn is_in_doubt(&self, position: Option<Position>) -> bool {
        position.zip(self.doubt).is_some_and(|(position, doubt)| position.is_same_place(&doubt))
    }

    pub(crate) fn look_ahead(&mut self) {
        self.deadline = self.monitor.deadline();
    }
}
