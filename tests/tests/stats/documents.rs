//! The documents that are written from the table of metrics, the shipped configs and the catalogue of reasons.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use npd_agent::metric::{MetricId, exposition_name};
use npd_tests::{
    documents::{
        self, Document,
        reasons::{Catalogue, Level},
    },
    driver::{
        program::output,
        suite::{Suite, need},
    },
    host::node,
};
use serde_json::Value;

pub(super) fn add(suite: &mut Suite) {
    suite.test("documents: they are what the code says", up_to_date);
    suite.test("documents: the dashboard has a panel for every metric", dashboard);
    suite.test("documents: the dashboard asks for no metric that the agent does not have", dashboard_names);
    suite.test("documents: promtool takes the alert rules, and every shipped threshold is one", rules);
    suite.test("documents: a reason has the one alert that the catalogue wants, or none", levels);
    suite.test("documents: alerts begin, wait and end as they should", alerts);
    suite.test("documents: every alert points to a heading of the reasons' page", runbooks);
    suite.test("documents: promtool has nothing to say about npd's own names", names);
}

fn document(name: &str) -> Result<Document> {
    let mut all = documents::all()?.into_iter();
    all.find(|document| document.path.ends_with(name)).with_context(|| format!("there is no {name}"))
}

fn up_to_date() -> Result<()> {
    for Document { path, text } in documents::all()? {
        let found = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(found == text, "run `cargo xtask codegen` and commit {}", path.display());
    }
    Ok(())
}

fn dashboard() -> Result<()> {
    let dashboard: Value = serde_json::from_str(&document("grafana-dashboard.json")?.text)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let expressions: Vec<_> = panels.iter().filter_map(|panel| panel["targets"][0]["expr"].as_str()).collect();
    for id in MetricId::ALL {
        let series = format!("{}{{", exposition_name(id.metric().id));
        let shown = expressions
            .iter()
            .filter(|expression| expression.strip_prefix("rate(").unwrap_or(expression).starts_with(&series));
        ensure!(shown.count() == 1, "{} is not shown once", id.metric().id);
    }
    Ok(())
}

/// Names are looked for in the agent's code: a page has only what has happened.
fn dashboard_names() -> Result<()> {
    let texts = document("grafana-dashboard.json")?.text + &document("prometheus-rules.yaml")?.text;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../npd-agent/src");
    let code = sources(&source)?;
    let words = texts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let own: BTreeSet<_> = words.filter(|word| word.starts_with("npd_") || word.starts_with("problem_")).collect();
    ensure!(own.len() > 8, "only {own:?} are asked for");
    for name in own {
        ensure!(code.contains(&format!("\"{name}\"")), "the agent has no {name}");
    }
    Ok(())
}

/// The text of all files below a folder.
fn sources(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        text += &if path.is_dir() { sources(&path)? } else { fs::read_to_string(&path)? };
    }
    Ok(text)
}

/// Runs promtool on a text, and gives what it says, or its complaint.
fn promtool(check: &str, text: &str) -> Result<String> {
    need::tool("promtool")?;
    let mut command = Command::new("promtool");
    command.args(["check", check]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start promtool")?;
    child.stdin.take().context("no pipe")?.write_all(text.as_bytes()).context("promtool does not read")?;
    let output = child.wait_with_output().context("cannot wait for promtool")?;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    ensure!(output.status.success(), "{said}");
    Ok(said)
}

fn rules() -> Result<()> {
    let rules = document("prometheus-rules.yaml")?;
    need::tool("promtool")?;
    output(Command::new("promtool").args(["check", "rules"]).arg(&rules.path))?;
    let shipped = documents::shipped()?;
    let alerts: Vec<_> = shipped.iter().flat_map(|config| &config.metrics).flat_map(|metric| &metric.alerts).collect();
    ensure!(!alerts.is_empty(), "there are no shipped thresholds");
    for alert in alerts {
        let name = format!("alert: Node{}\n", alert.reason);
        ensure!(rules.text.matches(&name).count() == 1, "{} is not there once", alert.reason);
    }
    let broken = rules.text.replacen("== 1", "==", 1);
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("broken.yaml"), broken)?;
    let output = Command::new("promtool").args(["check", "rules"]).arg(folder.path().join("broken.yaml")).output()?;
    ensure!(!output.status.success(), "promtool takes anything");
    Ok(())
}

fn levels() -> Result<()> {
    let rules: Value = serde_saphyr::from_str(&document("prometheus-rules.yaml")?.text)?;
    let groups = rules["groups"].as_array().context("no groups")?;
    let alerts: Vec<_> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
    for problem in Catalogue::read()?.problems {
        let name = format!("Node{}", problem.reason);
        let found: Vec<_> = alerts.iter().filter(|alert| alert["alert"] == name.as_str()).collect();
        let levels: Vec<_> = found.iter().filter_map(|alert| alert["labels"]["severity"].as_str()).collect();
        let wanted = Some(problem.alert.to_string()).filter(|_| problem.alert != Level::None);
        ensure!(
            levels == wanted.iter().map(String::as_str).collect::<Vec<_>>(),
            "{name} is {levels:?}, not {wanted:?}"
        );
    }
    Ok(())
}

/// Time series in, alerts out: tests/alerts.yaml.
fn alerts() -> Result<()> {
    need::tool("promtool")?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts.yaml");
    output(Command::new("promtool").args(["test", "rules"]).arg(&file)).map(drop)
}

fn runbooks() -> Result<()> {
    let page = document("reasons.md")?.text;
    let anchors: BTreeSet<_> = page.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' ')).collect();
    let anchors: BTreeSet<_> = anchors
        .into_iter()
        .map(|heading| heading.to_lowercase().replace(' ', "-").replace(|c: char| !c.is_alphanumeric() && c != '-', ""))
        .collect();
    let rules = document("prometheus-rules.yaml")?.text;
    let runbooks: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("runbook: docs/reasons.md#")).collect();
    ensure!(runbooks.len() == rules.matches("- alert: ").count() && !runbooks.is_empty(), "an alert has no runbook");
    for runbook in runbooks {
        ensure!(anchors.contains(runbook), "docs/reasons.md has no heading #{runbook}");
    }
    Ok(())
}

fn names() -> Result<()> {
    let compatible: Vec<_> =
        MetricId::ALL.iter().filter(|id| id.is_compatible()).map(|id| exposition_name(id.metric().id)).collect();
    let page = node::recorded_page("cgroup-v1")? + &node::recorded_page("vm")?;
    let name_of = |line: &str| {
        let rest = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
        rest.split([' ', '{']).next().unwrap_or_default().to_owned()
    };
    let mut seen = BTreeSet::new();
    let own = page.lines().filter(|line| !compatible.contains(&name_of(line)) && seen.insert((*line).to_owned()));
    let own = own.collect::<Vec<_>>();
    ensure!(own.iter().any(|line| line.starts_with("pressure_stalled_ratio{")), "the page is not whole");
    // A family's lines have to stand together.
    let mut own = own;
    own.sort_by_key(|line| (name_of(line), !line.starts_with('#')));
    let said = promtool("metrics", &(own.join("\n") + "\n"))?;
    ensure!(said.trim().is_empty(), "{said}");
    Ok(())
}
