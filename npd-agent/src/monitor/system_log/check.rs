//! What only the node knows: whether a problem that a line told of goes on.
//!
//! The monitor asks, somebody at the edge looks at /proc and /sys and answers. The first answer is only a baseline:
//! what the subject looked like when the problem was new.

use super::Key;
use crate::config::system_log::RecheckKind;

/// A question to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub(super) condition: usize,
    pub(super) rule: usize,
    pub(super) key: Key,
    /// What is asked.
    pub kind: RecheckKind,
    /// Of whom: a block device, a process id, a network interface.
    pub subject: String,
    /// What the node said before; nothing the first time.
    pub evidence: Option<String>,
}

/// The node's answer to a [`Check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the problem goes on.
    pub verdict: Verdict,
    /// What the next question comes with.
    pub evidence: String,
}

/// Whether a problem goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does, or nobody can tell: the absence of a sign is no recovery.
    Holds,
    /// It does not.
    Over,
}
