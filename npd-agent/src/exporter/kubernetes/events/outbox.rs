//! The series that wait to be sent, saved in a file, so that an agent that is killed leaves them to the next one.
//!
//! While few wait, each change is written at once: by the time a monitor considers a problem reported, it is in the file.
//! While many wait, which happens when the API server is unreachable, the file is written once a second. An Event that
//! was sent, but whose removal from the file was not written, is created again and then found under its name.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    exporter::kubernetes::events::queue::{EventQueue, Pending},
    state::{Keep, StateFile, warn_on_error},
    time::Timestamp,
};

/// Number of waiting series up to which each change is written at once.
const FEW: usize = 32;
/// Minimum interval between writes while more series wait.
const APART: Duration = Duration::from_secs(1);

/// The file, if there is one.
#[derive(Debug)]
pub(crate) struct Outbox {
    file: Option<StateFile>,
    written: Option<Instant>,
    /// The file is out of date.
    is_dirty: bool,
    /// Whether the last write succeeded.
    is_written: bool,
}

// === impl Outbox ===

impl Outbox {
    /// Opens the outbox. Returns also what a previous agent left in it.
    pub(crate) fn open(mut file: Option<StateFile>) -> (Self, Vec<Pending>) {
        let kept = file.as_mut().and_then(|file| warn_on_error(file.load::<Vec<Pending>>()).flatten());
        let left = kept.map(|kept| kept.state).unwrap_or_default();
        (Self { file, written: None, is_dirty: false, is_written: true }, left)
    }

    /// Something has changed in what waits: writes it, now or when it is [`due`](Self::due).
    pub(crate) fn changed(&mut self, events: &EventQueue, now: Instant) {
        self.is_dirty = true;
        if events.waiting() <= FEW || self.due().is_none_or(|due| due <= now) {
            self.write(events, now);
        }
    }

    /// Writes what is not written yet. Returns whether everything that waits is in the file.
    pub(crate) fn flush(&mut self, events: &EventQueue, now: Instant) -> bool {
        if self.is_dirty {
            self.write(events, now);
        }
        self.file.is_some() && self.is_written
    }

    /// When the file has to be written.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.written.filter(|_| self.is_dirty).map(|at| at + APART)
    }

    fn write(&mut self, events: &EventQueue, now: Instant) {
        self.is_dirty = false;
        self.written = Some(now);
        let Some(file) = &mut self.file else { return };
        let keep = Keep { position: None, doubt: None, at: Timestamp::default(), state: &events.pending() };
        self.is_written = file.save_or_warn(&keep, true);
    }
}
