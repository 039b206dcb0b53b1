//! The schema of a custom plugin monitor's config file.

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::Deserialize;

use super::{Condition, RuleType};

/// A custom plugin monitor of npd or node-problem-detector.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CustomPluginMonitor {
    /// The kind of plugin.
    plugin: Plugin,
    /// What holds for all rules.
    plugin_config: Option<PluginConfig>,
    /// The monitor's name in events and logs.
    source: Option<String>,
    /// The conditions that its rules set.
    conditions: Option<Vec<Condition>>,
    /// What to run.
    rules: Option<Vec<PluginRule>>,
    /// Whether problem_counter and problem_gauge count this monitor.
    metrics_reporting: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Plugin {
    /// Programs.
    Custom,
    /// Checks of the agent's own.
    Health,
}

/// What holds for all rules.
#[derive(Deserialize, JsonSchema)]
struct PluginConfig {
    /// The time between two runs of a rule, 30s by default: a Go duration.
    invoke_interval: Option<String>,
    /// How long a run may take, 5s by default: a Go duration.
    timeout: Option<String>,
    /// The most bytes of a plugin's output that become a message, 80 by default.
    #[schemars(range(min = 0, max = 32768))]
    max_output_length: Option<u32>,
    /// How many rules run at the same time, 3 by default.
    #[schemars(range(min = 1, max = 256))]
    concurrency: Option<u32>,
    /// Whether another message of a condition that is True is news.
    enable_message_change_based_condition_update: Option<bool>,
    /// Whether nothing is said of a condition before its rules have run.
    skip_initial_status: Option<bool>,
}

/// What to run, and what its result means.
#[derive(Deserialize, JsonSchema)]
struct PluginRule {
    /// An event at each run that finds the problem, or a condition that is True.
    #[serde(rename = "type")]
    kind: RuleType,
    /// Of a permanent rule: the type of a declared condition.
    condition: Option<String>,
    /// The reason of the event and of the condition.
    #[schemars(length(max = 255))]
    reason: String,
    /// Of `custom`: the program.
    #[schemars(length(min = 1))]
    path: Option<String>,
    /// Of `health`: the check.
    check: Option<HealthCheck>,
    /// Its arguments.
    args: Option<Vec<String>>,
    /// How long a run may take, at most pluginConfig's: a Go duration.
    timeout: Option<String>,
    /// The time between two runs: a Go duration.
    invoke_interval: Option<String>,
}

/// A check of the agent's own.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum HealthCheck {
    /// The kubelet, with health-checker's flags as arguments.
    Kubelet,
    /// kube-proxy, likewise.
    KubeProxy,
    /// Docker, likewise.
    Docker,
    /// The container runtime, likewise.
    Cri,
    /// Tracked connections; `--threshold=PERCENT`.
    Conntrack,
    /// Processes and threads; `--threshold=PERCENT`.
    Processes,
    /// Open files; `--threshold=PERCENT`.
    Files,
    /// The inodes of a file system; `--threshold=PERCENT`, `--path=PATH`.
    Inodes,
    /// Whether the clock is kept; `--max-error=DURATION`.
    Clock,
}

/// The schema.
#[must_use]
pub fn custom_plugin_monitor() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<CustomPluginMonitor>()
}

/// The schema as its file has it.
///
/// # Errors
///
/// When it cannot be written as JSON, which does not happen.
pub fn custom_plugin_monitor_file() -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&custom_plugin_monitor())? + "\n")
}
