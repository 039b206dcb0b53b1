//! `docs/metrics.md`, from the tables of metrics in the agent.

use anyhow::{Result, bail};
use npd_agent::{
    metric::{
        Metric, MetricId, Section, exposition_name,
        own::{ApiRequest, EventOutcome, GROUPS, Group, LabelValue, Origin, OwnMetric, ReloadOutcome},
    },
    monitor::custom_plugin::RunKind,
    source::kernel::{mode::Mode, probes::ProbeState},
};

const INTRODUCTION: &str = "# Metrics

<!-- Written by `cargo xtask codegen` from npd-agent/src/metric.rs and npd-agent/src/metric/own.rs. -->

All metrics of the agent, as `--prometheus-address` and `--prometheus-port` serve them at `/metrics`: the problems, npd's own work, and what
[system stats monitors](#system-stats-monitors) measure. A series with labels appears when it gets its first value.

`cargo xtask codegen` also writes a dashboard ([deploy/grafana-dashboard.json](../deploy/grafana-dashboard.json)) and alert rules
([deploy/prometheus-rules.yaml](../deploy/prometheus-rules.yaml)).
";

const STATS: &str = "
## System stats monitors

A config file of `--config.system-stats-monitor` selects which of these are measured, and names each: its `displayName`, in which every
character that Prometheus does not allow becomes an underscore. The names below are those of the files in `config/`.
[configuration.md](configuration.md) describes these files.

Counters are the kernel's own. They are exported unchanged, so a restart of npd does not affect them, and they start at zero when the node boots.
The series of a disk, interface or CPU that was removed disappears with the next collection.

## Metrics of node-problem-detector

Names, types and labels are node-problem-detector's, with two differences in the values: `cpu_usage_time` really is in seconds, and what
node-problem-detector adds up again and again (`net_*`, `system_*`) is the kernel's number here.
";

const ADDITIONAL: &str = "
## Additional metrics

What the kernel does not provide has no series: pressure stall information needs Linux 4.20, `tasks_hung_total` 6.13, `vm_oom_kills_total` 4.13,
`hardware_memory_errors_total` an EDAC driver. Several of the network and conntrack metrics are those of npd's own network namespace.
";

const OWN_HEAD: &str = "| metric | type | labels | description |\n|---|---|---|---|\n";
const HEAD: &str = "| metric | type | unit | labels | description |\n|---|---|---|---|---|\n";

/// A value of a label, and what it means.
type Value = (&'static str, &'static str);

pub(super) fn write() -> Result<String> {
    let mut page = INTRODUCTION.to_owned();
    for group in GROUPS {
        page += &own(group)?;
    }
    page += STATS;
    page += &tables(true);
    page += ADDITIONAL;
    page += &tables(false);
    Ok(page)
}

/// The metrics that npd has without a config file asking for them.
fn own(Group { title, rows }: &Group) -> Result<String> {
    let mut parts = vec![format!("\n## {title}\n\n{OWN_HEAD}")];
    parts.extend(rows.iter().map(|OwnMetric { name, kind, labels, help, .. }| {
        format!("| `{name}` | {kind} | {} | {} |\n", codes(labels), help.trim_end_matches('.'))
    }));
    parts.extend(note(title).map(|note| format!("\n{note}\n")));
    for row in *rows {
        for (label, label_type) in row.labels.iter().zip(row.label_types) {
            let values = values(row.name, label, label_type)?;
            if !values.is_empty() {
                parts.push(format!("\nValues of `{label}` of `{}`:\n\n", row.name));
                parts.extend(values.iter().map(|(value, meaning)| format!("* `{value}`: {meaning}\n")));
            }
        }
    }
    Ok(parts.concat())
}

/// What the labels without a closed set of values contain.
fn note(title: &str) -> Option<&'static str> {
    Some(match title {
        "Problems" => "Both are node-problem-detector's. [reasons.md](reasons.md) lists the reasons.",
        "Sources and config files" => {
            "Sources are called `kmsg`, `filelog:PATH` and `journald:IDENTIFIER`. `file` is the path of a config file."
        }
        "Kernel log" => "[kernel-log.md](kernel-log.md) describes the modes and the probes.",
        "Probes" => "`npd-agent features` lists the probes.",
        "Custom plugin monitors" => {
            "A rule is called `SOURCE/REASON`, and the second rule with the same reason `SOURCE/REASON#2`."
        }
        "Collectors of system stats monitors" => "`collector` is the section of the config file, `file` its path.",
        "Kubernetes exporter" => "[kubernetes.md](kubernetes.md) describes what is sent to the API server, and when.",
        _ => return None,
    })
}

/// The values of a label; none if there can be any value.
fn values(metric: &str, label: &str, label_type: &str) -> Result<Vec<Value>> {
    Ok(match label_type {
        "&str" => Vec::new(),
        "ReloadOutcome" => each(ReloadOutcome::ALL, ReloadOutcome::meaning),
        "Origin" => each(Origin::ALL, Origin::meaning),
        "EventOutcome" => each(EventOutcome::ALL, EventOutcome::meaning),
        "ApiRequest" => each(ApiRequest::ALL, ApiRequest::meaning),
        // Their types are those of the parts that fill these metrics.
        _ => match (metric, label) {
            ("npd_kernel_log_mode", "mode") => Mode::ALL.map(|mode| (mode.as_str(), of_mode(mode))).into(),
            ("npd_kernel_probe", "state") => ProbeState::ALL.map(|state| (state.as_str(), of_probe(state))).into(),
            ("npd_plugin_runs_total", "outcome") => RunKind::ALL.map(|kind| (kind.as_str(), of_run(kind))).into(),
            _ => bail!("the page does not know the values of {label} of {metric}"),
        },
    })
}

fn each<V: LabelValue + Copy>(all: &'static [V], meaning: impl Fn(V) -> &'static str) -> Vec<Value> {
    all.iter().map(|value| (value.as_str(), meaning(*value))).collect()
}

fn of_mode(mode: Mode) -> &'static str {
    match mode {
        Mode::ProbeAndKmsg => "from the printk probe; gaps are filled from /dev/kmsg",
        Mode::Doorbell => "from /dev/kmsg; the printk probe only wakes the reader",
        Mode::Probe => "from the printk probe alone",
        Mode::Kmsg => "from /dev/kmsg alone",
        Mode::Journald => "from the journal's copy of the kernel log",
    }
}

fn of_probe(state: ProbeState) -> &'static str {
    match state {
        ProbeState::Active => "attached and working",
        ProbeState::Unsupported => "the kernel, or this build, does not have it",
        ProbeState::Forbidden => "the kernel has it but denies it to this process",
        ProbeState::Broken => "attached, but the expected records do not arrive",
    }
}

fn of_run(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Ok => "it found no problem",
        RunKind::Problem => "it found a problem",
        RunKind::Unknown => "it ran, but could not find out",
        RunKind::Timeout => "it took too long and was ended",
        RunKind::Error => "it could not be started",
        RunKind::Refused => "it must not be started: users other than root can change it",
        RunKind::Stuck => "it took too long and could not even be killed",
    }
}

/// The metrics of system stats monitors.
fn tables(compatible: bool) -> String {
    let tables = Section::ALL.into_iter().filter_map(|section| {
        let rows: Vec<_> = MetricId::of(section).filter(|id| id.is_compatible() == compatible).map(row).collect();
        (!rows.is_empty()).then(|| format!("\n### `{}`\n\n{HEAD}{}", section.key(), rows.concat()))
    });
    tables.collect()
}

fn row(id: MetricId) -> String {
    let Metric { id, kind, unit, labels, help, .. } = id.metric();
    format!("| `{}` | {kind} | {unit} | {} | {help} |\n", exposition_name(id), codes(labels))
}

fn codes(labels: &[&str]) -> String {
    labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ")
}
