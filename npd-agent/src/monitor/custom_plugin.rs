//! The custom plugin monitor: programs that run again and again and find out whether there is a problem.
//!
//! The semantics are node-problem-detector's, with two differences. An unknown status has its own reason, such as
//! `CheckTimeout`, and is never taken for the problem; and several rules of one condition never make it flap. This part is
//! pure: outcomes in, statuses out, `now` as an argument. The edge is [`runner`]: it runs programs at their intervals
//! ([`schedule`]), each isolated so that it delays only itself ([`plugin_process`]).

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
    check::{Check, CheckStatus, Outcome, Run, RunKind},
    saved::CustomPluginState,
};

use serde::{Deserialize, Serialize};

use self::condition::{Change, PluginCondition};
use crate::{
    config::{CustomPluginConfig, Effect},
    problem::{Counted, Declared, Event, Fields, Severity, Status},
    time::Timestamp,
};

/// Maximum number of reasons that the checks of one rule may give: each is a series of the metrics.
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
    conditions: Vec<PluginCondition>,
    /// The `since` of the newest finding.
    newest: u64,
}

/// A rule and its last finding.
#[derive(Debug)]
struct RuleState {
    effect: Effect,
    reason: Arc<str>,
    /// What identifies it after a restart.
    identity: String,
    finding: Option<Finding>,
    /// The reasons that its checks have given.
    reasons: BTreeSet<Arc<str>>,
}

/// What the last run of a rule's check found, as it is kept and saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Finding {
    status: CheckStatus,
    reason: Arc<str>,
    message: String,
    /// Orders findings by the time at which they got their status.
    since: u64,
}

/// What follows from an outcome.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// What is to be reported.
    pub status: Option<Status>,
    /// Whether the state has to be saved.
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
            RuleState { effect, reason, identity, finding: None, reasons: BTreeSet::new() }
        });
        Self {
            id: config.path.to_string_lossy().into(),
            source: config.source.clone(),
            metrics: config.metrics_reporting,
            message_changes: config.message_changes,
            skip_initial_status: config.skip_initial_status,
            rules: rules.collect(),
            conditions: config.conditions.iter().map(|c| PluginCondition::new(c.clone(), now)).collect(),
            newest: 0,
        }
    }

    /// What it can report.
    #[must_use]
    pub fn declared(&self) -> Declared {
        let types = self.conditions.iter().map(|condition| condition.state.kind().clone()).collect();
        let conditions = self.rules.iter().filter_map(|rule| match rule.effect {
            Effect::Temporary => None,
            Effect::Permanent { condition } => {
                Some((self.conditions.get(condition)?.state.kind().clone(), rule.reason.clone()))
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

    /// Its conditions as they are, without those that are not to be reported before they are known.
    #[must_use]
    pub fn status(&self) -> Status {
        self.with_events(Vec::new())
    }

    /// Handles the outcome of a rule's check.
    pub fn handle(&mut self, index: usize, outcome: Outcome, now: Timestamp) -> Update {
        let Some(rule) = self.rules.get_mut(index) else { return Update::default() };
        let Outcome { status, message, reason, labels } = outcome;
        let reason = rule.reason_of(status, reason);
        let before = rule.finding.as_ref();
        let same_status = before.is_some_and(|before| before.status == status);
        let is_repeated = same_status && before.is_some_and(|before| before.reason == reason);
        let since = match before {
            Some(before) if same_status => before.since,
            _ => {
                self.newest += 1;
                self.newest
            }
        };
        rule.finding = Some(Finding { status, reason: reason.clone(), message, since });
        match rule.effect {
            Effect::Temporary => {
                let event = rule.event(index, is_repeated, labels, now);
                let status = event.map(|event| self.with_events(vec![event]));
                Update { status, changed: !is_repeated }
            }
            Effect::Permanent { condition } => self.update(condition, index, is_repeated, labels, now),
        }
    }

    fn update(&mut self, index: usize, cause: usize, is_repeated: bool, labels: Fields, now: Timestamp) -> Update {
        let Some(condition) = self.conditions.get_mut(index) else { return Update::default() };
        let is_own = |rule: &RuleState| rule.effect == Effect::Permanent { condition: index };
        let own = self.rules.iter().enumerate().filter(|(_, rule)| is_own(rule));
        let findings = own.map(|(rule, state)| (rule, state.finding.as_ref()));
        let severity = match condition.update(findings, cause, self.message_changes, now) {
            Change::None => return Update { status: None, changed: !is_repeated },
            Change::Known => return Update { status: Some(self.status()), changed: true },
            Change::Worse => Severity::Warn,
            Change::Other => Severity::Info,
        };
        let event = condition.state.announcement(severity, now, Some(pointer(cause)), labels);
        Update { status: Some(self.with_events(vec![event])), changed: true }
    }

    fn with_events(&self, events: Vec<Event>) -> Status {
        let reported = self.conditions.iter().filter(|condition| condition.known || !self.skip_initial_status);
        let conditions = reported.map(|condition| condition.state.now.clone()).collect();
        let (monitor, source) = (self.id.clone(), self.source.clone());
        Status { monitor, source, events, conditions, metrics: self.metrics }
    }
}

// === impl RuleState ===

impl RuleState {
    /// The rule's reason, unless the check gives a more precise one. An unknown status never has the rule's reason.
    fn reason_of(&mut self, status: CheckStatus, given: Option<String>) -> Arc<str> {
        let given = given.map(Arc::<str>::from).filter(|given| {
            let is_bounded = self.reasons.contains(given) || self.reasons.len() < REASONS_MAX;
            is_bounded && (status != CheckStatus::Unknown || *given != self.reason)
        });
        match (given, status) {
            (Some(given), _) => {
                self.reasons.insert(given.clone());
                given
            }
            (None, CheckStatus::Unknown) => check::UNKNOWN.into(),
            (None, CheckStatus::Ok | CheckStatus::Problem) => self.reason.clone(),
        }
    }

    /// The event of a temporary rule: for each run that finds the problem, and when its status becomes unknown.
    fn event(&self, index: usize, is_repeated: bool, labels: Fields, now: Timestamp) -> Option<Event> {
        let finding = self.finding.as_ref()?;
        let (severity, text) = match finding.status {
            CheckStatus::Problem => (Severity::Warn, finding.message.clone()),
            CheckStatus::Unknown if !is_repeated => {
                (Severity::Info, format!("cannot determine whether there is {}: {}", self.reason, finding.message))
            }
            CheckStatus::Ok | CheckStatus::Unknown => return None,
        };
        let rule = Some(pointer(index));
        Some(Event { rule, fields: labels, ..Event::new(severity, now, finding.reason.clone(), text) })
    }
}

/// The JSON pointer to a rule.
fn pointer(rule: usize) -> Arc<str> {
    format!("/rules/{rule}").into()
}

pub mod permissions;
pub(crate) mod runner;
#[cfg(test)]
mod tests;
