//! What waits to be sent, kept in a file, so that an agent that is killed leaves it to the next one.
//!
//! While little waits, each change is written at once: what a monitor takes for reported is in the file before. While
//! much waits, which is when the API server is away, it is written once a second. An Event that was sent and whose
//! removal from the file was not written is asked for again, and found under its name.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    exporter::kubernetes::events::queue::{EventQueue, Pending},
    state::{Keep, StateFile, tell},
    time::Timestamp,
};

/// So many series are written at once.
const FEW: usize = 32;
/// More of them are written this far apart.
const APART: Duration = Duration::from_secs(1);

/// The file, if there is one.
#[derive(Debug)]
pub(crate) struct Outbox {
    file: Option<StateFile>,
    written: Option<Instant>,
    /// What waits is not as the file has it.
    is_dirty: bool,
    /// It was written when that was tried last.
    is_written: bool,
}

// === impl Outbox ===

impl Outbox {
    /// The file, and what an agent before this one has left in it.
    pub(crate) fn open(mut file: Option<StateFile>) -> (Self, Vec<Pending>) {
        let kept = file.as_mut().and_then(|file| tell(file.load::<Vec<Pending>>()).flatten());
        let left = kept.map(|kept| kept.state).unwrap_or_default();
        (Self { file, written: None, is_dirty: false, is_written: true }, left)
    }

    /// Something has changed in what waits: it is written, now or when it is [`due`](Self::due).
    pub(crate) fn changed(&mut self, events: &EventQueue, now: Instant) {
        self.is_dirty = true;
        if events.waiting() <= FEW || self.due().is_none_or(|due| due <= now) {
            self.write(events, now);
        }
    }

    /// Writes what is not written yet: whether all that waits is in the file then.
    pub(crate) fn flush(&mut self, events: &EventQueue, now: Instant) -> bool {
        if self.is_dirty {
            self.write(events, now);
        }
        self.file.is_some() && self.is_written
    }

    /// When something has to be written.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.written.filter(|_| self.is_dirty).map(|at| at + APART)
    }

    fn write(&mut self, events: &EventQueue, now: Instant) {
        self.is_dirty = false;
        self.written = Some(now);
        let Some(file) = &mut self.file else { return };
        let keep = Keep { position: None, doubt: None, at: Timestamp::default(), state: &events.pending() };
        self.is_written = file.save_or_tell(&keep, true);
    }
}
