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

use crate::{go::quote::quote, problem::Condition};

/// What the event says that tells of a condition's change, in node-problem-detector's words.
pub(crate) fn announcement(condition: &Condition) -> String {
    let Condition { kind, status, reason, message, .. } = condition;
    format!("Node condition {kind} is now: {status}, reason: {reason}, message: {}", quote(message))
}
