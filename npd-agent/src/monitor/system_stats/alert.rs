//! Thresholds: from the values of series to events and conditions. Pure: the time is an argument.
//!
//! Each series is watched separately. A problem begins when its value has passed the bound for the time that the alert
//! requires. It is over when a value is within the bound again, or when a successful collection no longer has the series:
//! the disk or the interface is gone. A failed collection ends nothing, until the series was not seen for
//! [`FORGET_AFTER`]. The value of a counter is its growth per second, so there is none before the second collection.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::sample::{Samples, Series, Text};
use crate::{
    config::{
        ConditionDefinition, Effect,
        system_stats::{Alert, SystemStatsConfig},
    },
    go::{duration::GoDuration, quote::quote},
    metric::{Kind, MetricId},
    monitor::condition::ConditionState,
    problem::{ConditionStatus, Counted, Declared, Event, Fields, Severity, Status},
    time::{Monotonic, Now, Timestamp},
};

/// While collections keep failing it is unknown whether a series is gone. This bounds how long it is remembered.
const FORGET_AFTER: Duration = Duration::from_hours(24);

/// The alerts of one config file.
#[derive(Debug)]
pub struct Alerts {
    /// The path of the config file.
    id: Arc<str>,
    source: Arc<str>,
    metrics_reporting: bool,
    rules: Vec<Rule>,
    conditions: Vec<AlertCondition>,
}

/// An alert and the series that it watches.
#[derive(Debug)]
struct Rule {
    id: MetricId,
    name: Arc<str>,
    alert: Alert,
    watched: HashMap<Box<[Text]>, Watched>,
}

/// A series.
#[derive(Clone, Debug, Default)]
struct Watched {
    /// Its value when it was last seen.
    last: Option<(Monotonic, f64)>,
    /// Since when the bound is passed.
    since: Option<Monotonic>,
    /// Whether that is a problem.
    is_active: bool,
}

/// A condition and the problems that hold it True.
#[derive(Debug)]
struct AlertCondition {
    state: ConditionState,
    /// The problem that began last is last.
    active: Vec<Active>,
}

#[derive(Clone, Debug)]
struct Active {
    rule: usize,
    labels: Box<[Text]>,
    message: String,
}

/// A change of a series.
enum Change {
    Began { rule: usize, labels: Box<[Text]>, value: f64 },
    Ended { rule: usize, labels: Box<[Text]> },
}

// === impl Alerts ===

impl Alerts {
    /// No problem yet.
    #[must_use]
    pub fn new(config: &SystemStatsConfig, now: Timestamp) -> Self {
        let rules = config.metrics.iter().flat_map(|metric| {
            let (id, name) = (metric.id, &metric.name);
            metric.alerts.iter().map(move |alert| Rule {
                id,
                name: name.clone(),
                alert: alert.clone(),
                watched: HashMap::new(),
            })
        });
        Self {
            id: config.path.to_string_lossy().into(),
            source: config.source.clone(),
            metrics_reporting: config.metrics_reporting,
            rules: rules.collect(),
            conditions: config.conditions.iter().map(|healthy| AlertCondition::new(healthy.clone(), now)).collect(),
        }
    }

    /// What can be reported.
    #[must_use]
    pub fn declared(&self) -> Declared {
        let conditions = self.conditions.iter().map(|condition| condition.state.kind().clone()).collect();
        let mut counted = Counted::default();
        for Rule { alert, .. } in self.rules.iter().filter(|_| self.metrics_reporting) {
            counted.reasons.push(alert.reason.clone());
            if let Some(condition) = self.condition_of(alert) {
                counted.conditions.push((condition.state.kind().clone(), alert.reason.clone()));
            }
        }
        Declared { monitor: self.id.clone(), conditions, counted }
    }

    /// The conditions as they are now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.report(Vec::new())
    }

    /// Takes over the state of the alerts that are unchanged.
    pub fn restore(&mut self, before: Self) {
        let mut moved = HashMap::new();
        for (index, old) in before.rules.into_iter().enumerate() {
            let is_same = |new: &Rule| {
                let same_effect = match (old.alert.effect, new.alert.effect) {
                    (Effect::Permanent { condition: a }, Effect::Permanent { condition: b }) => {
                        let kind = |list: &[AlertCondition], i: usize| list.get(i).map(|c| c.state.kind().clone());
                        kind(&before.conditions, a) == kind(&self.conditions, b)
                    }
                    (a, b) => a == b,
                };
                let (effect, pointer) = (new.alert.effect, new.alert.pointer.clone());
                let alert = Alert { effect, pointer, ..old.alert.clone() };
                new.id == old.id && same_effect && alert == new.alert
            };
            if let Some(position) = self.rules.iter().position(is_same) {
                self.rules[position].watched = old.watched;
                moved.insert(index, position);
            }
        }
        for condition in &mut self.conditions {
            let is_same = |old: &&AlertCondition| old.state.kind() == condition.state.kind();
            let Some(old) = before.conditions.iter().find(is_same) else { continue };
            let still = old.active.iter().filter_map(|active| {
                let rule = *moved.get(&active.rule)?;
                Some(Active { rule, ..active.clone() })
            });
            condition.active = still.collect();
            let fresh = condition.state.now.transition;
            condition.refresh(&self.rules, fresh);
            let (now, before) = (&mut condition.state.now, &old.state.now);
            if (now.status, &now.reason) == (before.status, &before.reason) {
                now.transition = before.transition;
            }
        }
    }

    /// Handles the samples of one collector; `is_complete` if it could read everything.
    pub fn observe(&mut self, samples: &Samples, is_complete: bool, now: Now) -> Vec<Status> {
        let mut changes = Vec::new();
        for (index, rule) in self.rules.iter_mut().enumerate() {
            // Other metrics are other collectors'.
            if let Some(series) = samples.of(rule.id) {
                rule.observe(index, series, is_complete, now.mono, &mut changes);
            }
        }
        changes.into_iter().filter_map(|change| self.apply(change, now.wall)).collect()
    }

    fn apply(&mut self, change: Change, at: Timestamp) -> Option<Status> {
        match change {
            Change::Began { rule, labels, value } => {
                let Rule { id, name, alert, .. } = self.rules.get(rule)?;
                let (message, fields) = (message(*id, name, &labels, alert, value), fields(*id, name, &labels));
                match alert.effect {
                    Effect::Temporary => {
                        let event = Event::new(Severity::Warn, at, alert.reason.clone(), message);
                        let event = Event { rule: Some(alert.pointer.clone()), fields, ..event };
                        Some(self.report(vec![event]))
                    }
                    Effect::Permanent { condition } => {
                        // The same problem of another disk is news, the same problem again is not.
                        let distinguishes = !labels.is_empty();
                        let state = self.conditions.get_mut(condition)?;
                        state.active.push(Active { rule, labels, message });
                        let is_news = state.refresh(&self.rules, at) || distinguishes;
                        if is_news { self.report_change(condition, rule, at, fields) } else { None }
                    }
                }
            }
            Change::Ended { rule, labels } => {
                let Rule { id, name, alert, .. } = self.rules.get(rule)?;
                let Effect::Permanent { condition } = alert.effect else { return None };
                let fields = fields(*id, name, &labels);
                let state = self.conditions.get_mut(condition)?;
                state.active.retain(|active| active.rule != rule || active.labels != labels);
                let is_news = state.refresh(&self.rules, at);
                if is_news { self.report_change(condition, rule, at, fields) } else { None }
            }
        }
    }

    /// Announces what a condition is now; `rule` made the change.
    fn report_change(&self, condition: usize, rule: usize, at: Timestamp, fields: Fields) -> Option<Status> {
        let state = &self.conditions.get(condition)?.state;
        let severity = if state.now.status == ConditionStatus::True { Severity::Warn } else { Severity::Info };
        let rule = self.rules.get(rule).map(|rule| rule.alert.pointer.clone());
        Some(self.report(vec![state.announcement(severity, at, rule, fields)]))
    }

    fn report(&self, events: Vec<Event>) -> Status {
        Status {
            monitor: self.id.clone(),
            source: self.source.clone(),
            events,
            conditions: self.conditions.iter().map(|condition| condition.state.now.clone()).collect(),
            metrics: self.metrics_reporting,
        }
    }

    fn condition_of(&self, alert: &Alert) -> Option<&AlertCondition> {
        match alert.effect {
            Effect::Permanent { condition } => self.conditions.get(condition),
            Effect::Temporary => None,
        }
    }
}

// === impl Rule ===

impl Rule {
    fn observe(
        &mut self,
        index: usize,
        series: &[Series],
        is_complete: bool,
        now: Monotonic,
        changes: &mut Vec<Change>,
    ) {
        let alert = &self.alert;
        for Series { labels, value } in series {
            let fits =
                |(label, wanted): &(usize, Box<str>)| labels.get(*label).is_some_and(|l| l.as_str() == &**wanted);
            if !alert.labels.iter().all(fits) {
                continue;
            }
            let watched = self.watched.entry(labels.clone()).or_default();
            let before = watched.last.replace((now, *value));
            let value = match self.id.metric().kind {
                Kind::Gauge => Some(*value),
                Kind::Counter => before.and_then(|(then, before)| growth(*value - before, now.since(then))),
            };
            let Some(value) = value else { continue };
            if !alert.bound.is_passed(value) {
                watched.since = None;
                if std::mem::take(&mut watched.is_active) {
                    changes.push(Change::Ended { rule: index, labels: labels.clone() });
                }
                continue;
            }
            let since = *watched.since.get_or_insert(now);
            if !watched.is_active && now.since(since) >= alert.hold {
                watched.is_active = true;
                changes.push(Change::Began { rule: index, labels: labels.clone(), value });
            }
        }
        let patience = if is_complete { Duration::ZERO } else { FORGET_AFTER };
        let gone =
            self.watched.extract_if(|_, watched| watched.last.is_none_or(|(seen, _)| now.since(seen) > patience));
        let ended = gone.filter(|(_, watched)| watched.is_active);
        changes.extend(ended.map(|(labels, _)| Change::Ended { rule: index, labels }));
    }
}

// === impl AlertCondition ===

impl AlertCondition {
    fn new(healthy: ConditionDefinition, now: Timestamp) -> Self {
        Self { state: ConditionState::new(healthy, now), active: Vec::new() }
    }

    /// Updates the condition from its active problems; `true` if that changes its status or reason.
    fn refresh(&mut self, rules: &[Rule], at: Timestamp) -> bool {
        match self.active.last().and_then(|active| Some((active, rules.get(active.rule)?))) {
            Some((active, rule)) => self.state.set(ConditionStatus::True, &rule.alert.reason, &active.message, at),
            None => self.state.set_healthy(at),
        }
    }
}

/// The growth of a counter per second; `None` if it has started over.
fn growth(difference: f64, elapsed: Duration) -> Option<f64> {
    (difference >= 0.0 && !elapsed.is_zero()).then(|| difference / elapsed.as_secs_f64())
}

/// `memory_percent_used{state="used"} is 97.5, above 95 for 5m0s`.
fn message(id: MetricId, name: &str, labels: &[Text], alert: &Alert, value: f64) -> String {
    let pairs =
        id.metric().labels.iter().zip(labels).map(|(label, value)| format!("{label}={}", quote(value.as_str())));
    let pairs = pairs.collect::<Vec<_>>().join(",");
    let labels = if pairs.is_empty() { pairs } else { format!("{{{pairs}}}") };
    let value = (value * 1e4).round() / 1e4;
    let says = match id.metric().kind {
        Kind::Gauge => format!("is {value}"),
        Kind::Counter => format!("grows by {value} a second"),
    };
    let hold = GoDuration::from_nanos(i64::try_from(alert.hold.as_nanos()).unwrap_or(i64::MAX));
    let hold = if alert.hold.is_zero() { String::new() } else { format!(" for {hold}") };
    format!("{name}{labels} {says}, {}{hold}", alert.bound)
}

fn fields(id: MetricId, name: &str, labels: &[Text]) -> Fields {
    let mut fields = Fields::default();
    fields.add("metric", name);
    for (label, value) in id.metric().labels.iter().zip(labels) {
        fields.add(*label, value.as_str());
    }
    fields
}

#[cfg(test)]
mod tests;
