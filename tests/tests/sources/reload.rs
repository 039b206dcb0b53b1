//! Config files that change while the agent runs.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use npd_tests::driver::{
    agent::{Agent, Setup},
    monitor::Monitor,
    suite::Suite,
};

use super::expect_texts;

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("reload: {claim}"), run);
    test("a changed file is used, and unchanged rules keep their state", changed);
    test("a file that cannot be used changes nothing and is told of in log, metric and event", refused);
    test("the swap of a ConfigMap's link is a change, and only if the content is another", config_map);
    test("a change of the log file is followed", another_log);
    test("a condition that is no longer configured no longer counts as a problem", condition_gone);
}

struct Watched {
    agent: Agent,
    log: PathBuf,
    config: PathBuf,
}

fn monitor(log: &Path) -> Monitor {
    let monitor = Monitor::file("app-monitor", log).condition("AppBroken", "AppWorks", "the app works");
    monitor.permanent("AppBroken", "AppDied", "died .*").rule("Bad", "bad .*")
}

fn watched() -> Result<Watched> {
    let setup = Setup::new()?.stateful();
    let (log, config) = (setup.folder().join("app.log"), setup.folder().join("monitor.json"));
    File::create(&log).context("cannot make the log")?;
    let setup = setup.file("monitor.json", &monitor(&log).to_json())?;
    Ok(Watched { agent: setup.start()?, log, config })
}

impl Watched {
    fn write(&self, text: &str) -> Result<()> {
        append(&self.log, text)
    }

    /// Waits until a change of the file has come to this.
    fn wait_for(&self, outcome: &str, count: f64) -> Result<()> {
        let file = self.config.display().to_string();
        let labels = [("file", file.as_str()), ("outcome", outcome)];
        self.agent.wait_for_metrics(outcome, |metrics| {
            (metrics.value("npd_config_reloads_total", &labels) == Some(count)).then_some(())
        })
    }
}

fn append(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path).context("cannot open the log")?;
    writeln!(file, "{} node app: {text}", Timestamp::now()).context("cannot write to the log")
}

fn changed() -> Result<()> {
    let watched = watched()?;
    watched.write("died of something")?;
    watched.agent.wait_for_reports("AppDied", 1)?;
    fs::write(&watched.config, monitor(&watched.log).rule("Worse", "worse .*").to_json()).context("cannot change")?;
    watched.wait_for("used", 1.0)?;
    watched.write("died again")?;
    watched.write("worse thing")?;
    watched.agent.wait_for_reports("Worse", 1)?;
    ensure!(watched.agent.reported("AppDied").len() == 1, "the condition is known: {:?}", watched.agent.problems());
    let metrics = watched.agent.metrics()?;
    ensure!(metrics.value("problem_gauge", &[("reason", "AppDied"), ("type", "AppBroken")]) == Some(1.0), "gauge");
    ensure!(metrics.value("problem_counter", &[("reason", "Worse")]) == Some(1.0), "counter");
    Ok(())
}

fn refused() -> Result<()> {
    let watched = watched()?;
    fs::write(&watched.config, "{\"plugin\": \"filelog\", \"rules\": [{\"pattern\": \"(\"}]")
        .context("cannot change")?;
    watched.wait_for("refused", 1.0)?;
    let events = watched.agent.wait_for_reports("InvalidMonitorConfig", 1)?;
    ensure!(events[0].text.contains("monitor.json:1:") && events[0].source == "app-monitor", "{events:?}");
    let told =
        watched.agent.log_lines().iter().any(|line| line.level() == "ERROR" && line.raw.contains("not valid JSON"));
    ensure!(told, "the log does not say why");
    let file = watched.config.display().to_string();
    let valid = || Ok::<_, anyhow::Error>(watched.agent.metrics()?.value("npd_config_valid", &[("file", &file)]));
    ensure!(valid()? == Some(0.0), "npd_config_valid");
    watched.write("bad thing")?;
    watched.agent.wait_for_reports("Bad", 1)?;
    fs::write(&watched.config, monitor(&watched.log).to_json()).context("cannot change")?;
    watched.wait_for("used", 1.0)?;
    ensure!(valid()? == Some(1.0), "npd_config_valid");
    Ok(())
}

/// As the kubelet does it: `monitor.json` → `..data/monitor.json`, `..data` → `..1`, swapped by a rename.
fn config_map() -> Result<()> {
    let setup = Setup::new()?;
    let (log, map) = (setup.folder().join("app.log"), setup.folder().join("map"));
    let version = |number: u32, monitor: &Monitor| -> Result<()> {
        let folder = map.join(format!("..{number}"));
        fs::create_dir_all(&folder).context("cannot make a version")?;
        fs::write(folder.join("monitor.json"), monitor.to_json()).context("cannot write a version")?;
        symlink(format!("..{number}"), map.join("..data_tmp")).context("cannot link")?;
        fs::rename(map.join("..data_tmp"), map.join("..data")).context("cannot swap")
    };
    version(1, &monitor(&log))?;
    symlink("..data/monitor.json", map.join("monitor.json")).context("cannot link")?;
    let config = map.join("monitor.json");
    let agent = setup.config(&config).start()?;
    let watched = Watched { agent, log: log.clone(), config };
    version(2, &monitor(&log))?;
    version(3, &monitor(&log).rule("Worse", "worse .*"))?;
    watched.wait_for("used", 1.0)?;
    watched.write("worse thing")?;
    watched.agent.wait_for_reports("Worse", 1)?;
    watched.wait_for("used", 1.0)
}

fn another_log() -> Result<()> {
    let watched = watched()?;
    let other = watched.log.with_file_name("other.log");
    watched.write("bad 1")?;
    watched.write("died of something")?;
    watched.agent.wait_for_reports("AppDied", 1)?;
    fs::write(&watched.config, monitor(&other).to_json()).context("cannot change")?;
    watched.wait_for("used", 1.0)?;
    append(&other, "bad 2")?;
    append(&other, "died again")?;
    append(&other, "bad 3")?;
    watched.agent.wait_for_reports("Bad", 3)?;
    ensure!(watched.agent.reported("AppDied").len() == 1, "the condition is known: {:?}", watched.agent.problems());
    expect_texts(&watched.agent.reported("Bad"), &["bad 1", "bad 2", "bad 3"])
}

fn condition_gone() -> Result<()> {
    let watched = watched()?;
    watched.write("died of something")?;
    watched.agent.wait_for_reports("AppDied", 1)?;
    let without = Monitor::file("app-monitor", &watched.log).rule("Bad", "bad .*");
    fs::write(&watched.config, without.to_json()).context("cannot change")?;
    watched.wait_for("used", 1.0)?;
    let gauge = watched.agent.metrics()?.value("problem_gauge", &[("reason", "AppDied"), ("type", "AppBroken")]);
    ensure!(gauge == Some(0.0), "the gauge is {gauge:?}");
    Ok(())
}
