//! The JSON schemas of config files, for editors and pipelines: here that of a system log monitor.
//!
//! They are stricter than the agent in one way: keys are spelt as documented, while the agent takes them in any case. And they
//! know less: whether a pattern compiles and a condition is declared is what `npd-agent check-config` says.
#![allow(dead_code, reason = "the types are there for their schema")]

mod custom_plugin;
mod system_stats;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::Deserialize;

pub use self::{
    custom_plugin::{custom_plugin_monitor, custom_plugin_monitor_file},
    system_stats::{system_stats_monitor, system_stats_monitor_file},
};

/// A system log monitor of npd or node-problem-detector.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SystemLogMonitor {
    /// Where the records come from: the kernel log, a log file or systemd's journal.
    plugin: Plugin,
    /// Of a filelog: timestamp, message, timestampFormat. Of journald: source, unit, transport, priority.
    plugin_config: Option<BTreeMap<String, String>>,
    /// The log file, or the folder of the journal.
    log_path: Option<String>,
    /// How far back before the first start records count: a Go duration.
    lookback: Option<String>,
    /// Records of the first so long after boot do not count: a Go duration.
    delay: Option<String>,
    /// Of a filelog: a line with one of these in it is passed over.
    skip_list: Option<Vec<String>>,
    /// How many records a pattern may span; 0 means 10.
    #[schemars(range(min = 0, max = 1000))]
    buffer_size: Option<u32>,
    /// The monitor's name in events and logs.
    source: Option<String>,
    /// The conditions that its rules set.
    conditions: Option<Vec<Condition>>,
    /// What to look for.
    rules: Option<Vec<Rule>>,
    /// Whether problem_counter and problem_gauge count this monitor.
    metrics_reporting: Option<bool>,
    /// For all temporary rules that do not say: for how long repeats of one message are told of together.
    fold_within: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Plugin {
    /// The kernel log.
    Kmsg,
    /// A log file.
    Filelog,
    /// systemd's journal.
    Journald,
}

/// A condition, as it is while all is well.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Condition {
    /// The NodeCondition's type.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 255))]
    kind: String,
    /// Read and overwritten.
    status: Option<String>,
    /// Read and overwritten: an RFC 3339 time.
    transition: Option<String>,
    /// The reason while there is no problem.
    reason: Option<String>,
    /// The message while there is no problem.
    message: Option<String>,
}

/// What to look for, and what it means.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Rule {
    /// An event at each match, or a condition that becomes True.
    #[serde(rename = "type")]
    kind: RuleType,
    /// Of a permanent rule: the type of a declared condition.
    condition: Option<String>,
    /// The reason of the event and of the condition.
    #[schemars(length(max = 255))]
    reason: String,
    /// A Go (RE2) regular expression that must match to the end of the newest record.
    pattern: String,
    /// Appended to the message after "; ".
    pattern_generated_message_suffix: Option<String>,
    /// The message instead of the matched records; ${name} is a named group or a field, $$ a dollar sign.
    message: Option<String>,
    /// Groups or fields by which occurrences are told apart.
    #[schemars(length(max = 4))]
    by: Option<Vec<String>>,
    /// How often the rule has to match before it acts.
    threshold: Option<Threshold>,
    /// The problem is over when a record matches this.
    clear_pattern: Option<String>,
    /// The problem is over when the rule has not matched for so long: a Go duration.
    clear_after: Option<String>,
    /// The problem is over when the node says so.
    recheck: Option<Recheck>,
    /// For how long repeats of one message are told of together: a Go duration.
    fold_within: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RuleType {
    /// An event.
    Temporary,
    /// A condition.
    Permanent,
}

/// So many matches within so long.
#[derive(Deserialize, JsonSchema)]
struct Threshold {
    /// How many.
    #[schemars(range(min = 2, max = 1000))]
    count: u32,
    /// Within how long: a Go duration.
    window: String,
}

/// A question to the node.
#[derive(Deserialize, JsonSchema)]
struct Recheck {
    /// Whether the mount of the group dev is still read-only, the task pid still hangs, the interface is still down.
    what: RecheckKind,
    /// The time between two questions, 30s by default: a Go duration.
    every: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RecheckKind {
    Mount,
    Task,
    Interface,
}

/// The schema.
#[must_use]
pub fn system_log_monitor() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<SystemLogMonitor>()
}

/// The schema as its file has it.
///
/// # Errors
///
/// When it cannot be written as JSON, which does not happen.
pub fn system_log_monitor_file() -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&system_log_monitor())? + "\n")
}
