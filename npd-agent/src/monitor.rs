//! What watches the node and turns what it sees into statuses.

pub mod quote;
pub mod recheck;
pub mod system_log;
pub mod system_logs;
pub mod system_stats;

use std::sync::Arc;

/// What a monitor can report, known before it reports anything: the metrics of each start at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// All reasons.
    pub reasons: Vec<Arc<str>>,
    /// Condition types with the reasons that make them True.
    pub conditions: Vec<(Arc<str>, Arc<str>)>,
}
