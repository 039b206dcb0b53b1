//! Many lines at once: nothing is lost, or what is lost is counted to the last line.

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, Setup},
        monitor::Monitor,
        poll::{self, SOON},
        suite::{Suite, need},
    },
    host::kmsg::{self, Flood},
    nonce,
};
use rustix::process::Signal;

use super::{expect_count, timed};

pub(crate) fn add(suite: &mut Suite) {
    suite.test("flood: of 50,000 lines with 500 problems all 500 are reported, in order, and no line is lost", all);
    suite.test("flood, kmsg: every line is either found or counted as lost", found_or_lost);
    suite.test("flood, kmsg: records and losses add up to the kernel's own numbers", adds_up);
    suite.test("flood, auto: records and losses add up to the kernel's own numbers, even with a tiny ring", tiny_ring);
    suite.test("flood, auto: an agent that was stopped meanwhile accounts for every record", stopped_meanwhile);
    suite.test("flood, auto: the probes say that the ring is full when they are asked to, and only then", diagnostics);
}

fn start(source: &str, monitor: &Monitor) -> Result<Setup> {
    Ok(Setup::new()?.monitor(monitor)?.arg(format!("--kernel-source={source}")))
}

/// What the agent has counted.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Counted {
    /// From all origins.
    records: f64,
    lost: f64,
}

/// Reads the counters when they stand still: they are brought up to date a moment after a record was reported.
fn counted(agent: &Agent) -> Result<Counted> {
    let mut newest = None;
    let mut same = 0;
    poll::wait_for("the counters to stand still", SOON, || {
        let metrics = agent.metrics()?;
        let origins = metrics.series("npd_kernel_records_total");
        ensure!(!origins.is_empty(), "there is no npd_kernel_records_total");
        let lost = metrics.value("npd_kernel_records_lost_total", &[]);
        let lost = lost.context("there is no npd_kernel_records_lost_total")?;
        let now = Counted { records: origins.iter().map(|(_, value)| value).sum(), lost };
        same = if newest.replace(now) == Some(now) { same + 1 } else { 0 };
        Ok((same >= 20).then_some(now))
    })
}

fn all() -> Result<()> {
    need::probes()?;
    let flood = Flood { lines: 50_000, every: 100, tag: nonce() };
    let monitor = Monitor::kernel("flood-monitor").rule("Flood", &format!(r"npd-flood {} problem \d+", flood.tag));
    let agent = start("auto", &monitor)?.start()?;
    let before = counted(&agent)?;
    let written = flood.write()?;
    let ((), took) = timed(|| agent.fence_within(SOON * 3))?;
    let reports = agent.reported("Flood");
    let hint = format!("of {} problems (written in {:?}, seen {took:?} later)", written.problems, written.took);
    expect_count(&hint, &reports, written.problems)?;
    for (number, report) in reports.iter().enumerate() {
        let text = flood.line(number * flood.every);
        ensure!(report.text == text, "{text:?} came as {:?}", report.text);
    }
    let after = counted(&agent)?;
    let (lost, seen) = (after.lost, after.records - before.records);
    ensure!(lost < 0.5, "{lost} records are counted as lost");
    ensure!(seen >= written.lines as f64, "only {seen} records are counted");
    Ok(())
}

fn found_or_lost() -> Result<()> {
    need::root()?;
    let flood = Flood { lines: 20_000, every: 1, tag: nonce() };
    let monitor = Monitor::kernel("flood-monitor").rule("Flood", &format!(r"npd-flood {} problem \d+", flood.tag));
    let agent = start("kmsg", &monitor)?.start()?;
    agent.fence()?;
    let before = counted(&agent)?;
    let start = kmsg::mark()?;
    flood.write()?;
    let end = kmsg::mark()?;
    agent.fence_within(SOON * 3)?;
    let found = agent.reported("Flood").len() as f64;
    let lost = counted(&agent)?.lost - before.lost;
    // What others wrote meanwhile may be among the lost.
    let written = flood.lines as f64;
    let foreign = (end - start - 1) as f64 - written;
    ensure!(
        found + lost >= written && found + lost <= written + foreign,
        "written {written} (and {foreign} by others), found {found}, lost {lost}"
    );
    Ok(())
}

fn adds_up() -> Result<()> {
    need::root()?;
    sum(start("kmsg", &Monitor::kernel("flood-monitor"))?)
}

fn tiny_ring() -> Result<()> {
    need::probes()?;
    sum(start("auto", &Monitor::kernel("flood-monitor"))?.arg("--kernel-ring-size=65536"))
}

/// Neither the ring nor the kernel's own buffer can hold so much.
fn stopped_meanwhile() -> Result<()> {
    need::probes()?;
    let flood = Flood { lines: 150_000, every: 1000, tag: nonce() };
    let agent = start("auto", &Monitor::kernel("flood-monitor"))?.start()?;
    let (start, before) = quiet(&agent)?;
    agent.signal(Signal::STOP)?;
    let written = flood.write();
    agent.signal(Signal::CONT)?;
    written?;
    let (end, after) = quiet(&agent)?;
    let lost = after.lost - before.lost;
    expect_sum(start, before, end, after)?;
    ensure!(lost > 0.5, "nothing is counted as lost, which cannot be");
    Ok(())
}

/// Of the 2000 lines a ring of 64 KiB holds a third while the agent is stopped, and /dev/kmsg the rest.
fn diagnostics() -> Result<()> {
    need::probes()?;
    let spoken = |verbosity: &str| -> Result<usize> {
        let setup = start("auto", &Monitor::kernel("flood-monitor"))?.arg("--kernel-ring-size=65536");
        let agent = setup.arg(verbosity).start()?;
        let (_, before) = quiet(&agent)?;
        agent.signal(Signal::STOP)?;
        let written = Flood { lines: 2000, every: 1000, tag: nonce() }.write();
        agent.signal(Signal::CONT)?;
        written?;
        let (_, after) = quiet(&agent)?;
        ensure!((after.lost - before.lost).abs() < 0.5, "{} lines are lost", after.lost - before.lost);
        let dropped = agent.metrics()?.value("npd_kernel_probe_dropped_total", &[("probe", "printk")]);
        ensure!(dropped.is_some_and(|dropped| dropped > 0.5), "the ring was not full: {dropped:?}");
        Ok(agent.log_lines().iter().filter(|line| line.message().contains("the ring is full")).count())
    };
    ensure!(spoken("--v=0")? == 0, "the probes speak unasked");
    ensure!(spoken("--v=1")? > 0, "the probes say nothing");
    Ok(())
}

/// Between two moments at which the agent has seen everything, what it counts is what the kernel counts.
fn sum(setup: Setup) -> Result<()> {
    let agent = setup.start()?;
    let (start, before) = quiet(&agent)?;
    Flood { lines: 100_000, every: 100, tag: nonce() }.write()?;
    let (end, after) = quiet(&agent)?;
    expect_sum(start, before, end, after)
}

fn expect_sum(start: u64, before: Counted, end: u64, after: Counted) -> Result<()> {
    let kernel = (end - start) as f64;
    let (records, lost) = (after.records - before.records, after.lost - before.lost);
    let sum = records + lost;
    ensure!(
        (kernel - sum).abs() < 0.5,
        "the kernel wrote {kernel} records, the agent accounts for {sum}: {records} seen and {lost} lost"
    );
    Ok(())
}

/// A sequence number, and what the agent has counted when it has seen all records up to it and one more.
fn quiet(agent: &Agent) -> Result<(u64, Counted)> {
    loop {
        let mark = kmsg::mark()?;
        agent.fence_within(SOON * 3)?;
        let counted = counted(agent)?;
        // A foreign line meanwhile would count for one side only: try again then.
        if kmsg::mark()? == mark + 2 {
            return Ok((mark, counted));
        }
    }
}
