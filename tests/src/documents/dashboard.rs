//! `deploy/grafana-dashboard.json`: one row per section, one panel per metric.

use anyhow::Result;
use npd_agent::metric::{Kind, Metric, MetricId, Section, exposition_name};
use serde_json::{Value, json};

/// Panels side by side, and Grafana's units of a panel's size.
const COLUMNS: u64 = 3;
const WIDTH: u64 = 8;
const HEIGHT: u64 = 7;

/// Titles, expressions and legends.
const PROBLEMS: [(&str, &str, &str); 3] = [
    ("Conditions", "problem_gauge{instance=~\"$instance\"} > 0", "{{instance}} {{type}}: {{reason}}"),
    (
        "Problems per minute",
        "60 * rate(problem_counter{instance=~\"$instance\"}[$__rate_interval]) > 0",
        "{{instance}} {{reason}}",
    ),
    ("Hung tasks", "npd_hung_tasks{instance=~\"$instance\"} > 0", "{{instance}}"),
];
const OWN: [(&str, &str, &str); 6] = [
    ("Sources that cannot be read", "npd_source_up{instance=~\"$instance\"} == 0", "{{instance}} {{source}}"),
    (
        "Lost kernel log records per minute",
        "60 * rate(npd_kernel_records_lost_total{instance=~\"$instance\"}[$__rate_interval])",
        "{{instance}}",
    ),
    ("Nodes by kernel log mode", "sum by (mode) (npd_kernel_log_mode{instance=~\"$instance\"})", "{{mode}}"),
    (
        "Events per minute by outcome",
        "60 * sum by (outcome) (rate(npd_k8s_events_total{instance=~\"$instance\"}[$__rate_interval]))",
        "{{outcome}}",
    ),
    (
        "Failed check runs per minute",
        "60 * rate(npd_plugin_runs_total{instance=~\"$instance\", outcome=~\"error|refused|stuck|timeout\"}[$__rate_interval]) > 0",
        "{{instance}} {{rule}}: {{outcome}}",
    ),
    ("Failing collectors", "npd_collector_success{instance=~\"$instance\"} == 0", "{{instance}} {{collector}}"),
];

pub(super) fn write() -> Result<String> {
    let mut panels = Vec::new();
    let mut y = 0;
    row(&mut panels, &mut y, "Problems");
    add(&mut panels, &mut y, PROBLEMS.map(Panel::of));
    row(&mut panels, &mut y, "npd itself");
    add(&mut panels, &mut y, OWN.map(Panel::of));
    for section in Section::ALL {
        row(&mut panels, &mut y, section.key());
        add(&mut panels, &mut y, MetricId::of(section).map(|id| panel(id.metric())));
    }
    for (id, panel) in (1_u64..).zip(&mut panels) {
        panel["id"] = id.into();
    }
    let variables = json!([
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
        {
            "name": "instance", "type": "query", "label": "Node", "multi": true, "includeAll": true, "refresh": 2, "sort": 1,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "query": {"query": "label_values(npd_build_info, instance)", "refId": "instance"},
        },
    ]);
    let dashboard = json!({
        "title": "Node problems and metrics (npd)",
        "uid": "npd-nodes",
        "tags": ["npd"],
        "schemaVersion": 39,
        "version": 1,
        "editable": true,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables},
        "panels": panels,
    });
    Ok(serde_json::to_string_pretty(&dashboard)? + "\n")
}

struct Panel {
    title: String,
    description: String,
    expression: String,
    legend: String,
    unit: &'static str,
}

// === impl Panel ===

impl Panel {
    fn of((title, expression, legend): (&str, &str, &str)) -> Self {
        let [title, expression, legend] = [title, expression, legend].map(str::to_owned);
        Self { title, description: String::new(), expression, legend, unit: "short" }
    }
}

/// A gauge is shown as it is, a counter by how fast it grows.
fn panel(metric: &Metric) -> Panel {
    let series = format!("{}{{instance=~\"$instance\"}}", exposition_name(metric.id));
    let (expression, unit) = match (metric.kind, metric.unit) {
        (Kind::Gauge, unit) => (
            series,
            match unit {
                "B" => "bytes",
                "s" => "s",
                "%" => "percent",
                "0–1" => "percentunit",
                _ => "short",
            },
        ),
        // Milliseconds per second are a share of the time.
        (Kind::Counter, "ms") => (format!("rate({series}[$__rate_interval]) / 1000"), "percentunit"),
        (Kind::Counter, "s") => (format!("rate({series}[$__rate_interval])"), "percentunit"),
        (Kind::Counter, "B") => (format!("rate({series}[$__rate_interval])"), "Bps"),
        (Kind::Counter, _) => (format!("rate({series}[$__rate_interval])"), "ops"),
    };
    let labels = ["instance"].iter().chain(metric.labels).map(|label| format!("{{{{{label}}}}}")).collect::<Vec<_>>();
    Panel {
        title: metric.id.to_owned(),
        description: metric.help.to_owned(),
        expression,
        legend: labels.join(" "),
        unit,
    }
}

fn row(panels: &mut Vec<Value>, y: &mut u64, title: &str) {
    panels.push(json!({
        "type": "row", "title": title, "collapsed": false, "panels": [],
        "gridPos": {"h": 1, "w": COLUMNS * WIDTH, "x": 0, "y": *y},
    }));
    *y += 1;
}

fn add(panels: &mut Vec<Value>, y: &mut u64, added: impl IntoIterator<Item = Panel>) {
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let mut count = 0;
    for Panel { title, description, expression, legend, unit } in added {
        panels.push(json!({
            "type": "timeseries",
            "title": title,
            "description": description,
            "datasource": source,
            "gridPos": {"h": HEIGHT, "w": WIDTH, "x": count % COLUMNS * WIDTH, "y": *y + count / COLUMNS * HEIGHT},
            "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
            "targets": [{"refId": "A", "datasource": source, "expr": expression, "legendFormat": legend}],
        }));
        count += 1;
    }
    *y += count.div_ceil(COLUMNS) * HEIGHT;
}
