//! The schema of a system stats monitor's config file.

use std::collections::BTreeMap;

use npd_agent::metric::{MetricId, Section as Collector};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Condition;

/// A system stats monitor of npd or node-problem-detector.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SystemStatsMonitor {
    /// Load and CPU time.
    cpu: Option<Section>,
    /// Block devices and the file systems on them.
    disk: Option<DiskSection>,
    /// Uptime and versions.
    host: Option<Section>,
    /// Memory.
    memory: Option<Section>,
    /// Boot options and kernel modules.
    os_feature: Option<OsFeatureSection>,
    /// Network interfaces.
    net: Option<NetSection>,
    /// The time between two collections, 60s by default: a Go duration.
    invoke_interval: Option<String>,
    /// Where the node's /proc is.
    proc_path: Option<String>,
    /// Pressure stall information.
    pressure: Option<Section>,
    /// What the kernel bounds for the whole node.
    limits: Option<Section>,
    /// States of processes.
    tasks: Option<Section>,
    /// Reclaim and the OOM killer.
    vm: Option<Section>,
    /// Memory errors that the hardware found.
    hardware: Option<Section>,
    /// The clock's offset.
    clock: Option<Section>,
    /// The monitor's name in events and logs.
    source: Option<String>,
    /// The conditions that alerts set.
    conditions: Option<Vec<Condition>>,
    /// Whether problem_counter and problem_gauge count the alerts.
    metrics_reporting: Option<bool>,
}

/// What one collector measures.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Section {
    /// The metrics.
    metrics_configs: Option<BTreeMap<String, MetricConfig>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DiskSection {
    /// The metrics.
    metrics_configs: Option<BTreeMap<String, MetricConfig>>,
    /// Measure whole devices.
    include_root_blk: Option<bool>,
    /// Measure devices that are mounted.
    include_all_attached_blk: Option<bool>,
    /// Read, and without effect: no lsblk is run.
    lsblk_timeout: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OsFeatureSection {
    /// The metrics.
    metrics_configs: Option<BTreeMap<String, MetricConfig>>,
    /// A file with the modules that may be out of tree, relative to this one.
    known_modules_config_path: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NetSection {
    /// The metrics.
    metrics_configs: Option<BTreeMap<String, MetricConfig>>,
    /// Interfaces that are not measured: a Go (RE2) regular expression.
    exclude_interface_regexp: Option<String>,
}

/// A metric that is measured.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MetricConfig {
    /// Its name; what Prometheus does not allow becomes an underscore.
    display_name: Option<String>,
    /// What makes a problem of it.
    alert: Option<Alerts>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Alerts {
    One(Alert),
    Several(Vec<Alert>),
}

/// A threshold: of a gauge for its value, of a counter for its growth a second.
#[derive(Deserialize, JsonSchema)]
struct Alert {
    /// The problem begins above this.
    above: Option<f64>,
    /// The problem begins below this.
    below: Option<f64>,
    /// How long the bound has to be passed: a Go duration.
    #[serde(rename = "for")]
    hold: Option<String>,
    /// An event, or a condition that becomes True.
    #[serde(rename = "type")]
    kind: super::RuleType,
    /// The reason of the event and of the condition.
    #[schemars(length(min = 1, max = 255))]
    reason: String,
    /// Of a permanent alert: the type of a declared condition.
    condition: Option<String>,
    /// The values that labels of the series must have.
    labels: Option<BTreeMap<String, String>>,
}

/// The schema.
#[must_use]
pub fn system_stats_monitor() -> Schema {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<SystemStatsMonitor>();
    let ids = Collector::ALL.iter().flat_map(|section| MetricId::of(*section)).map(|id| id.metric().id);
    let ids: Vec<_> = ids.collect();
    let mut schema = Value::from(schema);
    if let Some(definitions) = schema["$defs"].as_object_mut() {
        for definition in definitions.values_mut() {
            if let Some(metrics) = definition.pointer_mut("/properties/metricsConfigs").and_then(Value::as_object_mut) {
                // An editor offers them; which belongs where is what check-config says.
                metrics.insert("propertyNames".to_owned(), json!({"enum": ids}));
            }
        }
    }
    Schema::try_from(schema).unwrap_or_default()
}

/// The schema as its file has it.
///
/// # Errors
///
/// When it cannot be written as JSON, which does not happen.
pub fn system_stats_monitor_file() -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&system_stats_monitor())? + "\n")
}
