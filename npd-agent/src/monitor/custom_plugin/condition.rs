//! One condition and the findings of its rules.
//!
//! The worst finding counts: the condition is True while any rule finds a problem, and Unknown while none does but the
//! status of one is unknown. If several rules have the worst status, the one that got it last gives reason and message,
//! and keeps giving them while it has that status. So rules never take turns in one condition.

use super::{CheckStatus, Finding};
use crate::{
    config::ConditionDefinition,
    monitor::condition::ConditionState,
    problem::{Condition, ConditionStatus},
    time::Timestamp,
};

/// A condition of plugin rules.
#[derive(Debug)]
pub(super) struct PluginCondition {
    pub(super) state: ConditionState,
    /// Whether its status is the result of runs.
    pub(super) known: bool,
}

/// How an update changed a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Not at all.
    None,
    /// It says what it said, but is known only now.
    Known,
    /// It has a new problem, or its problem has a new reason.
    Worse,
    /// In any other way.
    Other,
}

// === impl PluginCondition ===

impl PluginCondition {
    /// The condition before the first result.
    pub(super) fn new(healthy: ConditionDefinition, now: Timestamp) -> Self {
        Self { state: ConditionState::new(healthy, now), known: false }
    }

    /// Updates it from the findings of its rules, each with its index in the file; `None` for a rule that has not run.
    /// `cause` is the rule that has run last.
    pub(super) fn update<'a>(
        &mut self,
        found: impl Iterator<Item = (usize, Option<&'a Finding>)> + Clone,
        cause: usize,
        message_changes: bool,
        now: Timestamp,
    ) -> Change {
        let complete = found.clone().all(|(_, finding)| finding.is_some());
        let findings = found.filter_map(|(rule, finding)| Some((rule, finding?)));
        let Some((rule, worst)) = findings.max_by_key(|(_, finding)| (finding.status, finding.since)) else {
            return Change::None;
        };
        if worst.status == CheckStatus::Ok && !complete {
            return Change::None;
        }
        let was_known = std::mem::replace(&mut self.known, true);
        let status = match worst.status {
            CheckStatus::Ok => ConditionStatus::False,
            CheckStatus::Unknown => ConditionStatus::Unknown,
            CheckStatus::Problem => ConditionStatus::True,
        };
        let before = &self.state.now;
        let is_news = status != before.status
            || (status != ConditionStatus::False && worst.reason != before.reason)
            || (status == ConditionStatus::True && message_changes && worst.message != before.message);
        if !is_news {
            return if was_known { Change::None } else { Change::Known };
        }
        let was_true = before.status == ConditionStatus::True;
        match status {
            ConditionStatus::False => self.state.set_healthy(now),
            ConditionStatus::True | ConditionStatus::Unknown => {
                self.state.set(status, &worst.reason, &worst.message, now)
            }
        };
        // As in node-problem-detector, a new message is a transition too.
        self.state.now.transition = now;
        // If one of two problems is over, the other one is not a change for the worse.
        let is_problem = status == ConditionStatus::True && (!was_true || rule == cause);
        if is_problem { Change::Worse } else { Change::Other }
    }

    /// Continues as it was reported before.
    pub(super) fn restore(&mut self, before: Condition) {
        self.known = true;
        let ConditionState { healthy, now } = &mut self.state;
        if before.status != ConditionStatus::False {
            *now = before;
        } else if before.reason == healthy.reason {
            now.transition = before.transition;
        }
    }
}
