//! `docs/metrics.md`.

use npd_agent::metric::{Metric, MetricId, Section, exposition_name};

const INTRODUCTION: &str = "# Metrics of system stats monitors

<!-- Written by `cargo xtask codegen` from npd-agent/src/metric.rs. -->

A config file of `--config.system-stats-monitor` says which of these are measured, and what each is called: its `displayName`, in which every
character that Prometheus does not allow becomes an underscore. The names below are those of the files in `config/`.
[configuration.md](configuration.md) tells about the files.

Counters are the kernel's own. They are exported as they stand, so a restart of npd changes nothing, and they begin anew when the node does.
A series whose disk, interface or CPU is gone is gone with the next collection.

`cargo xtask codegen` also writes a dashboard ([deploy/grafana-dashboard.json](../deploy/grafana-dashboard.json)) and alert rules
([deploy/prometheus-rules.yaml](../deploy/prometheus-rules.yaml)).
";

const COMPATIBLE: &str = "
## node-problem-detector's

Names, types and labels are node-problem-detector's, with two differences in the values: `cpu_usage_time` really is in seconds, and what
node-problem-detector adds up again and again (`net_*`, `system_*`) is the kernel's number here.
";

const OWN: &str = "
## npd's own

What a kernel does not tell has no series: pressure stall information needs Linux 4.20, `tasks_hung_total` 6.13, `vm_oom_kills_total` 4.13,
`hardware_memory_errors_total` an EDAC driver. Several of the network's and conntrack's are of the network namespace that npd runs in.
";

const SELF: &str = "
## Of the collectors themselves

| metric | type | labels | what |
|---|---|---|---|
| `npd_collector_success` | gauge | `collector`, `file` | 1 when the collector could read everything the last time; 0 also while it hangs, or another one of its file |
| `npd_collector_duration_seconds` | gauge | `collector`, `file` | how long it took the last time; while it hangs, how long it does |

`collector` is the section of the config file, `file` that file.
";

const HEAD: &str = "| metric | type | unit | labels | what |\n|---|---|---|---|---|\n";

pub(super) fn write() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += COMPATIBLE;
    page += &tables(true);
    page += OWN;
    page += &tables(false);
    page += SELF;
    page
}

fn tables(compatible: bool) -> String {
    let tables = Section::ALL.into_iter().filter_map(|section| {
        let rows: Vec<_> = MetricId::of(section).filter(|id| id.is_compatible() == compatible).map(row).collect();
        (!rows.is_empty()).then(|| format!("\n### `{}`\n\n{HEAD}{}", section.key(), rows.concat()))
    });
    tables.collect()
}

fn row(id: MetricId) -> String {
    let Metric { id, kind, unit, labels, help, .. } = id.metric();
    let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
    format!("| `{}` | {kind} | {unit} | {labels} | {help} |\n", exposition_name(id))
}
