//! Questions to the node: does a problem that a line reported go on?
//!
//! The monitor only asks; [`monitor::recheck`](crate::monitor::recheck) looks at /proc and /sys and answers. The first
//! answer is only a baseline: the state of the subject when the problem was new.

use super::Key;
use crate::config::system_log::RecheckKind;

/// A question to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub(super) condition: usize,
    pub(super) rule: usize,
    pub(super) key: Key,
    /// What is asked.
    pub kind: RecheckKind,
    /// A block device, a process id or a network interface.
    pub subject: String,
    /// The evidence of the previous answer; `None` the first time.
    pub evidence: Option<String>,
}

/// The node's answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the problem goes on.
    pub holds: Holds,
    /// What was seen; it is part of the next question.
    pub evidence: String,
}

/// Whether a problem goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It does, or that cannot be seen: the absence of a sign is not a recovery.
    Yes,
    /// It does not.
    No,
}
