//! The configuration of a system log monitor: node-problem-detector's file, checked.
//!
//! What node-problem-detector takes is taken and means the same, with these exceptions, each an error:
//! a permanent rule whose condition is not declared (there it matches and never does anything), a `null` rule (there
//! it matches every line) or condition, a condition without a type, one condition declared twice with different
//! words (there the second hides the first, which is never seen true), and a buffer of more than
//! [`MAX_BUFFER_SIZE`] lines.

mod raw;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::raw::{RawCondition, RawRule, RawSystemLog};
use super::decode::{Decode, Element, Field};
use super::duration::{GoDuration, parse_duration};
use super::json::{Document, Position, Value};
use super::report::{Declared, Findings, Notice, Problem};
use crate::rules::Pattern;

/// Lines a monitor may keep for patterns over several lines: a record of the kernel log has up to 8 KiB, so this
/// bounds a monitor at 8 MiB.
pub const MAX_BUFFER_SIZE: usize = 1000;

/// Lines a monitor keeps when its file does not say.
pub const DEFAULT_BUFFER_SIZE: usize = 10;

/// The configuration of one system log monitor.
#[derive(Clone, Debug)]
pub struct SystemLogConfig {
    /// The file it comes from, as named on the command line.
    pub path: PathBuf,
    /// Where the lines come from.
    pub plugin: LogPlugin,
    /// The monitor's name: the component of its events. May be empty.
    pub source: Arc<str>,
    /// How far before the start to read. Negative: only lines from that much later on.
    pub lookback: GoDuration,
    /// How long after boot to ignore the log.
    pub delay: GoDuration,
    /// How many lines a pattern can reach over.
    pub buffer_size: NonZeroUsize,
    /// The conditions the monitor keeps, no two of one kind.
    pub conditions: Vec<ConditionDefinition>,
    /// What to look for, in the order of the file.
    pub rules: Vec<Rule>,
    /// Whether problems are counted in metrics.
    pub metrics_reporting: bool,
}

/// Where a system log monitor gets its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPlugin {
    /// `kmsg`: the kernel log.
    KernelLog,
}

/// A condition and how it looks while the node is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionDefinition {
    /// The NodeCondition's type, never empty.
    pub kind: Arc<str>,
    /// The reason while there is no problem.
    pub reason: Arc<str>,
    /// The message while there is no problem.
    pub message: String,
}

/// What to look for and what it means.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What a match does.
    pub effect: Effect,
    /// The reason of the event, and of the condition.
    pub reason: Arc<str>,
    /// What a line, or several, must look like.
    pub pattern: Pattern,
    /// What is added to the message, after `; `. Never empty.
    pub suffix: Option<String>,
}

/// What a match of a [`Rule`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An event.
    Temporary,
    /// A condition becomes true, with an event when that is news.
    Permanent {
        /// Its index in [`SystemLogConfig::conditions`].
        condition: usize,
    },
}

/// Reads a file's document. Nothing when there are errors among the findings.
pub(super) fn read(path: &Path, document: &Document<'_>, findings: &mut Findings) -> Option<SystemLogConfig> {
    let root = document.root();
    let mut raw = RawSystemLog::default();
    if !raw.decode(root, findings) {
        return None;
    }
    let plugin = check_plugin(&raw.plugin, root, findings);
    if plugin.is_some() {
        check_unused(&raw, root, findings);
    }
    let metrics_reporting = match raw.metrics_reporting.0 {
        Field::Present { value, .. } => value,
        Field::Absent | Field::Refused => true,
    };
    let lookback = check_duration(&raw.lookback, root, findings);
    let delay = check_duration(&raw.delay, root, findings);
    let buffer_size = check_buffer_size(&raw.buffer_size, root, findings);
    let conditions = Conditions::check(&raw, findings);
    let context = RuleContext { conditions: &conditions, metrics_reporting, buffer_size };
    let rules = raw.rules.elements().iter().filter_map(|rule| check_rule(rule, &context, findings)).collect();
    if !raw.rules.is_refused() {
        conditions.report_unused(&raw, findings);
    }
    let config = SystemLogConfig {
        path: path.to_owned(),
        plugin: plugin?,
        source: raw.source.get()?.into(),
        lookback,
        delay,
        buffer_size,
        conditions: conditions.definitions,
        rules,
        metrics_reporting,
    };
    (!findings.is_fatal()).then_some(config)
}

fn check_plugin<'d>(field: &Field<'d, &'d str>, root: Value<'d>, findings: &mut Findings) -> Option<LogPlugin> {
    let name = field.get()?;
    let plugin = LogPlugin::from_name(name);
    if plugin.is_none() {
        let (plugin, allowed) = (name.to_owned(), LogPlugin::NAMES);
        let problem = match name {
            "" => Problem::PluginMissing(allowed),
            "filelog" | "journald" => Problem::PluginNotBuilt { plugin, allowed },
            "custom" => Problem::PluginElsewhere { plugin, flag: "--config.custom-plugin-monitor", allowed },
            _ => Problem::PluginUnknown { plugin, allowed },
        };
        findings.error(field.at(root), problem);
    }
    plugin
}

/// Says which settings the kernel log does not look at.
fn check_unused<'d>(raw: &RawSystemLog<'d>, root: Value<'d>, findings: &mut Findings) {
    let mut unused = |key, at| findings.notice(at, Notice::NoEffect { key, plugin: "kmsg" });
    // "/dev/kmsg" is what it reads in any case, and what node-problem-detector's own files say.
    if raw.log_path.get().is_some_and(|path| !matches!(path, "" | "/dev/kmsg")) {
        unused("logPath", raw.log_path.at(root));
    }
    if let Some(first) = raw.skip_list.elements().first() {
        unused("skipList", first.at);
    }
    if let Some(at) = raw.plugin_config.at.filter(|_| !raw.plugin_config.entries.is_empty()) {
        unused("pluginConfig", at);
    }
}

/// Absent and empty mean zero, for a lookback as for a delay.
fn check_duration<'d>(field: &Field<'d, &'d str>, root: Value<'d>, findings: &mut Findings) -> GoDuration {
    match field.get() {
        None | Some("") => GoDuration::ZERO,
        Some(text) => parse_duration(text).unwrap_or_else(|error| {
            findings.error(field.at(root), Problem::Duration(error));
            GoDuration::ZERO
        }),
    }
}

fn check_buffer_size<'d>(field: &Field<'d, i64>, root: Value<'d>, findings: &mut Findings) -> NonZeroUsize {
    let default = const { NonZeroUsize::new(DEFAULT_BUFFER_SIZE).expect("a default of zero lines") };
    let lines = field.get().unwrap_or(0);
    match usize::try_from(lines) {
        Ok(size) if size <= MAX_BUFFER_SIZE => NonZeroUsize::new(size).unwrap_or(default),
        _ => {
            let problem = Problem::BufferSize { lines, default: DEFAULT_BUFFER_SIZE, most: MAX_BUFFER_SIZE };
            findings.error(field.at(root), problem);
            default
        }
    }
}

/// What a rule is checked against.
struct RuleContext<'a, 'd> {
    conditions: &'a Conditions<'d>,
    metrics_reporting: bool,
    buffer_size: NonZeroUsize,
}

fn check_rule<'d>(
    element: &Element<'d, RawRule<'d>>,
    context: &RuleContext<'_, 'd>,
    findings: &mut Findings,
) -> Option<Rule> {
    let (rule, at) = (&element.value, element.at);
    if element.null {
        findings.error(at, Problem::Null("a rule"));
    }
    if element.null || element.refused {
        return None;
    }
    let effect = check_effect(rule, at, context.conditions, findings);
    if context.metrics_reporting {
        check_label(&rule.reason, at, findings);
        if matches!(effect, Some(Effect::Permanent { .. })) {
            check_label(&rule.condition, at, findings);
        }
    }
    if rule.reason.get() == Some("") {
        findings.notice(rule.reason.at(at), Notice::NoReason);
    }
    let pattern = check_pattern(&rule.pattern, at, context.buffer_size, findings);
    Some(Rule {
        effect: effect?,
        reason: rule.reason.get()?.into(),
        pattern: pattern?,
        suffix: Some(rule.suffix.get()?).filter(|suffix| !suffix.is_empty()).map(str::to_owned),
    })
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

/// Only "temporary" is temporary; whatever else is permanent.
fn check_effect<'d>(
    rule: &RawRule<'d>,
    at: Value<'d>,
    conditions: &Conditions<'d>,
    findings: &mut Findings,
) -> Option<Effect> {
    let (kind, condition) = (rule.kind.get()?, rule.condition.get()?);
    if kind == "temporary" {
        if !condition.is_empty() {
            findings.notice(rule.condition.at(at), Notice::TemporaryCondition(condition.to_owned()));
        }
        return Some(Effect::Temporary);
    }
    if kind != "permanent" {
        findings.notice(rule.kind.at(at), Notice::RuleType(kind.to_owned()));
    }
    let index = conditions.by_kind.get(condition).map(|declared| declared.index);
    if index.is_none() && conditions.complete {
        let (rule_type, condition) = (kind.to_owned(), condition.to_owned());
        let declared = Declared::new(conditions.definitions.iter().map(|definition| &*definition.kind));
        let problem = Problem::ConditionUndeclared { rule: rule_type, condition, declared };
        findings.error(rule.condition.at(at), problem);
    }
    index.map(|condition| Effect::Permanent { condition })
}

/// node-problem-detector's metrics library refuses other labels when it starts.
fn check_label<'d>(field: &Field<'d, &'d str>, owner: Value<'d>, findings: &mut Findings) {
    let label = field.get().unwrap_or_default();
    if label.len() > 255 || !label.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        findings.error(field.at(owner), Problem::Label(label.to_owned()));
    }
}

/// The conditions a file declares.
struct Conditions<'d> {
    definitions: Vec<ConditionDefinition>,
    by_kind: HashMap<&'d str, Declaration>,
    /// False when an error hides what is declared, so that nothing can be said about what is not.
    complete: bool,
}

#[derive(Clone, Copy)]
struct Declaration {
    index: usize,
    position: Position,
}

// === impl Conditions ===

impl<'d> Conditions<'d> {
    fn check(raw: &RawSystemLog<'d>, findings: &mut Findings) -> Self {
        let complete = !raw.conditions.is_refused();
        let mut conditions = Self { definitions: Vec::new(), by_kind: HashMap::new(), complete };
        for element in raw.conditions.elements() {
            conditions.add(element, findings);
        }
        conditions
    }

    fn add(&mut self, element: &Element<'d, RawCondition<'d>>, findings: &mut Findings) {
        let (condition, at) = (&element.value, element.at);
        if element.null {
            findings.error(at, Problem::Null("a condition"));
        }
        let Some(kind) = condition.kind.get().filter(|_| !element.null && !element.refused) else {
            self.complete = false;
            return;
        };
        if kind.is_empty() {
            findings.error(condition.kind.at(at), Problem::ConditionUntyped);
            return;
        }
        let definition = ConditionDefinition {
            kind: kind.into(),
            reason: condition.reason.get().unwrap_or_default().into(),
            message: condition.message.get().unwrap_or_default().to_owned(),
        };
        if let Some(Declaration { index, position: first }) = self.by_kind.get(kind).copied() {
            let kind = kind.to_owned();
            if self.definitions[index] == definition {
                findings.notice(at, Notice::ConditionRepeated { kind, first });
            } else {
                findings.error(at, Problem::ConditionTwice { kind, first });
            }
            return;
        }
        self.by_kind.insert(kind, Declaration { index: self.definitions.len(), position: at.position() });
        self.definitions.push(definition);
    }

    /// Says which conditions no rule names.
    fn report_unused(&self, raw: &RawSystemLog<'d>, findings: &mut Findings) {
        let permanent = raw.rules.elements().iter().filter(|rule| rule.value.kind.get() != Some("temporary"));
        let named: std::collections::HashSet<_> = permanent.filter_map(|rule| rule.value.condition.get()).collect();
        for element in raw.conditions.elements() {
            let kind = element.value.kind.get().unwrap_or_default();
            let here = self.by_kind.get(kind).is_some_and(|first| first.position == element.at.position());
            if here && !named.contains(kind) {
                findings.notice(element.at, Notice::ConditionUnused(kind.to_owned()));
            }
        }
    }
}

// === impl LogPlugin ===

impl LogPlugin {
    /// The names a file can use.
    pub const NAMES: &'static [&'static str] = &["kmsg"];

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "kmsg" => Some(Self::KernelLog),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
