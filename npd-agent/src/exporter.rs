//! What carries statuses out of the agent.

#[cfg(feature = "kubernetes")]
pub mod kubernetes;
#[cfg(not(feature = "kubernetes"))]
#[path = "exporter/kubernetes/absent.rs"]
pub mod kubernetes;
pub mod log;
pub mod node_conditions;
pub mod prometheus;
pub mod recent;

use crate::{problem::Declared, problem::Status};

/// A way out. `export` is called on the thread that found the problem, for one status after the other, and must not
/// block: whatever is slow queues, within bounds, on its own.
pub trait Exporter: Send {
    /// Takes a status.
    fn export(&mut self, status: &Status);

    /// Learns what a monitor can report, before it reports anything.
    fn declare(&mut self, _declared: &Declared) {}
}
