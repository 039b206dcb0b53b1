//! One condition and what its rules say of it.
//!
//! The worst that a rule says counts: True while any has a problem, Unknown while none has and one cannot tell. Of several
//! rules that say the worst, the one that began to say so last gives reason and message, and keeps giving them as long as
//! it says so. So rules never take turns in one condition.

use super::{CheckStatus, Finding};
use crate::{
    config::ConditionDefinition,
    problem::{Condition, ConditionStatus},
    time::Timestamp,
};

/// A condition.
#[derive(Debug)]
pub(super) struct ConditionState {
    healthy: ConditionDefinition,
    /// As it is reported.
    pub(super) now: Condition,
    /// Whether it stands for something that was found out.
    pub(super) known: bool,
}

/// What has become of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// It is as it was, but known only now.
    Known,
    /// A problem has come, or has got another reason.
    Worse,
    /// Anything else.
    Other,
}

// === impl ConditionState ===

impl ConditionState {
    /// As it is before anything is known.
    pub(super) fn new(healthy: ConditionDefinition, now: Timestamp) -> Self {
        Self { now: healthy.healthy(now), healthy, known: false }
    }

    /// Makes it fit what its rules have found, each with its place in the file; nothing for one that has not run. `cause`
    /// is the rule that has run last.
    pub(super) fn settle<'a>(
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
        let is_news = status != self.now.status
            || (status != ConditionStatus::False && worst.reason != self.now.reason)
            || (status == ConditionStatus::True && message_changes && worst.message != self.now.message);
        if !is_news {
            return if was_known { Change::None } else { Change::Known };
        }
        let was_true = self.now.status == ConditionStatus::True;
        let (reason, message) = match status {
            ConditionStatus::False => (&self.healthy.reason, &self.healthy.message),
            ConditionStatus::True | ConditionStatus::Unknown => (&worst.reason, &worst.message),
        };
        self.now.reason = reason.clone();
        self.now.message.clone_from(message);
        self.now.status = status;
        self.now.transition = now;
        // One problem less, and another one left, is no worse.
        let is_problem = status == ConditionStatus::True && (!was_true || rule == cause);
        if is_problem { Change::Worse } else { Change::Other }
    }

    /// Goes on as it was reported before.
    pub(super) fn restore(&mut self, before: Condition) {
        self.known = true;
        if before.status != ConditionStatus::False {
            self.now = before;
        } else if before.reason == self.healthy.reason {
            self.now.transition = before.transition;
        }
    }
}
