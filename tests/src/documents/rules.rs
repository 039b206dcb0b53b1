//! `deploy/prometheus-rules.yaml`: the thresholds of the shipped configs as Prometheus' rules, and what npd tells of
//! itself.

use std::time::Duration;

use anyhow::Result;
use npd_agent::config::system_stats::{Alert, Bound, MetricConfig};
use npd_agent::config::{GoDuration, SystemStatsConfig};
use npd_agent::monitor::system_stats::table::Kind;

const HEAD: &str =
    "# Written by `cargo xtask codegen`: the thresholds of config/*-stats-monitor.json, and what npd tells of itself.
# For the Prometheus operator, put `groups` under the `spec` of a PrometheusRule.
groups:
  - name: npd
    rules:
";

/// A growth is looked at over so long: several scrapes.
const WINDOW: &str = "5m";

/// Name, expression, for how long, and what it means.
const OWN: [(&str, &str, &str, &str); 4] = [
    ("NodeProblem", "problem_gauge == 1", "", "The node has the condition {{ $labels.type }}: {{ $labels.reason }}"),
    (
        "NodeProblemCollectorFails",
        "npd_collector_success == 0",
        "10m",
        "The collector {{ $labels.collector }} of {{ $labels.file }} cannot read everything, or hangs",
    ),
    ("NodeProblemSourceDown", "npd_source_up == 0", "10m", "npd cannot read {{ $labels.source }}"),
    (
        "NodeProblemConfigInvalid",
        "npd_config_valid == 0",
        "10m",
        "The config file {{ $labels.file }} has errors; the one before is in use",
    ),
];

pub(super) fn write(shipped: &[SystemStatsConfig]) -> Result<String> {
    let mut text = HEAD.to_owned();
    for (name, expression, hold, summary) in OWN {
        text += &rule(name, expression, hold, summary)?;
    }
    for metric in shipped.iter().flat_map(|config| &config.metrics) {
        for alert in &metric.alerts {
            let expression = expression(metric, alert);
            let summary = format!("{}: {{{{ $value | humanize }}}}", metric.id.metric().help);
            text += &rule(&format!("Node{}", alert.reason), &expression, &spell(alert.hold), &summary)?;
        }
    }
    Ok(text)
}

fn expression(metric: &MetricConfig, alert: &Alert) -> String {
    let labels = alert
        .labels
        .iter()
        .filter_map(|(index, value)| Some(format!("{}=\"{value}\"", metric.id.metric().labels.get(*index)?)));
    let labels = labels.collect::<Vec<_>>().join(", ");
    let series = if labels.is_empty() { metric.name.to_string() } else { format!("{}{{{labels}}}", metric.name) };
    let value = match metric.id.metric().kind {
        Kind::Gauge => series,
        Kind::Counter => format!("rate({series}[{WINDOW}])"),
    };
    match alert.bound {
        Bound::Above(bound) => format!("{value} > {bound}"),
        Bound::Below(bound) => format!("{value} < {bound}"),
    }
}

/// Prometheus writes no zero units: `5m`, not `5m0s`.
fn spell(hold: Duration) -> String {
    if hold.is_zero() {
        return String::new();
    }
    let spelt = GoDuration::from_nanos(i64::try_from(hold.as_nanos()).unwrap_or(i64::MAX)).to_string();
    let spelt = spelt.strip_suffix("m0s").map(|rest| format!("{rest}m")).unwrap_or(spelt);
    spelt.strip_suffix("h0m").map(|rest| format!("{rest}h")).unwrap_or(spelt)
}

/// One rule. A JSON string is a YAML string.
fn rule(name: &str, expression: &str, hold: &str, summary: &str) -> Result<String> {
    let (expression, summary) = (serde_json::to_string(expression)?, serde_json::to_string(summary)?);
    let hold = if hold.is_empty() { String::new() } else { format!("        for: {hold}\n") };
    Ok(format!(
        "      - alert: {name}\n        expr: {expression}\n{hold}        labels:\n          severity: warning\n        \
         annotations:\n          summary: {summary}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_spelt_as_prometheus_reads_them() {
        for (seconds, spelt) in [(0, ""), (30, "30s"), (300, "5m"), (7200, "2h"), (5400, "1h30m"), (90, "1m30s")] {
            assert_eq!(spell(Duration::from_secs(seconds)), spelt);
        }
    }
}
