//! One rule of a file, checked.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use super::{
    Effect, LogInput, MAX_BY, MAX_COUNT, MAX_LABEL, MIN_COUNT, Recheck, RecheckKind, Recovery, Rule, Threshold,
    conditions::Conditions, raw::RawRule,
};
use crate::{
    config::{
        decode::{Element, Field},
        report::{Findings, KnownNames, Notice, Problem},
    },
    go::{
        duration::{GoDuration, parse_duration},
        json::Value,
    },
    rules::{Pattern, Template},
};

/// How often the node is asked when a rule does not say.
pub(super) const RECHECK_EVERY: Duration = Duration::from_secs(30);

/// Asking more often than this would cost more than it tells.
pub(super) const RECHECK_LEAST: Duration = Duration::from_secs(1);

/// The fields that a record of the kernel log can have beyond its text.
const KERNEL_FIELDS: &[&str] =
    &["pid", "comm", "dev", "sector", "errno", "cgroup", "pod_uid", "container_id", "subsystem", "device"];

/// The fields that a record of the journal can have beyond its text.
const JOURNAL_FIELDS: &[&str] = &["unit", "identifier", "pid", "transport"];

/// What a rule is checked against.
pub(super) struct RuleContext<'a, 'd> {
    pub(super) conditions: &'a Conditions<'d>,
    pub(super) metrics_reporting: bool,
    pub(super) buffer_size: NonZeroUsize,
    /// The file's own `foldWithin`.
    pub(super) fold_within: Option<Duration>,
    /// Nothing when that is not known because of an error.
    pub(super) input: Option<&'a LogInput>,
}

pub(super) fn check<'d>(
    element: &Element<'d, RawRule<'d>>,
    context: &RuleContext<'_, 'd>,
    findings: &mut Findings,
) -> Option<Rule> {
    let (rule, at) = element.given("a rule", findings)?;
    let head = RuleHead { kind: &rule.kind, condition: &rule.condition, reason: &rule.reason };
    let effect = head.check(at, context.conditions, context.metrics_reporting, findings);
    let pattern = check_pattern(&rule.pattern, at, context.buffer_size, findings);
    let recovery = check_recovery(rule, at, effect, context, findings);
    let threshold = check_threshold(rule, findings);
    let names = pattern.as_ref().map(|pattern| Names { pattern, input: context.input, threshold });
    let message = check_message(rule, at, names.as_ref(), findings);
    let by = check_by(rule, recovery.recheck, names.as_ref(), findings);
    let fold_within = check_span(&rule.fold_within, at, findings);
    if let (Field::Present { at, .. }, Some(Effect::Permanent { .. })) = (&rule.fold_within, effect) {
        findings.notice(*at, Notice::PermanentFold);
    }
    Some(Rule {
        effect: effect?,
        reason: rule.reason.get()?.into(),
        pattern: pattern?,
        suffix: Some(rule.suffix.get()?).filter(|suffix| !suffix.is_empty()).map(str::to_owned),
        message,
        by,
        threshold,
        recovery,
        fold_within: fold_within.or(context.fold_within),
    })
}

/// The names that a rule can use.
struct Names<'a> {
    pattern: &'a Pattern,
    input: Option<&'a LogInput>,
    threshold: Option<Threshold>,
}

/// A span that may be absent and must not be negative; zero and empty are the same as absent.
pub(in crate::config) fn check_span<'d>(
    field: &Field<'d, &'d str>,
    owner: Value<'d>,
    findings: &mut Findings,
) -> Option<Duration> {
    let text = field.get().filter(|text| !text.is_empty())?;
    let at = field.at(owner);
    match parse_duration(text).map(|duration| (duration, duration.to_std())) {
        Ok((_, Some(span))) => (!span.is_zero()).then_some(span),
        Ok((duration, None)) => {
            findings.error(at, Problem::value(duration, "a positive duration such as 90s or 10m"));
            None
        }
        Err(error) => {
            findings.error(at, Problem::Duration(error));
            None
        }
    }
}

fn check_recovery<'d>(
    rule: &RawRule<'d>,
    at: Value<'d>,
    effect: Option<Effect>,
    context: &RuleContext<'_, 'd>,
    findings: &mut Findings,
) -> Recovery {
    if effect == Some(Effect::Temporary) {
        let fields = [(&rule.clear_pattern, "clearPattern"), (&rule.clear_after, "clearAfter")];
        let given = fields.into_iter().filter_map(|(field, key)| match field {
            Field::Present { at, .. } => Some((*at, key)),
            Field::Absent | Field::Refused => None,
        });
        for (at, key) in given.chain(rule.recheck.at.map(|at| (at, "recheck"))) {
            findings.error(at, Problem::TemporaryRecovery(key));
        }
        return Recovery::default();
    }
    let pattern = match &rule.clear_pattern {
        Field::Present { value: "", at } => {
            findings.error(*at, Problem::value("\"\"", "a pattern: the empty one would match every line"));
            None
        }
        Field::Present { .. } => check_pattern(&rule.clear_pattern, at, context.buffer_size, findings),
        Field::Absent | Field::Refused => None,
    };
    Recovery { pattern, after: check_span(&rule.clear_after, at, findings), recheck: check_recheck(rule, findings) }
}

fn check_recheck(rule: &RawRule<'_>, findings: &mut Findings) -> Option<Recheck> {
    let at = rule.recheck.at?;
    let word = rule.recheck.value.what.get()?;
    let every = check_span(&rule.recheck.value.every, at, findings).unwrap_or(RECHECK_EVERY);
    if every < RECHECK_LEAST {
        let problem = Problem::value(rule.recheck.value.every.get().unwrap_or_default(), "1s and more");
        findings.error(rule.recheck.value.every.at(at), problem);
    }
    let Some(what) = RecheckKind::ALL.into_iter().find(|kind| kind.as_str() == word) else {
        let problem = Problem::value(format!("\"{word}\""), "\"mount\", \"task\" and \"interface\"");
        findings.error(rule.recheck.value.what.at(at), problem);
        return None;
    };
    Some(Recheck { what, every })
}

fn check_threshold(rule: &RawRule<'_>, findings: &mut Findings) -> Option<Threshold> {
    let at = rule.threshold.at?;
    let count = rule.threshold.value.count.get()?;
    let window = check_span(&rule.threshold.value.window, at, findings);
    let Some(allowed) = usize::try_from(count).ok().filter(|count| (MIN_COUNT..=MAX_COUNT).contains(count)) else {
        let problem = Problem::value(format!("a count of {count}"), format!("{MIN_COUNT} to {MAX_COUNT} matches"));
        findings.error(rule.threshold.value.count.at(at), problem);
        return None;
    };
    // What is no duration at all was told by `check_span`.
    let says_none = |text: &str| text.is_empty() || parse_duration(text).is_ok_and(|span| span == GoDuration::ZERO);
    if rule.threshold.value.window.get().is_some_and(says_none) {
        findings.error(rule.threshold.value.window.at(at), Problem::value("no window", "a duration such as 20m"));
    }
    Some(Threshold { count: allowed, window: window? })
}

fn check_message<'d>(
    rule: &RawRule<'d>,
    owner: Value<'d>,
    names: Option<&Names<'_>>,
    findings: &mut Findings,
) -> Option<Template> {
    let text = rule.message.get().filter(|text| !text.is_empty())?;
    let at = rule.message.at(owner);
    match Template::parse(text) {
        Ok(template) => {
            for name in template.names() {
                if let Some(names) = names.filter(|names| !names.contains(name)) {
                    findings.error(at, names.unknown(name));
                }
            }
            Some(template)
        }
        Err(error) => {
            findings.error(at, Problem::Template(error));
            None
        }
    }
}

/// What occurrences are told apart by. A question about a device, a task or an interface needs to know which.
fn check_by(
    rule: &RawRule<'_>,
    recheck: Option<Recheck>,
    names: Option<&Names<'_>>,
    findings: &mut Findings,
) -> Vec<Arc<str>> {
    let mut by: Vec<Arc<str>> = Vec::new();
    for element in rule.by.elements() {
        let Some(name) = element.value.get() else { continue };
        if by.iter().any(|known| &**known == name) {
            continue;
        }
        if let Some(names) = names.filter(|names| !names.contains(name)) {
            findings.error(element.at, names.unknown(name));
        }
        by.push(name.into());
    }
    if let (Some(recheck), Some(at), Some(names)) = (recheck, rule.recheck.at, names) {
        let subject = recheck.what.subject();
        if !names.contains(subject) {
            findings.error(at, Problem::RecheckSubject { what: recheck.what.as_str(), subject });
        }
        if !by.iter().any(|name| &**name == subject) {
            by.push(subject.into());
        }
    }
    if by.len() > MAX_BY
        && let Some(last) = rule.by.elements().last()
    {
        findings.error(last.at, Problem::value(format!("{} names", by.len()), format!("up to {MAX_BY}")));
    }
    by
}

// === impl Names ===

impl Names<'_> {
    fn fields(&self) -> &'static [&'static str] {
        match self.input {
            Some(LogInput::KernelLog) | None => KERNEL_FIELDS,
            Some(LogInput::Journal { .. }) => JOURNAL_FIELDS,
            Some(LogInput::File { .. }) => &[],
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.pattern.group_names().any(|group| group == name)
            || self.fields().contains(&name)
            || (self.threshold.is_some() && matches!(name, "count" | "window"))
    }

    fn unknown(&self, name: &str) -> Problem {
        let groups: Vec<_> = self.pattern.group_names().collect();
        let fields = self.fields().iter().copied().filter(|field| !groups.contains(field));
        let names: Vec<_> = groups.iter().copied().chain(fields).collect();
        Problem::UnknownName { name: name.to_owned(), known: KnownNames::new(names.into_iter()) }
    }
}

fn check_pattern<'d>(
    field: &Field<'d, &'d str>,
    owner: Value<'d>,
    buffer_size: NonZeroUsize,
    findings: &mut Findings,
) -> Option<Pattern> {
    let (source, at) = (field.get()?, field.at(owner));
    if source.is_empty() {
        findings.notice(at, Notice::MatchesEveryLine);
    }
    match Pattern::parse(source) {
        Ok(pattern) => {
            if !pattern.can_match(buffer_size) {
                findings.notice(at, Notice::NeverMatches { lines: buffer_size });
            }
            Some(pattern)
        }
        Err(error) => {
            findings.error(at, Problem::Pattern(error));
            None
        }
    }
}

/// What the rules of all monitors say: what a problem does, and why.
pub(in crate::config) struct RuleHead<'a, 'd> {
    pub(in crate::config) kind: &'a Field<'d, &'d str>,
    pub(in crate::config) condition: &'a Field<'d, &'d str>,
    pub(in crate::config) reason: &'a Field<'d, &'d str>,
}

impl<'d> RuleHead<'_, 'd> {
    pub(in crate::config) fn check(
        &self,
        at: Value<'d>,
        conditions: &Conditions<'d>,
        metrics_reporting: bool,
        findings: &mut Findings,
    ) -> Option<Effect> {
        let effect = self.effect(at, conditions, findings);
        if metrics_reporting {
            check_label(self.reason, at, findings);
            if matches!(effect, Some(Effect::Permanent { .. })) {
                check_label(self.condition, at, findings);
            }
        }
        if self.reason.get() == Some("") {
            findings.notice(self.reason.at(at), Notice::NoReason);
        }
        effect
    }

    /// Only "temporary" is temporary; whatever else is permanent.
    fn effect(&self, at: Value<'d>, conditions: &Conditions<'d>, findings: &mut Findings) -> Option<Effect> {
        let (kind, condition) = (self.kind.get()?, self.condition.get()?);
        if kind == "temporary" {
            if !condition.is_empty() {
                findings.notice(self.condition.at(at), Notice::TemporaryCondition(condition.to_owned()));
            }
            return Some(Effect::Temporary);
        }
        if kind != "permanent" {
            findings.notice(self.kind.at(at), Notice::RuleType(kind.to_owned()));
        }
        let index = conditions.by_kind.get(condition).map(|declared| declared.index);
        if index.is_none() && conditions.complete {
            let (rule_type, condition) = (kind.to_owned(), condition.to_owned());
            let declared = KnownNames::new(conditions.definitions.iter().map(|definition| &*definition.kind));
            let problem = Problem::ConditionUndeclared { rule: rule_type, condition, declared };
            findings.error(self.condition.at(at), problem);
        }
        index.map(|condition| Effect::Permanent { condition })
    }
}

/// node-problem-detector's metrics library refuses other labels when it starts.
pub(in crate::config) fn check_label<'d>(field: &Field<'d, &'d str>, owner: Value<'d>, findings: &mut Findings) {
    let label = field.get().unwrap_or_default();
    if label.len() > MAX_LABEL || !label.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        findings.error(field.at(owner), Problem::Label(label.to_owned()));
    }
}
