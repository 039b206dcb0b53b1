//! Exporters: what carries statuses out of the agent.

#[cfg(feature = "kubernetes")]
pub mod kubernetes;
#[cfg(not(feature = "kubernetes"))]
#[path = "exporter/kubernetes/absent.rs"]
pub mod kubernetes;
pub(crate) mod log;
pub(crate) mod node_conditions;
pub(crate) mod prometheus;
pub(crate) mod recent;

use crate::problem::{Declared, Status};

/// An exporter. `export` is called on the thread that found the problem, one status at a time, and must not block: a slow
/// exporter has a bounded queue of its own.
pub trait Exporter: Send {
    /// Reports a status.
    fn export(&mut self, status: &Status);

    /// Takes what a monitor can report, before it reports anything.
    fn declare(&mut self, _declared: &Declared) {}
}
