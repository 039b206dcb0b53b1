//! The built agent with system stats monitors only, which takes no root but for one test.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use npd_agent::metric::{MetricId, Section};
use npd_tests::{
    driver::{
        agent::{
            Agent, Setup,
            metrics::Metrics,
            sandbox::{Sandbox, Withheld},
        },
        binary::shipped_config,
        monitor::Monitor,
        suite::{Suite, need, skip},
    },
    host::node,
};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};
use serde_json::{Map, Value, json};

/// Labels whose values belong to the machine.
const OF_THE_MACHINE: [&str; 8] =
    ["cpu", "device_name", "fs_type", "interface_name", "kernel_version", "mount_option", "os_version", "value"];

pub(super) fn add(suite: &mut Suite) {
    suite.test("live: names, types and labels are node-problem-detector's", names_and_labels);
    suite.test("live: the shipped configs measure everything there is here", shipped_configs);
    suite.test("live: a threshold sets a condition, and the value that falls below it ends it", condition);
    suite.test("live: a changed config is used, and a broken one changes nothing", reload);
    suite.test("live: a name that another config has is refused, at the start and later", name_taken);
    suite.test("live: it works where no log can be read", without_logs);
    suite.test("live: a read that hangs holds up its own monitor and nobody else, and not the end", hang);
}

/// A metrics page by family: its type, and the labels of each series.
#[derive(Default)]
struct Family {
    kind: String,
    series: Vec<BTreeMap<String, String>>,
}

fn families(text: &str) -> Result<BTreeMap<String, Family>> {
    let mut families = BTreeMap::<String, Family>::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else if !line.starts_with('#') {
            let (series, _) = line.rsplit_once(' ').with_context(|| format!("no value in {line:?}"))?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let pairs = labels.trim_end_matches("\"}").split("\",").filter_map(|pair| pair.split_once("=\""));
            let labels = pairs.map(|(label, value)| (label.to_owned(), value.to_owned())).collect();
            families.entry(name.to_owned()).or_default().series.push(labels);
        }
    }
    Ok(families)
}

fn metrics(ids: impl Iterator<Item = MetricId>) -> Value {
    let entries = ids.map(|id| (id.metric().id.to_owned(), json!({"displayName": id.metric().id})));
    json!({"metricsConfigs": entries.collect::<Map<_, _>>()})
}

/// A file in the agent's folder, given to it as a system stats monitor.
fn with_stats(setup: Setup, name: &str, config: &Value) -> Result<Setup> {
    let path = setup.folder().join(name);
    fs::write(&path, config.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(given(setup, &path))
}

fn given(setup: Setup, path: &Path) -> Setup {
    setup.arg(format!("--config.system-stats-monitor={}", path.display()))
}

fn wait(agent: &Agent, what: &str, holds: impl Fn(&Metrics) -> bool) -> Result<()> {
    agent.wait_for_metrics(what, |metrics| holds(metrics).then_some(()))
}

/// As in most containers, but not in all.
fn needs_a_mounted_device() -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    if mounts.contains(" /dev/") { Ok(()) } else { Err(skip("needs a block device that is mounted")) }
}

fn names_and_labels() -> Result<()> {
    needs_a_mounted_device()?;
    let mut config = Map::new();
    for section in Section::ALL {
        config.insert(section.key().to_owned(), metrics(MetricId::of(section).filter(|id| id.is_compatible())));
    }
    config.insert("invokeInterval".into(), json!("100ms"));
    let agent = with_stats(Setup::new()?, "stats.json", &Value::Object(config))?.start()?;
    // From the second collection on.
    wait(&agent, "the second collection", |metrics| !metrics.series("disk_avg_queue_len").is_empty())?;
    let found = families(&agent.metrics()?.text)?;
    // What node-problem-detector v1.37 exposed on such a VM, its osFeature on a /proc made for it.
    let observed = node::recorded("node-problem-detector.prom");
    let observed = families(&fs::read_to_string(&observed).context("cannot read what was observed")?)?;
    ensure!(observed.len() == 43, "{} families were observed", observed.len());
    for (name, expected) in observed {
        let family = found.get(&name).with_context(|| format!("there is no {name}"))?;
        ensure!(family.kind == expected.kind, "{name} is a {}, not a {}", family.kind, expected.kind);
        let values = |family: &Family| {
            let pairs = family.series.iter().flatten();
            let told = |(label, value): (&String, &String)| {
                let value = if OF_THE_MACHINE.contains(&label.as_str()) { "*" } else { value };
                (label.clone(), value.to_owned())
            };
            pairs.map(told).collect::<BTreeSet<_>>()
        };
        let (has, should) = (values(family), values(&expected));
        ensure!(has == should, "{name} has the labels {has:?}, not {should:?}");
        let names = |family: &Family| family.series.iter().map(BTreeMap::len).collect::<BTreeSet<_>>();
        ensure!(names(family) == names(&expected), "{name} has series with other labels");
    }
    agent.stop()?;
    Ok(())
}

fn shipped_configs() -> Result<()> {
    let mut setup = Setup::new()?;
    for name in ["system-stats-monitor.json", "net-cgroup-system-stats-monitor.json"] {
        setup = given(setup, &shipped_config(name));
    }
    let agent = setup.start()?;
    let collectors = Section::ALL.len() + 1;
    wait(&agent, "all collectors", |metrics| metrics.series("npd_collector_success").len() == collectors)?;
    let metrics = agent.metrics()?;
    let failed: Vec<_> =
        metrics.series("npd_collector_success").into_iter().filter(|(_, value)| *value < 0.5).collect();
    ensure!(failed.is_empty(), "they fail here: {failed:?}");
    for name in ["cpu_usage_time", "host_uptime", "limits_used_ratio", "net_rx_bytes", "tasks_processes"] {
        ensure!(!metrics.series(name).is_empty(), "there is no {name}");
    }
    let log = agent.stop()?;
    let others = log.iter().filter(|line| line.level() != "INFO" && line.message() != "problem");
    let complaints: Vec<_> = others.map(|line| line.message().to_owned()).collect();
    ensure!(complaints.is_empty(), "it complains: {complaints:?}");
    Ok(())
}

/// A /proc with a load that the test says.
fn proc_with_load(folder: &Path, load: &str) -> Result<PathBuf> {
    let proc = folder.join("proc");
    fs::create_dir_all(&proc)?;
    // Renamed into its place, so that nobody reads half of it.
    fs::write(folder.join("load"), format!("{load} 0.00 0.00 1/100 4711\n"))?;
    fs::rename(folder.join("load"), proc.join("loadavg"))?;
    Ok(proc)
}

fn loaded(proc: &Path, above: f64) -> Value {
    json!({
        "procPath": proc, "invokeInterval": "20ms", "source": "stats",
        "conditions": [{"type": "HighLoad", "reason": "LoadIsFine", "message": "the load is fine"}],
        "cpu": {"metricsConfigs": {"cpu/load_1m": {"displayName": "load", "alert":
            {"above": above, "type": "permanent", "condition": "HighLoad", "reason": "LoadIsHigh"}}}},
    })
}

fn condition() -> Result<()> {
    let setup = Setup::new()?;
    let proc = proc_with_load(setup.folder(), "1.00")?;
    let agent = with_stats(setup, "stats.json", &loaded(&proc, 10.0))?.start()?;
    let gauge = |metrics: &Metrics| metrics.value("problem_gauge", &[("reason", "LoadIsHigh"), ("type", "HighLoad")]);
    wait(&agent, "the healthy gauge", |metrics| gauge(metrics) == Some(0.0))?;
    proc_with_load(agent.folder(), "12.50")?;
    let report = agent.wait_for_reports("LoadIsHigh", 1)?.remove(0);
    ensure!(report.status.as_deref() == Some("True"), "{report:?}");
    ensure!(report.text.contains("load is 12.5, above 10"), "{report:?}");
    wait(&agent, "the gauge", |metrics| gauge(metrics) == Some(1.0))?;
    proc_with_load(agent.folder(), "2.00")?;
    let report = agent.wait_for_reports("LoadIsFine", 1)?.remove(0);
    ensure!(report.status.as_deref() == Some("False") && report.severity == "info", "{report:?}");
    wait(&agent, "the gauge to fall", |metrics| gauge(metrics) == Some(0.0))?;
    ensure!(agent.metrics()?.value("problem_counter", &[("reason", "LoadIsHigh")]) == Some(1.0), "it counts otherwise");
    agent.stop()?;
    Ok(())
}

fn reload() -> Result<()> {
    let setup = Setup::new()?;
    let proc = proc_with_load(setup.folder(), "12.50")?;
    let config = loaded(&proc, 10.0);
    let agent = with_stats(setup, "stats.json", &config)?.start()?;
    agent.wait_for_reports("LoadIsHigh", 1)?;
    let path = agent.folder().join("stats.json");
    fs::write(&path, config.to_string().replace("\"load\"", "\"other_load\""))?;
    wait(&agent, "the new name", |metrics| !metrics.series("other_load").is_empty())?;
    let metrics = agent.metrics()?;
    ensure!(metrics.series("load").is_empty(), "the old name is still there");
    ensure!(metrics.value("problem_gauge", &[("reason", "LoadIsHigh")]) == Some(1.0), "the condition was forgotten");
    fs::write(&path, "{\"invokeInterval\": 7}")?;
    wait(&agent, "the refusal", |metrics| metrics.value("npd_config_valid", &[]) == Some(0.0))?;
    ensure!(!agent.metrics()?.series("other_load").is_empty(), "a broken config has changed something");
    let report = agent.wait_for_reports("InvalidMonitorConfig", 1)?.remove(0);
    ensure!(report.source == "stats" && report.text.contains("/invokeInterval"), "{report:?}");
    ensure!(agent.reported("LoadIsHigh").len() == 1, "the condition was told of again");
    agent.stop()?;
    Ok(())
}

fn name_taken() -> Result<()> {
    let named = |id: &str, name: &str| json!({"cpu": {"metricsConfigs": {id: {"displayName": name}}}});
    let setup = with_stats(Setup::new()?, "a.json", &named("cpu/load_1m", "load"))?;
    let output = with_stats(setup.clone(), "b.json", &named("cpu/load_5m", "load"))?.output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(255), "ends with {}", output.status);
    ensure!(text.contains("is already the name of metric") && text.contains("b.json"), "it says {text}");

    let agent = with_stats(setup, "b.json", &named("cpu/load_5m", "other"))?.start()?;
    wait(&agent, "both", |metrics| !metrics.series("load").is_empty() && !metrics.series("other").is_empty())?;
    fs::write(agent.folder().join("b.json"), named("cpu/load_5m", "load").to_string())?;
    wait(&agent, "the refusal", |metrics| metrics.value("npd_config_valid", &[("file", &b_of(&agent))]) == Some(0.0))?;
    ensure!(agent.metrics()?.series("load").len() == 1, "there are two");
    agent.stop()?;
    Ok(())
}

fn b_of(agent: &Agent) -> String {
    agent.folder().join("b.json").display().to_string()
}

fn without_logs() -> Result<()> {
    need::root()?;
    let sandbox = Sandbox::without([Withheld::Kmsg]);
    let setup = Setup::new()?.monitor(&Monitor::kernel("kernel"))?.arg("--kernel-source=kmsg").sandbox(sandbox);
    let output = setup.clone().output()?;
    ensure!(output.status.code() == Some(255), "the log can be read: {}", output.status);
    let host = json!({"host": metrics(MetricId::of(Section::Host))});
    let agent = with_stats(setup, "stats.json", &host)?.start()?;
    wait(&agent, "the uptime", |metrics| !metrics.series("host_uptime").is_empty())?;
    ensure!(agent.metrics()?.value("npd_source_up", &[("source", "kmsg")]) == Some(0.0), "the log can be read");
    agent.stop()?;
    Ok(())
}

fn hang() -> Result<()> {
    let setup = Setup::new()?;
    let proc = setup.folder().join("hanging");
    fs::create_dir_all(&proc)?;
    // Opening it waits for a writer, as a read that the kernel does not answer.
    mknodat(CWD, proc.join("meminfo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    let hanging = json!({
        "procPath": proc, "invokeInterval": "20ms", "memory": metrics(MetricId::of(Section::Memory)),
    });
    let other = json!({"invokeInterval": "20ms", "host": metrics(MetricId::of(Section::Host)), "cpu": metrics(MetricId::of(Section::Cpu))});
    let setup = with_stats(setup, "hanging.json", &hanging)?;
    let agent = with_stats(setup, "other.json", &other)?.start()?;
    let interrupts = |metrics: &Metrics| metrics.value("system_interrupts_total", &[]);
    let before = agent.wait_for_metrics("interrupts", interrupts)?;
    wait(&agent, "more interrupts", |metrics| interrupts(metrics).is_some_and(|now| now > before))?;
    let success = |metrics: &Metrics| metrics.value("npd_collector_success", &[("collector", "memory")]);
    wait(&agent, "the hang to be told of", |metrics| success(metrics) == Some(0.0))?;
    ensure!(agent.metrics()?.series("memory_bytes_used").is_empty(), "memory was measured");
    let stopped = agent.stop_with(Signal::TERM)?;
    ensure!(stopped.code == 0, "it ends with {}", stopped.code);
    ensure!(stopped.took < Duration::from_secs(4), "the end took {:?}", stopped.took);
    Ok(())
}
