//! What was written before the start: `lookback`, `delay`, restarts.

use std::time::Duration;

use anyhow::{Result, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, Setup},
        monitor::Monitor,
        poll,
        suite::{Suite, need},
    },
    host::kmsg,
    nonce,
};

use super::{SOURCES, expect_count};

pub(crate) fn add(suite: &mut Suite) {
    for source in SOURCES {
        let mut test = |claim: &str, run: fn(&'static str) -> Result<()>| {
            suite.test(format!("lookback, {source}: {claim}"), move || {
                need::root()?;
                run(source)
            });
        };
        test("lines inside the lookback are reported once, older ones not", inside_only);
        test("without lookback nothing from before the start is reported", none);
        test("lines before and after the start are one sequence, none twice", seamless);
        test("until the machine has been up for the delay nothing is reported", delay);
        test("the later of delay and lookback counts", delay_and_lookback);
        test("a line written while the agent was down is reported by the next one", restart);
    }
}

fn start(source: &str, monitor: &Monitor) -> Result<Agent> {
    Setup::new()?.monitor(monitor)?.arg(format!("--kernel-source={source}")).start()
}

fn line_monitor(word: &str, lookback: &str) -> Monitor {
    Monitor::kernel("line-monitor").with("lookback", lookback).rule("Line", &format!("npd-line {word}.*"))
}

fn inside_only(source: &'static str) -> Result<()> {
    let word = nonce();
    kmsg::write(&format!("npd-line {word} old"))?;
    poll::pause(Duration::from_secs(7));
    kmsg::write(&format!("npd-line {word} new"))?;
    let agent = start(source, &line_monitor(&word, "5s"))?;
    agent.fence()?;
    let reported = agent.reported("Line");
    expect_count("the line inside the lookback", &reported, 1)?;
    ensure!(reported[0].text.ends_with("new"), "reported is {:?}", reported[0].text);
    Ok(())
}

fn none(source: &'static str) -> Result<()> {
    let word = nonce();
    kmsg::write(&format!("npd-line {word} before"))?;
    let agent = start(source, &line_monitor(&word, "0"))?;
    kmsg::write(&format!("npd-line {word} after"))?;
    agent.fence()?;
    let reported = agent.reported("Line");
    expect_count("the line after the start", &reported, 1)?;
    ensure!(reported[0].text.ends_with("after"), "reported is {:?}", reported[0].text);
    Ok(())
}

/// Lines are written all the time while the agent starts.
fn seamless(source: &'static str) -> Result<()> {
    let word = nonce();
    let write = |number: usize| kmsg::write(&format!("npd-line {word} {number}"));
    (0..100).try_for_each(write)?;
    let agent = Setup::new()?.monitor(&line_monitor(&word, "5m"))?.arg(format!("--kernel-source={source}")).spawn()?;
    let ready = || agent.log.lines().iter().any(|line| line.message() == "ready");
    let mut written = 100;
    poll::wait_for("ready", poll::SOON, || {
        write(written)?;
        written += 1;
        Ok(ready().then_some(()))
    })?;
    for _ in 0..100 {
        write(written)?;
        written += 1;
    }
    agent.fence()?;
    let reported = agent.reported("Line");
    expect_count("lines across the start", &reported, written)?;
    for (number, problem) in reported.iter().enumerate() {
        let text = format!("npd-line {word} {number}");
        ensure!(problem.text == text, "{text:?} came as {:?}", problem.text);
    }
    Ok(())
}

fn delay(source: &'static str) -> Result<()> {
    let word = nonce();
    let late = line_monitor(&word, "0").with("delay", "87600h");
    let soon = Monitor::kernel("soon").with("delay", "1s").rule("Soon", &format!("npd-line {word}"));
    let agent = Setup::new()?.monitor(&late)?.monitor(&soon)?.arg(format!("--kernel-source={source}")).start()?;
    kmsg::write(&format!("npd-line {word}"))?;
    agent.fence()?;
    expect_count("ten years after boot", &agent.reported("Line"), 0)?;
    expect_count("a second after boot", &agent.reported("Soon"), 1)
}

fn delay_and_lookback(source: &'static str) -> Result<()> {
    let word = nonce();
    kmsg::write(&format!("npd-line {word}"))?;
    let late = line_monitor(&word, "5m").with("delay", "87600h");
    let soon =
        Monitor::kernel("soon").with("delay", "1s").with("lookback", "5m").rule("Soon", &format!("npd-line {word}"));
    let agent = Setup::new()?.monitor(&late)?.monitor(&soon)?.arg(format!("--kernel-source={source}")).start()?;
    agent.fence()?;
    expect_count("ten years after boot", &agent.reported("Line"), 0)?;
    expect_count("a second after boot", &agent.reported("Soon"), 1)
}

fn restart(source: &'static str) -> Result<()> {
    let word = nonce();
    let first = start(source, &line_monitor(&word, "0"))?;
    kmsg::write(&format!("npd-line {word} first"))?;
    first.fence()?;
    expect_count("the first agent", &first.reported("Line"), 1)?;
    first.stop()?;
    kmsg::write(&format!("npd-line {word} between"))?;
    let deaf = start(source, &line_monitor(&word, "0"))?;
    deaf.fence()?;
    expect_count("the next one without lookback", &deaf.reported("Line"), 0)?;
    deaf.stop()?;
    let second = start(source, &line_monitor(&word, "5m"))?;
    second.fence()?;
    let reported = second.reported("Line");
    let between = reported.iter().filter(|problem| problem.text.ends_with("between")).count();
    ensure!(between == 1, "the line in between was reported {between} times");
    Ok(())
}
