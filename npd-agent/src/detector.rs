//! The problem detector: from monitors to exporters.
//!
//! There is no queue here: the thread that finds a problem hands it to the exporters, which is the fastest way.
//! An exporter that is inherently slow, such as one that talks to a server, has its own bounded queue.

use parking_lot::Mutex;

use crate::{
    exporter::Exporter,
    problem::{Declared, Status},
};

/// Passes statuses on to the exporters; shared by all monitors.
pub struct Detector {
    exporters: Mutex<Vec<Box<dyn Exporter>>>,
}

// === impl Detector ===

impl Detector {
    /// A detector with these exporters.
    #[must_use]
    pub fn new(exporters: Vec<Box<dyn Exporter>>) -> Self {
        Self { exporters: Mutex::new(exporters) }
    }

    /// Hands a status to each exporter in turn.
    pub fn report(&self, status: &Status) {
        for exporter in self.exporters.lock().iter_mut() {
            exporter.export(status);
        }
    }

    /// Reports the status of a monitor whose config was changed. Conditions that only `before` has are no longer watched.
    pub fn report_replaced(&self, before: Status, now: &Status) {
        if let Some(gone) = before.no_longer_watched(now) {
            self.report(&gone);
        }
        self.report(now);
    }

    /// Declares to each exporter what a monitor can report.
    pub fn declare(&self, declared: &Declared) {
        for exporter in self.exporters.lock().iter_mut() {
            exporter.declare(declared);
        }
    }
}
