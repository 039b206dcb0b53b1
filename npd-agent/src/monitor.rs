//! What watches the node and turns what it sees into statuses.

#[cfg(feature = "custom-plugin")]
pub mod custom_plugin;
#[cfg(not(feature = "custom-plugin"))]
#[path = "monitor/custom_plugin/absent.rs"]
pub mod custom_plugin;
pub mod recheck;
pub mod system_log;
#[cfg(feature = "system-stats")]
pub mod system_stats;
#[cfg(not(feature = "system-stats"))]
#[path = "monitor/system_stats/absent.rs"]
pub mod system_stats;

use std::sync::Arc;

use crate::{go::quote::quote, problem::Condition};

/// What the event says that tells of a condition's change, in node-problem-detector's words.
pub(crate) fn announcement(condition: &Condition) -> String {
    let Condition { kind, status, reason, message, .. } = condition;
    format!("Node condition {kind} is now: {status}, reason: {reason}, message: {}", quote(message))
}

/// What a monitor can report, known before it reports anything. Declared anew, it replaces what was declared before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Which monitor it is, as in its [`Status`](crate::problem::Status).
    pub monitor: Arc<str>,
    /// The types of its conditions.
    pub conditions: Vec<Arc<str>>,
    /// What is counted of it: the metrics of each start at zero.
    pub counted: Counted,
}

/// What of a monitor becomes metrics; nothing when its config says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// All reasons.
    pub reasons: Vec<Arc<str>>,
    /// Condition types with the reasons that make them True.
    pub conditions: Vec<(Arc<str>, Arc<str>)>,
}
