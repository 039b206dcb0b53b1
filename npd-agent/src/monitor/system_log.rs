//! The system log monitor: records in, statuses out, by the rules of one config file.
//!
//! The semantics are node-problem-detector's. A temporary rule gives an event at each match. A permanent rule holds
//! its condition True, with an event when that is news. The settings of rules that node-problem-detector does not have —
//! when a problem is over, how often a rule has to match, which occurrences are distinguished — are implemented here too.
//!
//! It does no I/O and reads no clock: it gets the time with each record and whenever [`SystemLog::deadline`] is reached,
//! and returns what only the node knows as [`SystemLog::questions`]. So replaying a log gives the same results as when it
//! was written.

mod condition;
mod counter;
mod fold;
pub mod recheck;
mod state;

use std::sync::Arc;

pub use self::state::SystemLogState;

use self::{
    condition::{Change, LogCondition},
    counter::Counter,
    fold::{Folds, LineAction, Repeats},
    recheck::{Answer, Question},
};
use crate::{
    config::system_log::{Effect, Recheck, SystemLogConfig, Threshold},
    go::duration::GoDuration,
    problem::{Counted, Declared, Event, Fields, Severity, Status},
    record::Record,
    rules::{Hit, Rules, Template},
    time::{BootTimes, Timestamp},
};

/// One system log monitor.
#[derive(Debug)]
pub struct SystemLog {
    /// The path of its config file.
    id: Arc<str>,
    source: Arc<str>,
    metrics: bool,
    /// Records older than this are ignored.
    start: Timestamp,
    /// The boot plus `delay`: older records are ignored whatever was saved.
    earliest: Timestamp,
    /// The patterns of all rules, then the patterns that clear.
    rules: Rules,
    actions: Vec<Action>,
    /// The rule of each pattern that clears.
    clears: Vec<usize>,
    conditions: Vec<LogCondition>,
    folds: Folds,
}

/// What a rule does when its pattern matches.
#[derive(Debug)]
struct Action {
    effect: Effect,
    reason: Arc<str>,
    pattern: Arc<str>,
    suffix: Option<String>,
    message: Option<Template>,
    by: Vec<Arc<str>>,
    fold_within: Option<std::time::Duration>,
    threshold: Option<Threshold>,
    counter: Option<Counter>,
    clears_by_line: bool,
    clear_after: Option<std::time::Duration>,
    recheck: Option<Recheck>,
}

/// What distinguishes the occurrences of one rule: the values of its `by`, in their order.
type Key = Vec<String>;

/// Receives the results of a monitor.
pub trait Findings {
    /// A rule has matched, with or without a result.
    fn matched(&mut self, _rule: &Matched<'_>) {}
    /// A status is to be reported.
    fn status(&mut self, status: Status);
    /// A problem was folded into one that was reported before.
    fn suppressed(&mut self, _reason: &str) {}
}

/// A rule that has matched.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'a> {
    /// Its index in its file.
    pub rule: usize,
    /// The time of the first record of the match.
    pub timestamp: Timestamp,
    /// The message that the rule makes of it.
    pub message: &'a str,
}

impl<F: FnMut(Status)> Findings for F {
    fn status(&mut self, status: Status) {
        self(status);
    }
}

// === impl SystemLog ===

impl SystemLog {
    /// Builds the monitor of a checked config.
    #[must_use]
    pub fn new(config: SystemLogConfig, times: BootTimes) -> Self {
        let (mut patterns, mut clear_patterns, mut clears) = (Vec::new(), Vec::new(), Vec::new());
        let mut actions = Vec::new();
        for (index, rule) in config.rules.into_iter().enumerate() {
            let clears_by_line = rule.recovery.pattern.is_some();
            if let Some(pattern) = rule.recovery.pattern {
                clear_patterns.push(pattern);
                clears.push(index);
            }
            actions.push(Action {
                effect: rule.effect,
                reason: rule.reason,
                pattern: rule.pattern.source().into(),
                suffix: rule.suffix,
                message: rule.message,
                by: rule.by,
                fold_within: rule.fold_within,
                threshold: rule.threshold,
                counter: rule.threshold.map(Counter::new),
                clears_by_line,
                clear_after: rule.recovery.after,
                recheck: rule.recovery.recheck,
            });
            patterns.push(rule.pattern);
        }
        patterns.append(&mut clear_patterns);
        Self {
            id: config.path.to_string_lossy().into(),
            source: config.source,
            metrics: config.metrics_reporting,
            start: times.start(config.lookback.nanos(), config.delay.nanos()),
            earliest: times.boot.shift(config.delay.nanos()),
            rules: Rules::new(patterns, config.buffer_size),
            actions,
            clears,
            conditions: config.conditions.into_iter().map(|c| LogCondition::new(c, times.now)).collect(),
            folds: Folds::default(),
        }
    }

    /// The oldest time of records that count; a source need not read older ones.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// What it can report.
    #[must_use]
    pub fn declared(&self) -> Declared {
        let types = self.conditions.iter().map(|condition| condition.state.kind().clone()).collect();
        let counted = if self.metrics { self.counted() } else { Counted::default() };
        Declared { monitor: self.id.clone(), conditions: types, counted }
    }

    fn counted(&self) -> Counted {
        let conditions = self.actions.iter().filter_map(|action| match action.effect {
            Effect::Temporary => None,
            Effect::Permanent { condition } => {
                Some((self.conditions.get(condition)?.state.kind().clone(), action.reason.clone()))
            }
        });
        Counted { reasons: self.actions.iter().map(|a| a.reason.clone()).collect(), conditions: conditions.collect() }
    }

    /// Its conditions as they are now, without events.
    #[must_use]
    pub fn initial_status(&self) -> Status {
        self.status(Vec::new())
    }

    /// Whether a record with this text, or one that contains it, may match a rule.
    ///
    /// It may be wrongly `true`, but never wrongly `false`.
    #[inline]
    #[must_use]
    pub fn may_concern(&self, text: &[u8]) -> bool {
        self.rules.may_concern(text)
    }

    /// Handles the next record; `true` if a pattern matched. What is due by its time has to be done first, by
    /// [`Self::advance`].
    #[inline]
    pub fn record(&mut self, record: &Record<'_>, out: &mut dyn Findings) -> bool {
        if record.at < self.start {
            return false;
        }
        if record.known {
            self.rules.push_unmatched(record.text, record.at);
            return false;
        }
        // Nearly always empty, and then it allocates nothing.
        let mut hits = Vec::new();
        self.rules.push(record.text, record.at, &mut |hit| hits.push(hit));
        let matched = !hits.is_empty();
        for hit in hits {
            self.hit(&hit, record, out);
        }
        matched
    }

    /// When [`Self::advance`] has something to do, or [`Self::questions`] something to ask.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let conditions = self.conditions.iter().filter_map(|condition| condition.deadline(&self.actions));
        conditions.chain(self.folds.deadline()).min()
    }

    /// Does what is due by `now`.
    pub fn advance(&mut self, now: Timestamp, out: &mut dyn Findings) {
        while let Some(repeats) = self.folds.next_due(now) {
            let status = self.repeats(repeats);
            out.status(status);
        }
        for index in 0..self.conditions.len() {
            while let Some(change) = self.conditions[index].expire(&self.actions, now) {
                self.report_change(index, None, change, Fields::default(), out);
            }
        }
    }

    /// The questions to the node that are due by `now`.
    #[must_use]
    pub fn questions(&self, now: Timestamp) -> Vec<Question> {
        let conditions = self.conditions.iter().enumerate();
        conditions.flat_map(|(index, condition)| condition.questions(index, &self.actions, now)).collect()
    }

    /// Handles the node's answer.
    pub fn answer(&mut self, question: &Question, answer: Answer, now: Timestamp, out: &mut dyn Findings) {
        let Some(condition) = self.conditions.get_mut(question.condition) else { return };
        if let Some(change) = condition.answer(question, answer, &self.actions, now) {
            self.report_change(question.condition, None, change, Fields::default(), out);
        }
    }

    fn hit(&mut self, hit: &Hit, record: &Record<'_>, out: &mut dyn Findings) {
        if let Some(rule) = hit.rule.checked_sub(self.actions.len()) {
            if let Some(rule) = self.clears.get(rule).copied() {
                self.clear(rule, hit, record, out);
            }
            return;
        }
        let Some(action) = self.actions.get_mut(hit.rule) else { return };
        let key = action.key(hit, record);
        let mut message = action.message(hit, record);
        out.matched(&Matched { rule: hit.rule, timestamp: hit.timestamp, message: &message });
        if let (Some(counter), Some(threshold)) = (&mut action.counter, action.threshold) {
            if !counter.add(&key, record.at) {
                if let Effect::Permanent { condition } = action.effect
                    && let Some(state) = self.conditions.get_mut(condition)
                {
                    state.touch(hit.rule, &key, hit.timestamp);
                }
                return;
            }
            if action.message.is_none() {
                let window = go(threshold.window);
                message = format!("{message} ({} matches within {window})", threshold.count);
            }
        }
        let mut fields = record.fields.clone();
        for (name, value) in &hit.captures {
            fields.add(name.to_string(), value.clone());
        }
        let index = hit.rule;
        match action.effect {
            Effect::Temporary => {
                if let Some(counter) = &mut action.counter {
                    counter.restart(&key);
                }
                let line_action = match action.fold_within {
                    Some(window) => self.folds.add(index, &message, hit.timestamp, window),
                    None => LineAction::Report,
                };
                match line_action {
                    LineAction::Fold => out.suppressed(&action.reason),
                    LineAction::Report => {
                        let event = event(action.reason.clone(), index, hit.timestamp, message, fields);
                        out.status(self.status(vec![event]));
                    }
                }
            }
            Effect::Permanent { condition } => {
                let Some(state) = self.conditions.get_mut(condition) else { return };
                if let Some(change) = state.activate(index, key, action, hit, &message) {
                    self.report_change(condition, Some(index), change, fields, out);
                }
            }
        }
    }

    /// Handles a line that says that the problem of `rule` is over: for the occurrence that it names, or for all
    /// occurrences if it names none.
    fn clear(&mut self, rule: usize, hit: &Hit, record: &Record<'_>, out: &mut dyn Findings) {
        let Some(action) = self.actions.get_mut(rule) else { return };
        let named: Vec<Option<String>> = action
            .by
            .iter()
            .map(|name| hit.captures.iter().find(|(group, _)| group == name).map(|(_, value)| value.clone()))
            .collect();
        if let Some(counter) = &mut action.counter {
            counter.forget(&named);
        }
        let Effect::Permanent { condition } = action.effect else { return };
        let Some(state) = self.conditions.get_mut(condition) else { return };
        if let Some(change) = state.clear(rule, &named, &self.actions, hit.timestamp) {
            self.report_change(condition, Some(rule), change, record.fields.clone(), out);
        }
    }

    /// `rule` is the rule whose pattern made the change.
    fn report_change(
        &self,
        condition: usize,
        rule: Option<usize>,
        change: Change,
        fields: Fields,
        out: &mut dyn Findings,
    ) {
        let Some(condition) = self.conditions.get(condition) else { return };
        let severity = if change.worse { Severity::Warn } else { Severity::Info };
        let event = condition.state.announcement(severity, change.at, rule.map(pointer), fields);
        out.status(self.status(vec![event]));
    }

    fn repeats(&self, repeats: Repeats) -> Status {
        let Repeats { rule, message, count, last, window } = repeats;
        let reason = reason_of(&self.actions, rule);
        let text = format!("{message} ({count} more within {})", go(window));
        let event = Event { count, ..event(reason, rule, last, text, Fields::default()) };
        self.status(vec![event])
    }

    fn status(&self, events: Vec<Event>) -> Status {
        let conditions = self.conditions.iter().map(|condition| condition.state.now.clone()).collect();
        let (monitor, source) = (self.id.clone(), self.source.clone());
        Status { monitor, source, events, conditions, metrics: self.metrics }
    }
}

/// A problem that a rule has found.
fn event(reason: Arc<str>, rule: usize, timestamp: Timestamp, message: String, fields: Fields) -> Event {
    Event { rule: Some(pointer(rule)), fields, ..Event::new(Severity::Warn, timestamp, reason, message) }
}

/// The JSON pointer to a rule.
fn pointer(rule: usize) -> Arc<str> {
    format!("/rules/{rule}").into()
}

/// The reason of a rule. Every index comes from the rules themselves.
fn reason_of(actions: &[Action], rule: usize) -> Arc<str> {
    actions.get(rule).map_or_else(|| Arc::from(""), |action| action.reason.clone())
}

/// A span in nanoseconds, to shift a [`Timestamp`] by.
fn nanos(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// A span as config files write it.
fn go(span: std::time::Duration) -> GoDuration {
    GoDuration::from_nanos(nanos(span))
}

// === impl Action ===

impl Action {
    fn message(&self, hit: &Hit, record: &Record<'_>) -> String {
        let Some(template) = &self.message else {
            return match &self.suffix {
                Some(suffix) => format!("{}; {suffix}", hit.message),
                None => hit.message.clone(),
            };
        };
        let threshold = self.threshold.map(|t| (t.count.to_string(), go(t.window).to_string()));
        let message = template.render(|name| match (name, &threshold) {
            ("count", Some((count, _))) => Some(count),
            ("window", Some((_, window))) => Some(window),
            _ => value(name, hit, record),
        });
        match &self.suffix {
            Some(suffix) => format!("{message}; {suffix}"),
            None => message,
        }
    }

    fn key(&self, hit: &Hit, record: &Record<'_>) -> Key {
        self.by.iter().map(|name| value(name, hit, record).unwrap_or_default().to_owned()).collect()
    }

    /// Whether it sets the condition with this index.
    fn is_of(&self, index: usize) -> bool {
        matches!(self.effect, Effect::Permanent { condition } if condition == index)
    }

    /// Whether only a threshold could end it.
    fn has_no_end(&self) -> bool {
        !self.clears_by_line && self.clear_after.is_none() && self.recheck.is_none()
    }
}

/// The value of a name: that of the group of the match, else of the field of the record.
fn value<'v>(name: &str, hit: &'v Hit, record: &'v Record<'_>) -> Option<&'v str> {
    let group = hit.captures.iter().find(|(group, _)| &**group == name);
    group.map(|(_, value)| value.as_str()).or_else(|| record.fields.get(name))
}

pub mod runner;
pub(crate) mod sources;
#[cfg(test)]
mod tests;
