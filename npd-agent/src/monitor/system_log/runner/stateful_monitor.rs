//! One monitor with its state: the position in its log, its unreported findings, and its state file.

use std::path::PathBuf;

use tracing::Span;

use crate::{
    monitor::{
        self,
        system_log::{Findings, SystemLog, SystemLogState},
    },
    problem::Status,
    record::Position,
    state::{Keep, Kept, StateFile, warn_on_error},
    time::{Monotonic, Timestamp},
};

/// A monitor with its state.
pub(crate) struct StatefulMonitor {
    pub(crate) path: PathBuf,
    pub(crate) monitor: SystemLog,
    /// Where its state is saved, if it is.
    pub(crate) file: Option<StateFile>,
    /// The last record that it has handled.
    pub(crate) position: Option<Position>,
    /// The time of the newest record that it has handled.
    pub(crate) at: Timestamp,
    /// The findings of the current step.
    pub(crate) findings: Unreported,
    pub(crate) has_read: bool,
    /// Whether something is not saved yet.
    pub(crate) dirty: bool,
    pub(crate) saved: Monotonic,
    pub(crate) deadline: Option<Timestamp>,
    /// The record whose reports may have been made before.
    pub(crate) doubt: Option<Position>,
    /// Log lines about this monitor carry its config file.
    pub(crate) span: Span,
}

/// Findings that are not reported yet.
#[derive(Default)]
pub(crate) struct Unreported {
    pub(crate) statuses: Vec<Status>,
    pub(crate) suppressed: Vec<Box<str>>,
}

impl Findings for Unreported {
    fn status(&mut self, status: Status) {
        self.statuses.push(status);
    }

    fn suppressed(&mut self, reason: &str) {
        self.suppressed.push(reason.into());
    }
}

// === impl StatefulMonitor ===

impl StatefulMonitor {
    /// A monitor that has not handled any record.
    pub(crate) fn new(path: PathBuf, monitor: SystemLog, file: Option<StateFile>) -> Self {
        Self {
            span: monitor::span(&path),
            path,
            position: None,
            at: monitor.start(),
            findings: Unreported::default(),
            has_read: false,
            dirty: true,
            saved: Monotonic::default(),
            deadline: None,
            doubt: None,
            file,
            monitor,
        }
    }

    /// Loads the saved state.
    pub(crate) fn load(&mut self) {
        let _span = self.span.enter();
        let Some(file) = &mut self.file else { return };
        let Some(kept) = warn_on_error(file.load::<SystemLogState>()).flatten() else { return };
        let Kept { position, at, state, before_boot, doubt } = kept;
        self.at = at;
        self.doubt = doubt;
        let state = if before_boot { state.after_boot() } else { state };
        self.monitor.restore(state);
        match position {
            // Sequence numbers start over with each boot.
            Some(Position::Kernel(_)) if before_boot => self.monitor.resume_after(at),
            None => self.monitor.resume_after(at),
            position => {
                self.position = position;
                self.monitor.resume();
            }
        }
    }

    /// Saves the state; `confirmed` unless it contains findings that are still to be reported.
    pub(crate) fn save(&mut self, confirmed: bool) {
        let _span = self.span.enter();
        let Some(file) = &mut self.file else { return };
        let state = &self.monitor.state();
        let keep = Keep { position: self.position, doubt: self.doubt, at: self.at, state };
        file.save_or_warn(&keep, confirmed);
        self.dirty = false;
    }

    /// Marks the reports of the saved state as made.
    pub(crate) fn confirm(&mut self) {
        let _span = self.span.enter();
        if let Some(file) = &mut self.file {
            file.confirm_or_warn();
        }
    }

    /// Has the saved state survive a loss of power as well.
    pub(crate) fn sync(&self) {
        let _span = self.span.enter();
        if let Some(file) = &self.file {
            warn_on_error(file.sync());
        }
    }

    /// Whether the reports of the record at this position may have been made before.
    pub(crate) fn is_in_doubt(&self, position: Option<Position>) -> bool {
        position.zip(self.doubt).is_some_and(|(position, doubt)| position.is_same_place(&doubt))
    }

    pub(crate) fn update_deadline(&mut self) {
        self.deadline = self.monitor.deadline();
    }
}
