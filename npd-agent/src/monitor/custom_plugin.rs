//! The custom plugin monitor: programs that are run again and again and say whether there is a problem.
//!
//! The semantics are node-problem-detector's, with two differences. A status that is unknown has a reason of its own, such
//! as `CheckTimeout`, and is never taken for the problem; and several rules of one condition never flap. This part is pure:
//! outcomes in, statuses out, `now` as an argument. The edge is [`Plugins`]: it runs programs when it is time to
//! ([`schedule`]), each so that it can hold up nothing but itself ([`plugin_process`]).

mod built_in;
pub mod check;
mod condition;
mod metrics;
mod orphans;
pub mod plugin_process;
mod saved;
pub mod schedule;

use std::{collections::BTreeSet, sync::Arc};

pub use self::{
    check::{Check, CheckStatus, Outcome, Ran, RunKind},
    metrics::PluginMetrics,
    saved::CustomPluginState,
};
pub use crate::monitor::custom_plugin::runner::Plugins;

use self::condition::{Change, ConditionState};
use super::announcement;
use crate::{
    config::{CustomPluginConfig, Effect},
    problem::{Counted, Declared, Event, Fields, Severity, Status},
    time::Timestamp,
};

/// Reasons of their own that the checks of one rule may say: each is a series of the metrics.
const REASONS_MAX: usize = 16;

/// One custom plugin monitor.
#[derive(Debug)]
pub struct CustomPlugin {
    /// The path of its config file.
    id: Arc<str>,
    source: Arc<str>,
    metrics: bool,
    message_changes: bool,
    skip_initial_status: bool,
    rules: Vec<RuleState>,
    conditions: Vec<ConditionState>,
    /// Of the newest finding.
    newest: u64,
}

/// A rule and what it found last.
#[derive(Debug)]
struct RuleState {
    effect: Effect,
    reason: Arc<str>,
    /// By what it is known after a restart.
    identity: String,
    found: Option<Finding>,
    /// The reasons that its checks have said.
    reasons: BTreeSet<Arc<str>>,
}

/// What a rule has found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    status: CheckStatus,
    reason: Arc<str>,
    message: String,
    /// When it began to have this status: the greater, the later.
    since: u64,
}

/// What has come of an outcome.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// What is to be reported.
    pub status: Option<Status>,
    /// Whether there is something else to be remembered than before.
    pub changed: bool,
}

// === impl CustomPlugin ===

impl CustomPlugin {
    /// Builds the monitor of a checked config.
    #[must_use]
    pub fn new(config: &CustomPluginConfig, now: Timestamp) -> Self {
        let rules = config.rules.iter().map(|rule| {
            let identity = format!("{} {}", rule.reason, rule.check.identity());
            let (effect, reason) = (rule.effect, rule.reason.clone());
            RuleState { effect, reason, identity, found: None, reasons: BTreeSet::new() }
        });
        Self {
            id: config.path.to_string_lossy().into(),
            source: config.source.clone(),
            metrics: config.metrics_reporting,
            message_changes: config.message_changes,
            skip_initial_status: config.skip_initial_status,
            rules: rules.collect(),
            conditions: config.conditions.iter().map(|c| ConditionState::new(c.clone(), now)).collect(),
            newest: 0,
        }
    }

    /// What it can report.
    #[must_use]
    pub fn declared(&self) -> Declared {
        let types = self.conditions.iter().map(|condition| condition.now.kind.clone()).collect();
        let conditions = self.rules.iter().filter_map(|rule| match rule.effect {
            Effect::Temporary => None,
            Effect::Permanent { condition } => {
                Some((self.conditions.get(condition)?.now.kind.clone(), rule.reason.clone()))
            }
        });
        let reasons = self.rules.iter().map(|rule| rule.reason.clone());
        let counted = if self.metrics {
            Counted { reasons: reasons.collect(), conditions: conditions.collect() }
        } else {
            Counted::default()
        };
        Declared { monitor: self.id.clone(), conditions: types, counted }
    }

    /// Its conditions as they are, without those that are not to be told of before they are known.
    #[must_use]
    pub fn status(&self) -> Status {
        self.with_events(Vec::new())
    }

    /// A rule's check has run.
    pub fn take(&mut self, index: usize, outcome: Outcome, now: Timestamp) -> News {
        let Some(rule) = self.rules.get_mut(index) else { return News::default() };
        let Outcome { status, message, reason, labels } = outcome;
        let reason = rule.reason_of(status, reason);
        let before = rule.found.as_ref();
        let same_status = before.is_some_and(|before| before.status == status);
        let is_repeated = same_status && before.is_some_and(|before| before.reason == reason);
        let since = match before {
            Some(before) if same_status => before.since,
            _ => {
                self.newest += 1;
                self.newest
            }
        };
        rule.found = Some(Finding { status, reason: reason.clone(), message, since });
        match rule.effect {
            Effect::Temporary => {
                let event = rule.event(index, is_repeated, labels, now);
                let status = event.map(|event| self.with_events(vec![event]));
                News { status, changed: !is_repeated }
            }
            Effect::Permanent { condition } => self.settle(condition, index, is_repeated, labels, now),
        }
    }

    fn settle(&mut self, condition: usize, cause: usize, is_repeated: bool, labels: Fields, now: Timestamp) -> News {
        let Some(state) = self.conditions.get_mut(condition) else { return News::default() };
        let own = self.rules.iter().enumerate().filter(|(_, rule)| rule.effect == Effect::Permanent { condition });
        let found = own.map(|(index, rule)| (index, rule.found.as_ref()));
        let change = state.settle(found, cause, self.message_changes, now);
        let severity = match change {
            Change::None => return News { status: None, changed: !is_repeated },
            Change::Known => return News { status: Some(self.status()), changed: true },
            Change::Worse => Severity::Warn,
            Change::Other => Severity::Info,
        };
        let kind = Some(state.now.kind.clone());
        let (reason, text) = (state.now.reason.clone(), announcement(&state.now));
        let event = Event { condition: kind, ..event(severity, reason, text, cause, labels, now) };
        News { status: Some(self.with_events(vec![event])), changed: true }
    }

    fn with_events(&self, events: Vec<Event>) -> Status {
        let told = self.conditions.iter().filter(|condition| condition.known || !self.skip_initial_status);
        let conditions = told.map(|condition| condition.now.clone()).collect();
        let (monitor, source) = (self.id.clone(), self.source.clone());
        Status { monitor, source, events, conditions, metrics: self.metrics }
    }
}

// === impl RuleState ===

impl RuleState {
    /// The rule's own reason, unless the check says a better one; of an unknown status never the rule's.
    fn reason_of(&mut self, status: CheckStatus, said: Option<String>) -> Arc<str> {
        let said = said.map(Arc::<str>::from).filter(|said| {
            let is_bounded = self.reasons.contains(said) || self.reasons.len() < REASONS_MAX;
            is_bounded && (status != CheckStatus::Unknown || *said != self.reason)
        });
        match (said, status) {
            (Some(said), _) => {
                self.reasons.insert(said.clone());
                said
            }
            (None, CheckStatus::Unknown) => check::UNKNOWN.into(),
            (None, CheckStatus::Ok | CheckStatus::Problem) => self.reason.clone(),
        }
    }

    /// The event of a temporary rule: at each run that finds the problem, and when it begins that nobody can tell.
    fn event(&self, index: usize, is_repeated: bool, labels: Fields, now: Timestamp) -> Option<Event> {
        let found = self.found.as_ref()?;
        let (severity, text) = match found.status {
            CheckStatus::Problem => (Severity::Warn, found.message.clone()),
            CheckStatus::Unknown if !is_repeated => {
                (Severity::Info, format!("nobody can tell whether there is {}: {}", self.reason, found.message))
            }
            CheckStatus::Ok | CheckStatus::Unknown => return None,
        };
        Some(event(severity, found.reason.clone(), text, index, labels, now))
    }
}

fn event(
    severity: Severity,
    reason: Arc<str>,
    message: String,
    rule: usize,
    fields: Fields,
    timestamp: Timestamp,
) -> Event {
    let rule = Some(format!("/rules/{rule}").into());
    Event { rule, fields, ..Event::new(severity, timestamp, reason, message) }
}

pub mod permissions;
pub(crate) mod runner;
#[cfg(test)]
mod tests;
