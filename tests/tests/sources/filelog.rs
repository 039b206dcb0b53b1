//! `"plugin": "filelog"`.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use npd_tests::driver::{
    agent::{Agent, Setup},
    monitor::Monitor,
    suite::Suite,
};
use rustix::process::Signal;

use super::expect_texts;

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("filelog: {claim}"), run);
    test("a problem is reported with the time and the message of its line", reported);
    test("of what is there before the first start only what lookback covers is read", lookback);
    test("a file that is not there yet is waited for, and npd_source_up says so", waits);
    test("nothing is lost or repeated over rename, copytruncate and delete-and-create", rotations);
    test("what was written while the agent was away is reported, and nothing twice", away);
    test("lines in skipList and lines without a time are passed over, the latter counted", unreadable);
    test("a pattern over two lines matches across a restart", two_lines);
    test("conditions and their times are the same after kill -9", conditions_stay);
    test("a file that is gone with what was not read of it is counted in npd_source_lost_total", gone);
    test("damaged state is ignored with a warning", damaged_state);
    test("an agent that can keep nothing says so and works", nothing_kept);
}

/// A log file and an agent that watches it.
struct Log {
    path: PathBuf,
    setup: Setup,
}

impl Log {
    fn new(monitor: impl FnOnce(Monitor) -> Monitor) -> Result<Self> {
        let setup = Setup::new()?.stateful();
        let path = setup.folder().join("app.log");
        let monitor = monitor(Monitor::file("app-monitor", &path).rule("Bad", "bad .*"));
        Ok(Self { setup: setup.monitor(&monitor)?, path })
    }

    fn start(&self) -> Result<Agent> {
        self.setup.clone().start()
    }

    fn write(&self, text: &str) -> Result<()> {
        append(&self.path, &line(Timestamp::now(), text))
    }
}

fn line(at: Timestamp, text: &str) -> String {
    format!("{at} node app: {text}\n")
}

fn append(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path).context("cannot open the log")?;
    file.write_all(text.as_bytes()).context("cannot write to the log")
}

fn reported() -> Result<()> {
    let log = Log::new(|monitor| monitor)?;
    log.write("fine")?;
    let agent = log.start()?;
    let at = Timestamp::now();
    append(&log.path, &line(at, "bad thing"))?;
    let problems = agent.wait_for_reports("Bad", 1)?;
    ensure!(problems[0].text == "bad thing" && problems[0].source == "app-monitor", "{problems:?}");
    ensure!(problems[0].at == Some(at), "written at {at}, reported with {:?}", problems[0].at);
    Ok(())
}

fn lookback() -> Result<()> {
    let log = Log::new(|monitor| monitor.with("lookback", "10m"))?;
    let ago = |minutes| Timestamp::now() - SignedDuration::from_mins(minutes);
    append(&log.path, &line(ago(11), "bad old"))?;
    append(&log.path, &line(ago(9), "bad young"))?;
    let agent = log.start()?;
    log.write("bad new")?;
    agent.wait_for_reports("Bad", 2)?;
    expect_texts(&agent.problems(), &["bad young", "bad new"])
}

fn waits() -> Result<()> {
    let log = Log::new(|monitor| monitor)?;
    let agent = log.start()?;
    let name = format!("filelog:{}", log.path.display());
    let up = |value: f64| {
        agent.wait_for_metrics("npd_source_up", |metrics| {
            (metrics.value("npd_source_up", &[("source", &name)]) == Some(value)).then_some(())
        })
    };
    up(0.0)?;
    log.write("bad first")?;
    up(1.0)?;
    agent.wait_for_reports("Bad", 1)?;
    let newest = agent.metrics()?.value("npd_source_last_record_timestamp_seconds", &[("source", &name)]);
    let now = Timestamp::now().as_second() as f64;
    ensure!(newest.is_some_and(|newest| (now - newest).abs() < 60.0), "the newest record is of {newest:?}");
    Ok(())
}

fn rotations() -> Result<()> {
    let log = Log::new(|monitor| monitor)?;
    log.write("bad 0")?;
    let agent = log.start()?;
    // Renamed; the writer goes on with the old file for a while.
    let mut old = OpenOptions::new().append(true).open(&log.path).context("cannot open the log")?;
    fs::rename(&log.path, log.path.with_extension("log.1")).context("cannot rename")?;
    old.write_all(line(Timestamp::now(), "bad 1").as_bytes()).context("cannot write")?;
    log.write("bad 2")?;
    old.write_all(line(Timestamp::now(), "bad 3").as_bytes()).context("cannot write")?;
    drop(old);
    agent.wait_for_reports("Bad", 4)?;
    // Copied and truncated.
    fs::copy(&log.path, log.path.with_extension("log.2")).context("cannot copy")?;
    OpenOptions::new().write(true).truncate(true).open(&log.path).context("cannot truncate")?;
    log.write("bad 4")?;
    agent.wait_for_reports("Bad", 5)?;
    // Deleted and made anew.
    fs::remove_file(&log.path).context("cannot remove")?;
    log.write("bad 5")?;
    agent.wait_for_reports("Bad", 6)?;
    log.write("bad end")?;
    agent.wait_for_reports("Bad", 7)?;
    expect_texts(&agent.problems(), &["bad 0", "bad 1", "bad 2", "bad 3", "bad 4", "bad 5", "bad end"])
}

fn away() -> Result<()> {
    let log = Log::new(|monitor| monitor.with("lookback", "0"))?;
    log.write("bad before the first start")?;
    let agent = log.start()?;
    log.write("bad 1")?;
    agent.wait_for_reports("Bad", 1)?;
    agent.stop()?;
    log.write("bad 2")?;
    fs::rename(&log.path, log.path.with_extension("log.1")).context("cannot rename")?;
    log.write("bad 3")?;
    let agent = log.start()?;
    agent.wait_for_reports("Bad", 2)?;
    log.write("bad 4")?;
    agent.wait_for_reports("Bad", 3)?;
    expect_texts(&agent.problems(), &["bad 2", "bad 3", "bad 4"])
}

fn unreadable() -> Result<()> {
    let log = Log::new(|monitor| monitor.with("skipList", vec![" audit["]))?;
    let agent = {
        File::create(&log.path).context("cannot make the log")?;
        log.start()?
    };
    append(&log.path, "yesterday node app: bad time\n")?;
    log.write("bad audit[1]: of no interest")?;
    append(&log.path, &format!("{} node sshd: bad password\n", Timestamp::now()))?;
    log.write("bad end")?;
    agent.wait_for_reports("Bad", 1)?;
    expect_texts(&agent.problems(), &["bad end"])?;
    let name = format!("filelog:{}", log.path.display());
    let count = agent.metrics()?.value("npd_source_unreadable_records_total", &[("source", &name)]);
    ensure!(count == Some(2.0), "{count:?} lines were unreadable");
    Ok(())
}

fn two_lines() -> Result<()> {
    let log = Log::new(|monitor| monitor.rule("Pair", "first \\w+\nsecond \\w+"))?;
    File::create(&log.path).context("cannot make the log")?;
    let agent = log.start()?;
    log.write("first half")?;
    log.write("bad end")?;
    agent.wait_for_reports("Bad", 1)?;
    log.write("first half")?;
    agent.stop()?;
    log.write("second half")?;
    let agent = log.start()?;
    let pairs = agent.wait_for_reports("Pair", 1)?;
    ensure!(pairs[0].text == "first half\nsecond half", "{pairs:?}");
    Ok(())
}

fn conditions_stay() -> Result<()> {
    let log = Log::new(|monitor| {
        let condition = monitor.condition("AppBroken", "AppWorks", "the app works");
        condition.permanent("AppBroken", "AppDied", "died .*")
    })?;
    File::create(&log.path).context("cannot make the log")?;
    let agent = log.start()?;
    log.write("died of something")?;
    agent.wait_for_reports("AppDied", 1)?;
    agent.stop_with(Signal::KILL)?;
    let agent = log.start()?;
    agent.wait_for_metrics("the gauge", |metrics| {
        let labels = [("reason", "AppDied"), ("type", "AppBroken")];
        (metrics.value("problem_gauge", &labels) == Some(1.0)).then_some(())
    })?;
    log.write("died of something else")?;
    log.write("bad end")?;
    agent.wait_for_reports("Bad", 1)?;
    // Killed on seeing the report, the agent may not have got to note that it was out; it says so then.
    let mut problems = agent.problems();
    problems.retain(|problem| !problem.again);
    expect_texts(&problems, &["bad end"])
}

fn gone() -> Result<()> {
    let log = Log::new(|monitor| monitor)?;
    log.write("bad 1")?;
    let agent = log.start()?;
    agent.wait_for_reports("Bad", 1)?;
    agent.stop()?;
    log.write("bad 2")?;
    fs::remove_file(&log.path).context("cannot remove")?;
    log.write("bad 3")?;
    let agent = log.start()?;
    agent.wait_for_reports("Bad", 1)?;
    expect_texts(&agent.problems(), &["bad 3"])?;
    let name = format!("filelog:{}", log.path.display());
    let lost = agent.metrics()?.value("npd_source_lost_total", &[("source", &name)]);
    ensure!(lost == Some(1.0), "npd_source_lost_total is {lost:?}");
    Ok(())
}

fn damaged_state() -> Result<()> {
    let log = Log::new(|monitor| monitor)?;
    log.write("bad 1")?;
    let agent = log.start()?;
    agent.wait_for_reports("Bad", 1)?;
    agent.stop()?;
    let mut damaged = 0;
    for entry in fs::read_dir(log.setup.folder().join("state")).context("cannot list the state")? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".state") && fs::metadata(&path)?.len() > 0 {
            fs::write(&path, "npd state 0\nsomething else").context("cannot damage the state")?;
            damaged += 1;
        }
    }
    ensure!(damaged == 1, "{damaged} state files");
    let agent = log.start()?;
    agent.wait_for_reports("Bad", 1)?;
    let log_lines = agent.log_lines();
    let warned = log_lines.iter().any(|line| line.level() == "WARN" && line.raw.contains("another version"));
    ensure!(warned, "no warning about the state");
    Ok(())
}

fn nothing_kept() -> Result<()> {
    let log = Log::new(|monitor| monitor)?;
    let file = log.setup.folder().join("a-file");
    fs::write(&file, "").context("cannot make a file")?;
    let agent = log.setup.clone().arg(format!("--state-dir={}", file.display())).start()?;
    log.write("bad 1")?;
    agent.wait_for_reports("Bad", 1)?;
    let warned = agent.log_lines().iter().any(|line| line.level() == "WARN" && line.raw.contains("no state is kept"));
    ensure!(warned, "no warning");
    Ok(())
}
