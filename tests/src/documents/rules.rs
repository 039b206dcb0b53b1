//! `deploy/prometheus-rules.yaml`: an alert for each reason that should have one, and alerts about npd itself. The alert of a
//! shipped threshold's reason queries the metric itself, which Prometheus also has while npd's events are switched off.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, bail};
use npd_agent::{
    config::{
        SystemStatsConfig,
        system_stats::{Alert, Bound, MetricConfig},
    },
    go::duration::GoDuration,
    metric::Kind,
};

use super::reasons::{Catalogue, Level, Place, Problem};

const HEAD: &str = "# Written by `cargo xtask codegen` from docs/reasons.yaml, the thresholds of config/*-stats-monitor.json, and npd's own metrics.
# For the Prometheus operator, put `groups` under the `spec` of a PrometheusRule.
groups:
";

/// The range over which the growth of a counter is measured: several scrapes.
const WINDOW: &str = "5m";
/// The range in which events are looked for, and so how long their alerts last.
const EVENTS: &str = "15m";

/// An alert about npd itself.
pub(super) struct Own {
    pub(super) name: &'static str,
    expression: &'static str,
    hold: &'static str,
    pub(super) level: Level,
    summary: &'static str,
    pub(super) meaning: &'static str,
    pub(super) step: &'static str,
}

/// The alerts about npd itself.
pub(super) const OWN: [Own; 11] = [
    Own {
        name: "NodeProblemAgentsGone",
        expression: "absent(npd_build_info)",
        hold: "15m",
        level: Level::Warning,
        summary: "No npd is running, or none is scraped",
        meaning: "Prometheus has no metrics from any npd",
        step: "`kubectl -n npd get pods`; check the ServiceMonitor or scrape config, and the NetworkPolicy",
    },
    Own {
        name: "NodeProblemCollectorFails",
        expression: "npd_collector_success == 0",
        hold: "10m",
        level: Level::Warning,
        summary: "The collector {{ $labels.collector }} of {{ $labels.file }} cannot read everything, or hangs",
        meaning: "A collector of metrics cannot read something, or a read hangs",
        step: "npd's log names the file; a read that hangs points to a disk or mount that does not respond",
    },
    Own {
        name: "NodeProblemConditionsStale",
        expression: "time() - npd_k8s_conditions_written_timestamp_seconds > 1800 and npd_k8s_conditions_written_timestamp_seconds > 0",
        hold: "5m",
        level: Level::Warning,
        summary: "npd has not written the node's conditions for half an hour",
        meaning: "The Node was not written for half an hour. With a longer `--k8s-exporter-heartbeat-period`, raise the number in the alert",
        step: "npd's log says why; `npd_k8s_requests_total` by `code`: 403 is a missing permission, 401 an invalid token",
    },
    Own {
        name: "NodeProblemRequestsRefused",
        expression: "increase(npd_k8s_requests_total{code=~\"400|403|422\"}[15m]) > 0",
        hold: "5m",
        level: Level::Warning,
        summary: "The API server rejects npd's requests with {{ $labels.code }}",
        meaning: "npd lacks a permission, an admission policy denies its requests, or the API server considers an object invalid. An agent that was never allowed to write is ready nevertheless",
        step: "npd's log has the API server's message; compare the roles and policies with those in `deploy/`",
    },
    Own {
        name: "NodeProblemConfigInvalid",
        expression: "npd_config_valid == 0",
        hold: "10m",
        level: Level::Warning,
        summary: "The config file {{ $labels.file }} has errors; its previous version is in use",
        meaning: "A changed config file has errors and is not used",
        step: "npd's log lists all errors, and so does `npd-agent check-config FILE`",
    },
    Own {
        name: "NodeProblemEventsDropped",
        expression: "increase(npd_k8s_events_total{outcome=~\"dropped|refused\"}[15m]) > 0",
        hold: "",
        level: Level::Warning,
        summary: "Problems did not become Events: {{ $labels.outcome }}",
        meaning: "The queue of Events was full while the API server was unreachable (`dropped`), or the API server rejected them (`refused`)",
        step: "npd's log says why. `problem_counter` and the log are complete",
    },
    Own {
        name: "NodeProblemKernelLogDegraded",
        expression: "npd_kernel_log_mode{mode=\"probe+kmsg\"} == 0 and max_over_time(npd_kernel_log_mode{mode=\"probe+kmsg\"}[1d]) == 1",
        hold: "15m",
        level: Level::Info,
        summary: "The kernel log is no longer read through the probes",
        meaning: "The kernel log was read through the probes and /dev/kmsg within the last day and no longer is; problems that the kernel does not print may be missed",
        step: "`/readyz` shows the mode, npd's log says why it changed, docs/kernel-log.md describes the modes",
    },
    Own {
        name: "NodeProblemPluginFails",
        expression: "increase(npd_plugin_runs_total{outcome=~\"error|refused|stuck|timeout\"}[15m]) > 0",
        hold: "15m",
        level: Level::Warning,
        summary: "The check {{ $labels.rule }} fails to run: {{ $labels.outcome }}",
        meaning: "A plugin or check cannot be run, so its problem would be missed",
        step: "Depending on the alert's `outcome`, see CheckError, CheckRefused, CheckStuck or CheckTimeout",
    },
    Own {
        name: "NodeProblemRecordsLost",
        expression: "increase(npd_kernel_records_lost_total[15m]) > 0",
        hold: "",
        level: Level::Info,
        summary: "Lines of the kernel log were overwritten before npd had read them",
        meaning: "The kernel printed faster than npd was scheduled; a problem in these lines was missed",
        step: "Look in `dmesg` for what floods the log; use a larger `--kernel-ring-size` or `log_buf_len=`, or give npd more CPU",
    },
    Own {
        name: "NodeProblemSourceDown",
        expression: "npd_source_up == 0",
        hold: "10m",
        level: Level::Warning,
        summary: "npd cannot read {{ $labels.source }}",
        meaning: "A log file or journal is missing, or cannot be read",
        step: "`/readyz` and npd's log say why: the path, a mount, or a permission",
    },
    Own {
        name: "NodeProblemSourceLost",
        expression: "increase(npd_source_lost_total[1h]) > 0",
        hold: "",
        level: Level::Info,
        summary: "Lines of {{ $labels.source }} may have been lost",
        meaning: "The position to continue from was gone: the log was rotated or vacuumed faster than it was read",
        step: "Retain more of the log (rotation, `SystemMaxUse=`)",
    },
];

/// The rules as a file for Prometheus.
pub(super) fn write(shipped: &[SystemStatsConfig]) -> Result<String> {
    let catalogue = Catalogue::read()?;
    let mut text = HEAD.to_owned() + "  - name: npd\n    rules:\n";
    for own in &OWN {
        let Own { name, expression, hold, level, summary, meaning, .. } = own;
        let description = format!("{}.", meaning.replace('`', ""));
        text += &rule(name, expression, hold, *level, summary, &description, "alerts-about-npd-itself")?;
    }
    text += "  - name: npd-problems\n    rules:\n";
    text += &other_conditions(&catalogue)?;
    let mut thresholds = BTreeMap::<&str, Vec<(&MetricConfig, &Alert)>>::new();
    for metric in shipped.iter().flat_map(|config| &config.metrics) {
        for alert in &metric.alerts {
            thresholds.entry(&*alert.reason).or_default().push((metric, alert));
        }
    }
    for problem in &catalogue.problems {
        let found = thresholds.get(problem.reason.as_str()).map_or(&[][..], Vec::as_slice);
        if problem.alert == Level::None {
            if !found.is_empty() {
                bail!("{} is the reason of a shipped threshold and needs an alert", problem.reason);
            }
            continue;
        }
        text += &of_problem(problem, found)?;
    }
    Ok(text)
}

/// The conditions of rules that are not shipped: the catalogue does not have their reasons.
fn other_conditions(catalogue: &Catalogue) -> Result<String> {
    let lasting = catalogue.problems.iter().filter(|problem| !problem.conditions().is_empty());
    let known = lasting.map(|problem| problem.reason.as_str()).collect::<Vec<_>>().join("|");
    rule(
        "NodeProblem",
        &format!("problem_gauge{{reason!~\"{known}\"}} == 1"),
        "",
        Level::Warning,
        "The node has the condition {{ $labels.type }}: {{ $labels.reason }}",
        "A condition of a rule that npd does not ship is True.",
        "what-npd-reports-and-what-to-do",
    )
}

fn of_problem(problem: &Problem, thresholds: &[(&MetricConfig, &Alert)]) -> Result<String> {
    let reason = &problem.reason;
    let mut ways: Vec<_> = thresholds.iter().map(|(metric, alert)| expression(metric, alert)).collect();
    ways.extend(
        problem.conditions().iter().map(|kind| format!("problem_gauge{{type=\"{kind}\", reason=\"{reason}\"}} == 1")),
    );
    if problem.places.iter().any(|place| matches!(place, Place::Event { .. })) {
        ways.push(format!("increase(problem_counter{{reason=\"{reason}\"}}[{EVENTS}]) > {}", problem.above));
    }
    // Any of them is enough, and a node has one alert per reason.
    let expression = ways.join(" or on (instance) ");
    let hold = match (&problem.hold, thresholds) {
        (Some(hold), _) => hold.clone(),
        (None, [(_, alert), ..]) => spell(alert.hold),
        (None, []) => String::new(),
    };
    // The value of a condition is always 1.
    let has_value = !thresholds.is_empty() && ways.len() == thresholds.len();
    let value = if has_value { " The value is {{ printf \"%.3g\" $value }}." } else { "" };
    let description = problem.meaning.clone() + value;
    rule(&format!("Node{reason}"), &expression, &hold, problem.alert, &problem.title, &description, &problem.anchor())
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

/// As Prometheus writes a duration, without zero units: `5m`, not `5m0s`.
fn spell(hold: Duration) -> String {
    if hold.is_zero() {
        return String::new();
    }
    let spelt = GoDuration::from_nanos(i64::try_from(hold.as_nanos()).unwrap_or(i64::MAX)).to_string();
    let spelt = spelt.strip_suffix("m0s").map(|rest| format!("{rest}m")).unwrap_or(spelt);
    spelt.strip_suffix("h0m").map(|rest| format!("{rest}h")).unwrap_or(spelt)
}

/// One rule. A JSON string is a YAML string.
fn rule(
    name: &str,
    expression: &str,
    hold: &str,
    level: Level,
    summary: &str,
    description: &str,
    anchor: &str,
) -> Result<String> {
    let [expression, summary, description] = [expression, summary, description].map(serde_json::to_string);
    let (expression, summary, description) = (expression?, summary?, description?);
    let hold = if hold.is_empty() { String::new() } else { format!("        for: {hold}\n") };
    Ok(format!(
        "      - alert: {name}\n        expr: {expression}\n{hold}        labels:\n          severity: {level}\n        \
         annotations:\n          summary: {summary}\n          description: {description}\n          \
         runbook: docs/reasons.md#{anchor}\n"
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
