//! One condition and the problems that hold it True.
//!
//! The problem of a permanent rule is active while it goes on, once for each occurrence that the rule distinguishes. The
//! condition is True while any problem is active; its reason and message are those of the problem that became active
//! last. Another match of an active problem changes nothing, so two rules that alternate do not make the condition flap.

use serde::{Deserialize, Serialize};

use super::{
    Action, Key,
    counter::is_named,
    nanos, reason_of,
    recheck::{Answer, Holds, Question},
};
use crate::{
    config::ConditionDefinition,
    monitor::condition::ConditionState,
    problem::{Condition, ConditionStatus},
    rules::Hit,
    time::Timestamp,
};

/// Maximum number of active problems of a condition; beyond it the oldest one is no longer tracked.
const ACTIVE_MAX: usize = 256;

/// A condition of permanent rules.
#[derive(Debug)]
pub(super) struct LogCondition {
    pub(super) state: ConditionState,
    /// The problem that became active last is last.
    active: Vec<Active>,
}

/// An active problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Active {
    pub(super) rule: usize,
    pub(super) key: Key,
    pub(super) details: ActiveDetails,
}

/// What is saved of an active problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ActiveDetails {
    /// When its rule matched last.
    pub(super) last: Timestamp,
    pub(super) message: String,
    /// When the node is asked about it next.
    pub(super) next_check: Option<Timestamp>,
    /// What the node answered last.
    pub(super) evidence: Option<String>,
}

/// A change of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) at: Timestamp,
    /// Whether a problem has begun rather than ended.
    pub(super) worse: bool,
}

// === impl LogCondition ===

impl LogCondition {
    /// The condition without a problem.
    pub(super) fn new(healthy: ConditionDefinition, now: Timestamp) -> Self {
        Self { state: ConditionState::new(healthy, now), active: Vec::new() }
    }

    /// Handles a match of a permanent rule.
    pub(super) fn activate(
        &mut self,
        rule: usize,
        key: Key,
        action: &Action,
        hit: &Hit,
        message: &str,
    ) -> Option<Change> {
        let at = hit.timestamp;
        if self.touch(rule, &key, at) {
            return None;
        }
        if self.active.len() == ACTIVE_MAX {
            self.active.remove(0);
        }
        // If the rule distinguishes occurrences, each of them is news; otherwise the same reason is not.
        let distinguishes = !key.is_empty();
        let next_check = action.recheck.map(|_| at);
        let details = ActiveDetails { last: at, message: message.to_owned(), next_check, evidence: None };
        self.active.push(Active { rule, key, details });
        let known = self.state.now.status == ConditionStatus::True && self.state.now.reason == action.reason;
        if known && !distinguishes {
            return None;
        }
        self.state.set(ConditionStatus::True, &action.reason, message, at);
        Some(Change { at, worse: true })
    }

    /// Handles a match of a permanent rule; `true` if its problem is active already.
    pub(super) fn touch(&mut self, rule: usize, key: &Key, at: Timestamp) -> bool {
        let known = self.active.iter_mut().find(|active| active.rule == rule && active.key == *key);
        known.map(|active| active.details.last = active.details.last.max(at)).is_some()
    }

    /// Handles a line that says that problems of `rule` are over.
    pub(super) fn clear(
        &mut self,
        rule: usize,
        named: &[Option<String>],
        actions: &[Action],
        at: Timestamp,
    ) -> Option<Change> {
        self.active.retain(|active| active.rule != rule || !is_named(&active.key, named));
        self.update(actions, at)
    }

    /// When [`Self::expire`] or [`Self::questions`] has something to do.
    pub(super) fn deadline(&self, actions: &[Action]) -> Option<Timestamp> {
        self.active
            .iter()
            .filter_map(|active| active.end(actions).into_iter().chain(active.details.next_check).min())
            .min()
    }

    /// Ends the problems that are over by `now`, in the order of their ends.
    pub(super) fn expire(&mut self, actions: &[Action], now: Timestamp) -> Option<Change> {
        loop {
            let first = self.active.iter().filter_map(|active| active.end(actions)).min().filter(|end| *end <= now)?;
            self.active.retain(|active| active.end(actions) != Some(first));
            if let Some(change) = self.update(actions, first) {
                return Some(change);
            }
        }
    }

    /// The questions to the node that are due.
    pub(super) fn questions(&self, condition: usize, actions: &[Action], now: Timestamp) -> Vec<Question> {
        let due = self.active.iter().filter(|active| active.details.next_check.is_some_and(|at| at <= now));
        due.filter_map(|active| {
            let action = actions.get(active.rule)?;
            let kind = action.recheck?.what;
            let subject = action.by.iter().position(|name| &**name == kind.subject())?;
            Some(Question {
                condition,
                rule: active.rule,
                key: active.key.clone(),
                kind,
                subject: active.key.get(subject)?.clone(),
                evidence: active.details.evidence.clone(),
            })
        })
        .collect()
    }

    /// Handles the answer to a question. The first answer is the baseline and ends nothing.
    pub(super) fn answer(
        &mut self,
        question: &Question,
        answer: Answer,
        actions: &[Action],
        now: Timestamp,
    ) -> Option<Change> {
        let index = self.active.iter().position(|active| active.rule == question.rule && active.key == question.key)?;
        let every = actions.get(question.rule)?.recheck?.every;
        let details = &mut self.active.get_mut(index)?.details;
        if answer.holds == Holds::No && details.evidence.is_some() {
            self.active.remove(index);
            return self.update(actions, now);
        }
        details.evidence = Some(answer.evidence);
        details.next_check = Some(now.shift(nanos(every)));
        None
    }

    /// Updates the condition from the problems that are still active.
    fn update(&mut self, actions: &[Action], at: Timestamp) -> Option<Change> {
        let now = &self.state.now;
        if now.status != ConditionStatus::True {
            return None;
        }
        let Some(newest) = self.active.last() else {
            self.state.set_healthy(at);
            return Some(Change { at, worse: false });
        };
        let reason = reason_of(actions, newest.rule);
        if self.active.iter().any(|active| active.details.message == now.message) && now.reason == reason {
            return None;
        }
        self.state.set(ConditionStatus::True, &reason, &newest.details.message, at);
        Some(Change { at, worse: false })
    }

    /// The active problems.
    pub(super) fn active(&self) -> &[Active] {
        &self.active
    }

    /// Restores the problems that were active before; `before` is the condition as it was reported then.
    pub(super) fn restore(&mut self, before: Condition, active: Vec<Active>, complete: bool, actions: &[Action]) {
        let ConditionState { healthy, now } = &mut self.state;
        let healthy_as_before = before.status != ConditionStatus::False || before.reason == healthy.reason;
        self.active = active;
        if complete && healthy_as_before && (before.status == ConditionStatus::True) != self.active.is_empty() {
            let message = if self.active.is_empty() { healthy.message.clone() } else { before.message };
            *now = Condition { message, ..before };
            return;
        }
        // A rule was removed, or the healthy reason was changed: the remaining problems decide.
        let at = now.transition;
        if let Some(newest) = self.active.last() {
            let reason = reason_of(actions, newest.rule);
            let same = before.status == ConditionStatus::True && before.reason == reason;
            now.status = ConditionStatus::True;
            now.transition = if same { before.transition } else { at };
            now.message.clone_from(&newest.details.message);
            now.reason = reason;
        }
    }
}

// === impl Active ===

impl Active {
    /// When it ends by itself.
    fn end(&self, actions: &[Action]) -> Option<Timestamp> {
        let action = actions.get(self.rule)?;
        if let Some(after) = action.clear_after {
            return Some(self.details.last.shift(nanos(after)));
        }
        // A problem that is counted ends once it is no longer frequent, unless its rule names another end.
        let counter = action.counter.as_ref().filter(|_| action.has_no_end())?;
        Some(counter.holds_until(&self.key).unwrap_or(self.details.last))
    }
}
