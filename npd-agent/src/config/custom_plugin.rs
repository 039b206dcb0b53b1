//! The configuration of a custom plugin monitor: node-problem-detector's file, checked.
//!
//! What node-problem-detector takes is taken and means the same, with these exceptions, each an error: a concurrency
//! below 1 (there nothing runs, or the agent dies), a negative `max_output_length` (there it dies at the first output), a
//! timeout of nothing (there every run fails), and a rule of whichever type whose condition is not declared (there, unless
//! its type is to the letter `permanent`, it never does anything). A program that is not there is an error there and a
//! warning here: its rule says so until it is, and everything else is watched.

mod raw;
mod rule;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use self::raw::{CUSTOM_PLUGIN, RULE, SETTINGS};

use self::raw::{RawCustomPlugin, RawSettings};
use super::{
    decode::{Decode, Field, Optional},
    monitor_kind::{HEALTH, PLUGIN},
    report::{Findings, Problem},
    system_log::{ConditionDefinition, Conditions, Effect},
};
use crate::{
    go::{
        duration::parse_duration,
        json::{Document, Value},
    },
    health::built_in::BuiltIn,
};

/// The time between two runs of a rule when nothing is said.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);

/// Running something more often than this would be a load, not a check.
pub const LEAST_INTERVAL: Duration = Duration::from_millis(10);

/// How long a run may take when nothing is said.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The shortest time that a run can be given.
pub const LEAST_TIMEOUT: Duration = Duration::from_millis(1);

/// Bytes of a message when nothing is said.
pub const DEFAULT_OUTPUT_LENGTH: usize = 80;

/// Bytes that a message may have: more than anybody reads, and little enough to keep for each rule.
pub const MAX_OUTPUT_LENGTH: usize = 32 << 10;

/// Runs at the same time when nothing is said.
pub const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");

/// Runs at the same time that can be asked for: each has a process and three descriptors.
pub const MAX_CONCURRENCY: usize = 256;

/// The configuration of one custom plugin monitor.
#[derive(Clone, Debug)]
pub struct CustomPluginConfig {
    /// The file it comes from, as named on the command line.
    pub path: PathBuf,
    /// The monitor's name: the component of its events. May be empty.
    pub source: Arc<str>,
    /// How many rules run at the same time.
    pub concurrency: NonZeroUsize,
    /// The most bytes of a plugin's words that become a message.
    pub max_output_length: usize,
    /// Whether another message of a condition that is True is news.
    pub message_changes: bool,
    /// Whether nothing is said of a condition before its rules have run.
    pub skip_initial_status: bool,
    /// The conditions the monitor keeps, no two of one kind.
    pub conditions: Vec<ConditionDefinition>,
    /// What to run, in the order of the file.
    pub rules: Vec<PluginRule>,
    /// Whether problems are counted in metrics.
    pub metrics_reporting: bool,
    /// Of the file's text, to know a change of it.
    pub digest: u64,
}

/// What to run and what its result means.
#[derive(Clone, Debug)]
pub struct PluginRule {
    /// What a problem does.
    pub effect: Effect,
    /// The reason of the event, and of the condition.
    pub reason: Arc<str>,
    /// What finds it out.
    pub check: CheckConfig,
    /// The time between the beginnings of two runs.
    pub interval: Duration,
    /// How long a run may take.
    pub timeout: Duration,
}

/// What finds out whether there is a problem.
#[derive(Clone, Debug)]
pub enum CheckConfig {
    /// A program.
    Program {
        /// Which.
        path: PathBuf,
        /// Its arguments.
        args: Vec<String>,
    },
    /// A check of the agent's own.
    BuiltIn {
        /// Its name.
        name: String,
        /// Its arguments.
        args: Vec<String>,
        /// What they make.
        check: BuiltIn,
    },
}

const PLUGINS: &[&str] = &[PLUGIN, HEALTH];

/// Reads a file's document. Nothing when there are errors among the findings.
pub(super) fn read(path: &Path, document: &Document<'_>, findings: &mut Findings) -> Option<CustomPluginConfig> {
    let root = document.root();
    let mut raw = RawCustomPlugin::default();
    if !raw.decode(root, findings) {
        return None;
    }
    check_plugin(&raw, root, findings);
    let metrics_reporting = or_default(&raw.metrics_reporting, true);
    let settings = Settings::check(&raw.settings, root, findings);
    let conditions = Conditions::check(&raw.conditions, findings);
    let built_in = raw.plugin.get() == Some(HEALTH);
    let context = rule::Context { conditions: &conditions, metrics_reporting, settings: &settings, built_in };
    let rules = raw.rules.elements().iter().filter_map(|rule| rule::check(rule, &context, findings)).collect();
    if !raw.rules.is_refused() {
        let permanent = raw.rules.elements().iter().filter(|rule| rule.value.kind.get() != Some("temporary"));
        let named = permanent.filter_map(|rule| rule.value.condition.get()).collect();
        conditions.report_unused(&raw.conditions, &named, findings);
    }
    let config = CustomPluginConfig {
        path: path.to_owned(),
        source: raw.source.get()?.into(),
        concurrency: settings.concurrency,
        max_output_length: settings.max_output_length,
        message_changes: or_default(&raw.settings.message_changes, false),
        skip_initial_status: or_default(&raw.settings.skip_initial_status, false),
        conditions: conditions.definitions,
        rules,
        metrics_reporting,
        digest: 0,
    };
    (!findings.is_fatal()).then_some(config)
}

fn check_plugin<'d>(raw: &RawCustomPlugin<'d>, root: Value<'d>, findings: &mut Findings) {
    let problem = match raw.plugin.get() {
        None | Some(PLUGIN | HEALTH) => return,
        Some("") => Problem::PluginMissing(PLUGINS),
        Some(name @ ("kmsg" | "filelog" | "journald")) => {
            Problem::PluginElsewhere { plugin: name.to_owned(), flag: "--config.system-log-monitor", allowed: PLUGINS }
        }
        Some(name) => Problem::PluginUnknown { plugin: name.to_owned(), allowed: PLUGINS },
    };
    findings.error(raw.plugin.at(root), problem);
}

/// What holds for all rules of a file.
struct Settings {
    interval: Duration,
    timeout: Duration,
    concurrency: NonZeroUsize,
    max_output_length: usize,
}

// === impl CheckConfig ===

impl CheckConfig {
    /// All that is said of it, as one text: two that are not the same have different ones.
    #[must_use]
    pub fn identity(&self) -> String {
        match self {
            Self::Program { path, args } => format!("{} {args:?}", path.display()),
            Self::BuiltIn { name, args, .. } => format!("{name} {args:?}"),
        }
    }
}

// === impl Settings ===

impl Settings {
    fn check<'d>(raw: &RawSettings<'d>, root: Value<'d>, findings: &mut Findings) -> Self {
        // The owner only matters for a key that is absent, and an absent setting has a default.
        let owner = root;
        Self {
            interval: check_interval(&raw.invoke_interval, owner, findings).unwrap_or(DEFAULT_INTERVAL),
            timeout: check_timeout(&raw.timeout, owner, findings).unwrap_or(DEFAULT_TIMEOUT),
            concurrency: check_concurrency(&raw.concurrency, owner, findings),
            max_output_length: check_output_length(&raw.max_output_length, owner, findings),
        }
    }
}

/// An interval, if one is given.
fn check_interval<'d>(field: &Optional<'d, &'d str>, owner: Value<'d>, findings: &mut Findings) -> Option<Duration> {
    check_span(field, owner, LEAST_INTERVAL, "10ms and more", findings)
}

/// A timeout, if one is given.
fn check_timeout<'d>(field: &Optional<'d, &'d str>, owner: Value<'d>, findings: &mut Findings) -> Option<Duration> {
    check_span(field, owner, LEAST_TIMEOUT, "1ms and more", findings)
}

fn check_span<'d>(
    field: &Optional<'d, &'d str>,
    owner: Value<'d>,
    least: Duration,
    allowed: &str,
    findings: &mut Findings,
) -> Option<Duration> {
    let Field::Present { value: text, .. } = field.0 else { return None };
    match parse_duration(text).map(|duration| (duration, duration.to_std())) {
        Ok((_, Some(span))) if span >= least => return Some(span),
        Ok((duration, _)) => findings.error(field.0.at(owner), Problem::value(duration, allowed)),
        Err(error) => findings.error(field.0.at(owner), Problem::Duration(error)),
    }
    None
}

fn check_concurrency<'d>(field: &Optional<'d, i64>, owner: Value<'d>, findings: &mut Findings) -> NonZeroUsize {
    let Field::Present { value, .. } = field.0 else { return DEFAULT_CONCURRENCY };
    match usize::try_from(value).map(NonZeroUsize::new) {
        Ok(Some(concurrency)) if concurrency.get() <= MAX_CONCURRENCY => concurrency,
        _ => {
            let problem = Problem::value(format!("a concurrency of {value}"), format!("1 to {MAX_CONCURRENCY}"));
            findings.error(field.0.at(owner), problem);
            DEFAULT_CONCURRENCY
        }
    }
}

fn check_output_length<'d>(field: &Optional<'d, i64>, owner: Value<'d>, findings: &mut Findings) -> usize {
    let Field::Present { value, .. } = field.0 else { return DEFAULT_OUTPUT_LENGTH };
    match usize::try_from(value) {
        Ok(length) if length <= MAX_OUTPUT_LENGTH => length,
        _ => {
            let problem = Problem::value(format!("a length of {value}"), format!("0 to {MAX_OUTPUT_LENGTH} bytes"));
            findings.error(field.0.at(owner), problem);
            DEFAULT_OUTPUT_LENGTH
        }
    }
}

fn or_default(field: &Optional<'_, bool>, default: bool) -> bool {
    match field.0 {
        Field::Present { value, .. } => value,
        Field::Absent | Field::Refused => default,
    }
}

#[cfg(test)]
mod tests;
