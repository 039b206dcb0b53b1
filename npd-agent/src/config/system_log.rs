//! The configuration of a system log monitor: node-problem-detector's file, checked.
//!
//! What node-problem-detector takes is taken and means the same, with these exceptions, each an error:
//! a permanent rule whose condition is not declared (there it matches and never does anything), a `null` rule (there
//! it matches every line) or condition, a condition without a type, one condition declared twice with different
//! words (there the second hides the first, which is never seen true), a buffer of more than
//! [`MAX_BUFFER_SIZE`] lines, and a `pluginConfig` with which no line could ever be read.
//!
//! Beyond node-problem-detector a rule may say when its problem is over (`clearPattern`, `clearAfter`, `recheck`), how
//! often it has to match (`threshold`), what it tells apart (`by`), what it says (`message`) and how long repeats of one
//! message are folded (`foldWithin`). A file without these keys means what it means there.

mod conditions;
mod input;
pub(super) mod raw;
pub(super) mod rule;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use self::raw::{CONDITION, RECHECK, RULE, SYSTEM_LOG, THRESHOLD};

pub(in crate::config) use self::conditions::Conditions;

use self::{raw::RawSystemLog, rule::RuleContext};
use super::{
    decode::{Decode, Field},
    report::{Findings, Problem},
};
use crate::{
    config::key::Words,
    go::{
        duration::{GoDuration, parse_duration},
        json::{Document, Value},
    },
    problem::{Condition, ConditionStatus},
    rules::{Pattern, Template},
    source::{file::line_format::LineFormat, journal::JournalFilter},
    time::Timestamp,
};

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
    pub input: LogInput,
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
    /// Of the file's text, to know a change of it.
    pub digest: u64,
}

/// Where a system log monitor gets its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogInput {
    /// `kmsg`: the kernel log.
    KernelLog,
    /// `filelog`: a log file.
    File {
        /// Which.
        path: PathBuf,
        /// How its lines are read.
        format: Arc<LineFormat>,
    },
    /// `journald`: systemd's journal.
    Journal {
        /// Its folder; nothing for the system's.
        folder: Option<PathBuf>,
        /// Which of its entries.
        filter: JournalFilter,
    },
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
    /// The message, in the place of the matched lines.
    pub message: Option<Template>,
    /// The groups or fields by which occurrences are told apart. Never more than [`MAX_BY`].
    pub by: Vec<Arc<str>>,
    /// How often it has to match before it counts.
    pub threshold: Option<Threshold>,
    /// When the problem is over. Of a temporary rule: never.
    pub recovery: Recovery,
    /// For how long repeats of one message are folded into one event.
    pub fold_within: Option<Duration>,
}

/// How often a rule has to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// So many matches, 2 to [`MAX_COUNT`],
    pub count: usize,
    /// within so long.
    pub window: Duration,
}

/// When a permanent rule's problem is over. Nothing at all means never, as in node-problem-detector.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// When a line matches this.
    pub pattern: Option<Pattern>,
    /// When the rule has not matched for so long.
    pub after: Option<Duration>,
    /// When the node itself says so.
    pub recheck: Option<Recheck>,
}

/// What the node is asked about, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recheck {
    /// The question.
    pub what: RecheckKind,
    /// The time between two questions.
    pub every: Duration,
}

/// What the node can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecheckKind {
    /// `mount`: whether the file systems of the block device `dev` are still read-only or shut down.
    Mount,
    /// `task`: whether the task `pid` still hangs.
    Task,
    /// `interface`: whether the network interface `interface` is still down.
    Interface,
}

/// Groups or fields a rule may tell occurrences apart by.
pub const MAX_BY: usize = 4;

/// The fewest matches that a threshold may ask for: one is what a rule without a threshold needs.
pub const MIN_COUNT: usize = 2;

/// The most matches that a threshold may ask for: each is remembered.
pub const MAX_COUNT: usize = 1000;

/// The longest reason or condition type that node-problem-detector's metrics take as a label.
pub const MAX_LABEL: usize = 255;

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
    let input = input::check(&raw, root, findings);
    let metrics_reporting = match raw.metrics_reporting.0 {
        Field::Present { value, .. } => value,
        Field::Absent | Field::Refused => true,
    };
    let lookback = check_duration(&raw.lookback, root, findings);
    let delay = check_duration(&raw.delay, root, findings);
    let buffer_size = check_buffer_size(&raw.buffer_size, root, findings);
    let fold_within = rule::check_span(&raw.fold_within, root, findings);
    let conditions = Conditions::check(&raw.conditions, findings);
    let context =
        RuleContext { conditions: &conditions, metrics_reporting, buffer_size, fold_within, input: input.as_ref() };
    let rules = raw.rules.elements().iter().filter_map(|rule| rule::check(rule, &context, findings)).collect();
    if !raw.rules.is_refused() {
        let permanent = raw.rules.elements().iter().filter(|rule| rule.value.kind.get() != Some("temporary"));
        let named = permanent.filter_map(|rule| rule.value.condition.get()).collect();
        conditions.report_unused(&raw.conditions, &named, findings);
    }
    let config = SystemLogConfig {
        path: path.to_owned(),
        input: input?,
        source: raw.source.get()?.into(),
        lookback,
        delay,
        buffer_size,
        conditions: conditions.definitions,
        rules,
        metrics_reporting,
        digest: 0,
    };
    (!findings.is_fatal()).then_some(config)
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

// === impl ConditionDefinition ===

impl ConditionDefinition {
    /// The condition while there is no problem.
    #[must_use]
    pub fn healthy(&self, since: Timestamp) -> Condition {
        Condition {
            kind: self.kind.clone(),
            status: ConditionStatus::False,
            transition: since,
            reason: self.reason.clone(),
            message: self.message.clone(),
        }
    }
}

// === impl LogInput ===

impl LogInput {
    /// The names a file can use.
    pub const NAMES: &'static [&'static str] = &Words::names(&raw::PLUGINS);

    /// What it is called in logs, metrics and the state folder: `kmsg`, `filelog:/var/log/kern.log`, `journald:kubelet`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::KernelLog => "kmsg".to_owned(),
            Self::File { path, .. } => format!("filelog:{}", path.display()),
            Self::Journal { filter, .. } => {
                let lists = [&filter.identifiers, &filter.units, &filter.transports];
                let first = lists.into_iter().find(|list| !list.is_empty());
                format!("journald:{}", first.map(|list| list.join("+")).unwrap_or_default())
            }
        }
    }
}

// === impl Recovery ===

impl Recovery {
    /// Whether the problem is never over.
    #[must_use]
    pub fn is_never(&self) -> bool {
        self.pattern.is_none() && self.after.is_none() && self.recheck.is_none()
    }
}

// === impl RecheckKind ===

impl RecheckKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mount, Self::Task, Self::Interface];

    /// The word in a file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Task => "task",
            Self::Interface => "interface",
        }
    }

    /// The group or field that names whom it is asked about.
    #[must_use]
    pub fn subject(self) -> &'static str {
        match self {
            Self::Mount => "dev",
            Self::Task => "pid",
            Self::Interface => "interface",
        }
    }
}

#[cfg(test)]
mod tests;
