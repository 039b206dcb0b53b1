//! The system log monitor: records in, statuses out, by the rules of one config file.
//!
//! The semantics are node-problem-detector's. A temporary rule gives an event at each match. A permanent rule sets
//! its condition True, with an event when the condition was not True or had another reason; a log monitor's
//! condition stays True until the process ends. It does no I/O and reads no clock.

use std::sync::Arc;

use super::{Declared, quote::quote};
use crate::{
    config::system_log::{ConditionDefinition, Effect, SystemLogConfig},
    problem::{Condition, ConditionStatus, Event, Severity, Status},
    record::Record,
    rules::{Hit, Rules},
    time::Timestamp,
};

/// One system log monitor.
#[derive(Debug)]
pub struct SystemLog {
    source: Arc<str>,
    metrics: bool,
    start: Timestamp,
    rules: Rules,
    actions: Vec<Action>,
    conditions: Vec<Condition>,
}

/// What a rule does when its pattern matches.
#[derive(Debug)]
struct Action {
    effect: Effect,
    reason: Arc<str>,
    suffix: Option<String>,
}

/// When the node was started, and what time it is.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Now.
    pub now: Timestamp,
    /// When the node was booted, suspends included.
    pub boot: Timestamp,
}

// === impl SystemLog ===

impl SystemLog {
    /// Builds the monitor of a checked config.
    #[must_use]
    pub fn new(config: SystemLogConfig, times: Times) -> Self {
        let mut patterns = Vec::new();
        let mut actions = Vec::new();
        for rule in config.rules {
            patterns.push(rule.pattern);
            actions.push(Action { effect: rule.effect, reason: rule.reason, suffix: rule.suffix });
        }
        let healthy = |definition: ConditionDefinition| Condition {
            kind: definition.kind,
            status: ConditionStatus::False,
            transition: times.now,
            reason: definition.reason,
            message: definition.message,
        };
        Self {
            source: config.source,
            metrics: config.metrics_reporting,
            start: start(times, config.lookback.nanos(), config.delay.nanos()),
            rules: Rules::new(patterns, config.buffer_size),
            actions,
            conditions: config.conditions.into_iter().map(healthy).collect(),
        }
    }

    /// What it can report.
    #[must_use]
    pub fn declared(&self) -> Declared {
        if !self.metrics {
            return Declared::default();
        }
        let conditions = self.actions.iter().filter_map(|action| match action.effect {
            Effect::Temporary => None,
            Effect::Permanent { condition } => {
                Some((self.conditions.get(condition)?.kind.clone(), action.reason.clone()))
            }
        });
        Declared { reasons: self.actions.iter().map(|a| a.reason.clone()).collect(), conditions: conditions.collect() }
    }

    /// The status it starts with: all conditions False, no events.
    #[must_use]
    pub fn initial_status(&self) -> Status {
        self.status(Vec::new())
    }

    /// Takes the next record; `emit` gets a status for each rule that has something to say about it.
    pub fn record(&mut self, record: &Record<'_>, emit: &mut dyn FnMut(Status)) {
        if record.at < self.start {
            return;
        }
        if record.known {
            self.rules.push_unmatched(record.text, record.at);
            return;
        }
        let Self { rules, actions, conditions, .. } = self;
        let mut events = Vec::new();
        rules.push(record.text, record.at, &mut |hit| {
            if let Some(event) = actions.get(hit.rule).and_then(|action| action.apply(hit, record, conditions)) {
                // Each rule's status shows the conditions as the rule left them.
                events.push((event, conditions.clone()));
            }
        });
        for (event, conditions) in events {
            emit(Status { source: self.source.clone(), events: vec![event], conditions, metrics: self.metrics });
        }
    }

    fn status(&self, events: Vec<Event>) -> Status {
        Status { source: self.source.clone(), events, conditions: self.conditions.clone(), metrics: self.metrics }
    }
}

/// When a monitor starts to look: not before the boot plus `delay`, nor before now minus `lookback`.
fn start(times: Times, lookback: i64, delay: i64) -> Timestamp {
    times.boot.shift(delay).max(times.now.shift(lookback.saturating_neg()))
}

// === impl Action ===

impl Action {
    fn apply(&self, hit: Hit, record: &Record<'_>, conditions: &mut [Condition]) -> Option<Event> {
        let mut message = hit.message;
        if let Some(suffix) = &self.suffix {
            message = format!("{message}; {suffix}");
        }
        let event = |message, condition| Event {
            severity: Severity::Warn,
            timestamp: hit.timestamp,
            reason: self.reason.clone(),
            message,
            condition,
            fields: record.fields.clone(),
        };
        let Effect::Permanent { condition } = self.effect else { return Some(event(message, None)) };
        let condition = conditions.get_mut(condition)?;
        if condition.status == ConditionStatus::True && condition.reason == self.reason {
            return None;
        }
        condition.status = ConditionStatus::True;
        condition.reason = self.reason.clone();
        condition.transition = hit.timestamp;
        let text = format!(
            "Node condition {} is now: True, reason: {}, message: {}",
            condition.kind,
            self.reason,
            quote(&message)
        );
        condition.message = message;
        Some(event(text, Some(condition.kind.clone())))
    }
}

#[cfg(test)]
mod tests;
