//! Lines as fast as the kernel takes them, one in a hundred a problem.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use npd_tests::{driver::monitor::Monitor, host::kmsg::Flood, nonce};

use crate::{sample::median, table::Row};

const EVERY: usize = 100;
const LIMIT: Duration = Duration::from_mins(2);

/// What one flood came to.
struct Outcome {
    problems: usize,
    reported: usize,
    lost: f64,
    micros_per_line: f64,
    lines_per_second: f64,
    resident: u64,
}

pub(crate) fn measure() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (lines, rounds) in [(50_000, 5), (500_000, 3)] {
        let (mut auto, mut kmsg) = (Vec::new(), Vec::new());
        // In turn, so that a busy moment of the machine hits both.
        for _ in 0..rounds {
            auto.push(flood("auto", lines)?);
            kmsg.push(flood("kmsg", lines)?);
        }
        rows.extend(compare(lines, &auto, &kmsg));
    }
    Ok(rows)
}

fn flood(source: &str, lines: usize) -> Result<Outcome> {
    let flood = Flood { lines, every: EVERY, tag: nonce() };
    let monitor = Monitor::kernel("flood-monitor").rule("Flood", &format!(r"npd-flood {} problem \d+", flood.tag));
    let agent = crate::agent(source, &monitor)?.start()?;
    agent.fence()?;
    let lost = |metrics: &npd_tests::driver::agent::metrics::Metrics| {
        metrics.value("npd_kernel_records_lost_total", &[]).context("no npd_kernel_records_lost_total")
    };
    let lost_before = lost(&agent.metrics()?)?;
    let before = agent.usage()?;
    let started = Instant::now();
    let written = flood.write()?;
    agent.fence_within(LIMIT)?;
    let after = agent.usage()?;
    ensure!(started.elapsed() < LIMIT, "the flood took {:?}", started.elapsed());
    let cpu = after.since(&before).cpu;
    let outcome = Outcome {
        problems: written.problems,
        reported: agent.reported("Flood").len(),
        lost: lost(&agent.metrics()?)? - lost_before,
        micros_per_line: cpu.as_secs_f64() * 1e6 / lines as f64,
        lines_per_second: lines as f64 / written.took.as_secs_f64(),
        resident: after.resident.total(),
    };
    agent.stop()?;
    Ok(outcome)
}

fn compare(lines: usize, auto: &[Outcome], kmsg: &[Outcome]) -> Vec<Row> {
    let of = |outcomes: &[Outcome], figure: fn(&Outcome) -> f64| -> f64 {
        median(&outcomes.iter().map(figure).collect::<Vec<_>>())
    };
    let what = format!("{lines} lines");
    let problems = auto.first().map_or(0, |outcome| outcome.problems);
    let least = |outcomes: &[Outcome]| outcomes.iter().map(|outcome| outcome.reported).min().unwrap_or_default();
    let most = |outcomes: &[Outcome]| outcomes.iter().map(|outcome| outcome.reported).max().unwrap_or_default();
    let (cpu, cpu_kmsg) = (of(auto, |o| o.micros_per_line), of(kmsg, |o| o.micros_per_line));
    let (lost, lost_kmsg) = (auto.iter().map(|o| o.lost).fold(0.0, f64::max), of(kmsg, |o| o.lost));
    let (rate, rate_kmsg) = (of(auto, |o| o.lines_per_second), of(kmsg, |o| o.lines_per_second));
    let resident = auto.iter().map(|o| o.resident).max().unwrap_or_default();
    let mebibytes = resident as f64 / f64::from(1 << 20);
    vec![
        Row::new(format!("{what}: problems reported, worst round"), least(auto).to_string())
            .against("kmsg", &least(kmsg).to_string(), 0.0, 0.0)
            .goal(format!("{problems}"), least(auto) == problems && most(auto) == problems),
        Row::new(format!("{what}: records lost, worst round"), format!("{lost:.0}"))
            .against("kmsg, median", &format!("{lost_kmsg:.0}"), 0.0, 0.0)
            .goal("0", lost < 0.5),
        Row::new(format!("{what}: agent's CPU a line"), format!("{cpu:.2} µs"))
            .against("kmsg", &format!("{cpu_kmsg:.2} µs"), cpu, cpu_kmsg)
            .goal("≤ 1.5 µs", cpu <= 1.5),
        Row::new(format!("{what}: written at"), format!("{:.0} k/s", rate / 1e3)).against(
            "kmsg",
            &format!("{:.0} k/s", rate_kmsg / 1e3),
            0.0,
            0.0,
        ),
        Row::new(format!("{what}: resident memory after, largest"), format!("{mebibytes:.1} MiB"))
            .goal("≤ 20 MiB", mebibytes <= 20.0),
    ]
}
