//! A condition as its monitor reports it.
//!
//! What all kinds of monitor share: the text while all is well, when a transition counts, and the event that announces a
//! change. When a condition is True is up to each kind.

use std::sync::Arc;

use crate::{
    config::ConditionDefinition,
    go::quote::quote,
    problem::{Condition, ConditionStatus, Event, Fields, Severity},
    time::Timestamp,
};

/// A condition, and what it says while there is no problem.
#[derive(Debug)]
pub(super) struct ConditionState {
    pub(super) healthy: ConditionDefinition,
    /// As it is reported.
    pub(super) now: Condition,
}

// === impl ConditionState ===

impl ConditionState {
    /// The condition without a problem.
    pub(super) fn new(healthy: ConditionDefinition, now: Timestamp) -> Self {
        Self { now: healthy.healthy(now), healthy }
    }

    /// Its type.
    pub(super) fn kind(&self) -> &Arc<str> {
        &self.now.kind
    }

    /// Sets what it says; `true` if that changes its status or reason. Only such a change is a transition, another message
    /// is not.
    pub(super) fn set(&mut self, status: ConditionStatus, reason: &Arc<str>, message: &str, at: Timestamp) -> bool {
        message.clone_into(&mut self.now.message);
        if self.now.status == status && self.now.reason == *reason {
            return false;
        }
        (self.now.status, self.now.reason, self.now.transition) = (status, reason.clone(), at);
        true
    }

    /// Sets that there is no problem; `true` if that changes its status or reason.
    pub(super) fn set_healthy(&mut self, at: Timestamp) -> bool {
        let ConditionDefinition { reason, message, .. } = self.healthy.clone();
        self.set(ConditionStatus::False, &reason, &message, at)
    }

    /// The event that announces its change, in node-problem-detector's words. `rule` is a JSON pointer to the rule that
    /// made the change.
    pub(super) fn announcement(
        &self,
        severity: Severity,
        at: Timestamp,
        rule: Option<Arc<str>>,
        fields: Fields,
    ) -> Event {
        let Condition { kind, status, reason, message, .. } = &self.now;
        let text = format!("Node condition {kind} is now: {status}, reason: {reason}, message: {}", quote(message));
        Event { rule, condition: Some(kind.clone()), fields, ..Event::new(severity, at, reason.clone(), text) }
    }
}
