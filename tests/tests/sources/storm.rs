//! Many problems at once, thresholds, and recovery by silence.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use npd_tests::driver::{
    agent::{Agent, Setup},
    monitor::Monitor,
    suite::Suite,
};
use serde_json::json;

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("storm: {claim}"), run);
    test("repeats of one message are folded, and every one of them is counted", folded);
    test("a condition with clearAfter recovers by itself", clears);
    test("a threshold makes a condition while it is met", threshold);
}

struct Log {
    agent: Agent,
    path: PathBuf,
}

impl Log {
    fn new(rule: serde_json::Value) -> Result<Self> {
        let setup = Setup::new()?;
        let path = setup.folder().join("app.log");
        File::create(&path).context("cannot make the log")?;
        let monitor = Monitor::file("app-monitor", &path).condition("AppBroken", "AppWorks", "the app works");
        let monitor = monitor.rule("End", "end").permanent("AppBroken", "AppDied", "died").with_rule(rule);
        Ok(Self { agent: setup.monitor(&monitor)?.start()?, path })
    }

    fn write(&self, texts: &[&str]) -> Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.path).context("cannot open the log")?;
        let now = Timestamp::now();
        let lines: Vec<_> = texts.iter().map(|text| format!("{now} node app: {text}\n")).collect();
        file.write_all(lines.concat().as_bytes()).context("cannot write to the log")
    }
}

fn folded() -> Result<()> {
    let log = Log::new(json!({
        "type": "temporary", "reason": "Err", "pattern": "err (?P<dev>\\w+) .*", "message": "${dev} fails", "foldWithin": "2s",
    }))?;
    let texts: Vec<_> = (0..1000).map(|n| format!("err sd{} {n}", if n % 2 == 0 { 'a' } else { 'b' })).collect();
    log.write(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
    let events = log.agent.wait_for_reports("Err", 4)?;
    let texts: Vec<_> = events.iter().map(|event| event.text.as_str()).collect();
    ensure!(texts[..2] == ["sda fails", "sdb fails"], "{texts:?}");
    ensure!(texts[2..].iter().all(|text| text.ends_with("fails (499 more within 2s)")), "{texts:?}");
    ensure!(events.iter().map(|event| event.count).sum::<u64>() == 1000, "{events:?}");
    let name = format!("filelog:{}", log.path.display());
    log.agent.wait_for_metrics("all counted", |metrics| {
        let suppressed = metrics.value("npd_problems_suppressed_total", &[("reason", "Err"), ("source", &name)]);
        let counted = metrics.value("problem_counter", &[("reason", "Err")]);
        (suppressed == Some(998.0) && counted == Some(1000.0)).then_some(())
    })
}

fn clears() -> Result<()> {
    let log = Log::new(json!({
        "type": "permanent", "condition": "AppBroken", "reason": "Noisy", "pattern": "noise", "clearAfter": "1s",
    }))?;
    log.write(&["noise"])?;
    log.agent.wait_for_reports("Noisy", 1)?;
    let healthy = log.agent.wait_for_reports("AppWorks", 1)?;
    ensure!(healthy[0].severity == "info" && healthy[0].status.as_deref() == Some("False"), "{healthy:?}");
    let metrics = log.agent.metrics()?;
    ensure!(metrics.value("problem_gauge", &[("reason", "Noisy"), ("type", "AppBroken")]) == Some(0.0), "gauge");
    ensure!(metrics.value("problem_counter", &[("reason", "AppWorks")]).is_none(), "getting better was counted");
    Ok(())
}

fn threshold() -> Result<()> {
    let log = Log::new(json!({
        "type": "permanent", "condition": "AppBroken", "reason": "Often", "pattern": "restart",
        "threshold": {"count": 3, "window": "2s"},
    }))?;
    log.write(&["restart", "restart", "end"])?;
    log.agent.wait_for_reports("End", 1)?;
    ensure!(log.agent.reported("Often").is_empty(), "two are not three");
    log.write(&["restart"])?;
    let often = log.agent.wait_for_reports("Often", 1)?;
    ensure!(often[0].text.contains("restart (3 matches within 2s)"), "{often:?}");
    log.agent.wait_for_reports("AppWorks", 1)?;
    Ok(())
}
