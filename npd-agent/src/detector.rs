//! The problem detector: from monitors to exporters, one status after the other.

use tokio::sync::mpsc;

use crate::{exporter::Exporter, problem::Status};

/// How many statuses may wait for the exporters. A source that is faster waits; the ring and /dev/kmsg hold
/// what comes meanwhile.
const WAITING_MAX: usize = 1024;

/// Where monitors send their statuses.
pub type StatusSender = mpsc::Sender<Status>;

/// The way of statuses to the exporters.
pub struct Detector {
    statuses: mpsc::Receiver<Status>,
    exporters: Vec<Box<dyn Exporter>>,
}

// === impl Detector ===

impl Detector {
    /// A detector and the way in.
    #[must_use]
    pub fn new(exporters: Vec<Box<dyn Exporter>>) -> (Self, StatusSender) {
        let (sender, statuses) = mpsc::channel(WAITING_MAX);
        (Self { statuses, exporters }, sender)
    }

    /// Hands on statuses until all senders are gone and everything sent was handed on.
    pub async fn run(mut self) {
        while let Some(status) = self.statuses.recv().await {
            for exporter in &mut self.exporters {
                exporter.export(&status);
            }
        }
    }
}
