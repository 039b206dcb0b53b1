//! One condition and the problems that hold it True.
//!
//! Each permanent rule whose problem goes on is active, once for each occurrence that it tells apart. The condition is
//! True while anything is active; its reason and message are those of what became active last. A rule that is active
//! already and matches again changes nothing, so two rules that alternate do not make it flap.

use serde::{Deserialize, Serialize};

use super::{Action, Answer, Check, Key, Verdict, counter::is_named, nanos, reason_of};
use crate::{
    config::system_log::ConditionDefinition,
    problem::{Condition, ConditionStatus},
    rules::Hit,
    time::Timestamp,
};

/// Problems that can hold a condition at once; beyond it the oldest is no longer followed.
const ACTIVE_MAX: usize = 256;

/// A condition.
#[derive(Debug)]
pub(super) struct ConditionState {
    healthy: ConditionDefinition,
    /// As it is reported.
    pub(super) now: Condition,
    /// The one that became active last is last.
    active: Vec<Active>,
}

/// A problem that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Active {
    pub(super) rule: usize,
    pub(super) key: Key,
    pub(super) details: ActiveDetails,
}

/// What is remembered of a problem that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ActiveDetails {
    /// When its rule matched last.
    pub(super) last: Timestamp,
    pub(super) message: String,
    /// When the node is to be asked about it.
    pub(super) next_check: Option<Timestamp>,
    /// What the node said when it was asked last.
    pub(super) evidence: Option<String>,
}

/// Something about a condition has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) at: Timestamp,
    /// A problem has come, not gone.
    pub(super) worse: bool,
}

// === impl ConditionState ===

impl ConditionState {
    /// As it is while all is well.
    pub(super) fn new(healthy: ConditionDefinition, now: Timestamp) -> Self {
        Self { now: healthy.healthy(now), healthy, active: Vec::new() }
    }

    /// A permanent rule has matched.
    pub(super) fn activate(
        &mut self,
        rule: usize,
        key: Key,
        action: &Action,
        hit: &Hit,
        message: String,
    ) -> Option<Change> {
        let at = hit.timestamp;
        if self.touch(rule, &key, at) {
            return None;
        }
        if self.active.len() == ACTIVE_MAX {
            self.active.remove(0);
        }
        // Of a rule that tells occurrences apart another one is news, of any other the same reason is none.
        let tells_apart = !key.is_empty();
        let next_check = action.recheck.map(|_| at);
        let details = ActiveDetails { last: at, message: message.clone(), next_check, evidence: None };
        self.active.push(Active { rule, key, details });
        let known = self.now.status == ConditionStatus::True && self.now.reason == action.reason;
        if known && !tells_apart {
            return None;
        }
        self.now.message = message;
        if !known {
            self.now.status = ConditionStatus::True;
            self.now.reason = action.reason.clone();
            self.now.transition = at;
        }
        Some(Change { at, worse: true })
    }

    /// A permanent rule has matched; `true` when it is active already.
    pub(super) fn touch(&mut self, rule: usize, key: &Key, at: Timestamp) -> bool {
        let known = self.active.iter_mut().find(|active| active.rule == rule && active.key == *key);
        known.map(|active| active.details.last = active.details.last.max(at)).is_some()
    }

    /// A line says that problems of `rule` are over.
    pub(super) fn clear(
        &mut self,
        rule: usize,
        named: &[Option<String>],
        actions: &[Action],
        at: Timestamp,
    ) -> Option<Change> {
        self.active.retain(|active| active.rule != rule || !is_named(&active.key, named));
        self.settle(actions, at)
    }

    /// When [`Self::expire`] or [`Self::checks`] has something.
    pub(super) fn deadline(&self, actions: &[Action]) -> Option<Timestamp> {
        self.active
            .iter()
            .filter_map(|active| active.end(actions).into_iter().chain(active.details.next_check).min())
            .min()
    }

    /// Ends what is over by `now`, one moment after the other.
    pub(super) fn expire(&mut self, actions: &[Action], now: Timestamp) -> Option<Change> {
        loop {
            let first = self.active.iter().filter_map(|active| active.end(actions)).min().filter(|end| *end <= now)?;
            self.active.retain(|active| active.end(actions) != Some(first));
            if let Some(change) = self.settle(actions, first) {
                return Some(change);
            }
        }
    }

    /// The questions that are due.
    pub(super) fn checks(&self, condition: usize, actions: &[Action], now: Timestamp) -> Vec<Check> {
        let due = self.active.iter().filter(|active| active.details.next_check.is_some_and(|at| at <= now));
        due.filter_map(|active| {
            let action = actions.get(active.rule)?;
            let kind = action.recheck?.what;
            let subject = action.by.iter().position(|name| &**name == kind.subject())?;
            Some(Check {
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

    /// Takes the answer to a question. The first one is the baseline and ends nothing.
    pub(super) fn answer(
        &mut self,
        check: &Check,
        answer: Answer,
        actions: &[Action],
        now: Timestamp,
    ) -> Option<Change> {
        let index = self.active.iter().position(|active| active.rule == check.rule && active.key == check.key)?;
        let every = actions.get(check.rule)?.recheck?.every;
        let details = &mut self.active.get_mut(index)?.details;
        if answer.verdict == Verdict::Over && details.evidence.is_some() {
            self.active.remove(index);
            return self.settle(actions, now);
        }
        details.evidence = Some(answer.evidence);
        details.next_check = Some(now.shift(nanos(every)));
        None
    }

    /// Makes the condition fit what is still active.
    fn settle(&mut self, actions: &[Action], at: Timestamp) -> Option<Change> {
        if self.now.status != ConditionStatus::True {
            return None;
        }
        let Some(newest) = self.active.last() else {
            self.now.status = ConditionStatus::False;
            self.now.reason = self.healthy.reason.clone();
            self.now.message.clone_from(&self.healthy.message);
            self.now.transition = at;
            return Some(Change { at, worse: false });
        };
        let reason = reason_of(actions, newest.rule);
        if self.active.iter().any(|active| active.details.message == self.now.message) && self.now.reason == reason {
            return None;
        }
        self.now.message.clone_from(&newest.details.message);
        if self.now.reason != reason {
            self.now.reason = reason;
            self.now.transition = at;
        }
        Some(Change { at, worse: false })
    }

    /// What is active.
    pub(super) fn active(&self) -> &[Active] {
        &self.active
    }

    /// Goes on with what was active before; `before` is the condition as it was reported then.
    pub(super) fn restore(&mut self, before: Condition, active: Vec<Active>, complete: bool, actions: &[Action]) {
        let healthy_as_before = before.status != ConditionStatus::False || before.reason == self.healthy.reason;
        self.active = active;
        if complete && healthy_as_before && (before.status == ConditionStatus::True) != self.active.is_empty() {
            let message = if self.active.is_empty() { self.healthy.message.clone() } else { before.message };
            self.now = Condition { message, ..before };
            return;
        }
        // A rule has gone, or the condition has got other words: what is left decides.
        let at = self.now.transition;
        if let Some(newest) = self.active.last() {
            let reason = reason_of(actions, newest.rule);
            let same = before.status == ConditionStatus::True && before.reason == reason;
            self.now.status = ConditionStatus::True;
            self.now.transition = if same { before.transition } else { at };
            self.now.message.clone_from(&newest.details.message);
            self.now.reason = reason;
        }
    }
}

// === impl Active ===

impl Active {
    /// When it is over by itself.
    fn end(&self, actions: &[Action]) -> Option<Timestamp> {
        let action = actions.get(self.rule)?;
        if let Some(after) = action.clear_after {
            return Some(self.details.last.shift(nanos(after)));
        }
        // Frequent restarts are over when they are no longer frequent, unless the rule has another end.
        let counter = action.counter.as_ref().filter(|_| action.has_no_end())?;
        Some(counter.holds_until(&self.key).unwrap_or(self.details.last))
    }
}
