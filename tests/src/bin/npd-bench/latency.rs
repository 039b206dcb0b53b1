//! From just before the write(2) of a line to the problem's line read from the agent's log.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use npd_tests::monitor::Monitor;
use npd_tests::{kmsg, nonce, poll};

use crate::sample::{median, percentile};
use crate::table::Row;

const ROUNDS: usize = 4;
const LINES: usize = 50;
/// The kernel wakes a reader of `/dev/kmsg` at its next tick: 4 ms apart at 250 Hz, and not in step with us.
const APART: Duration = Duration::from_millis(20);

pub(crate) fn measure() -> Result<Vec<Row>> {
    let (mut auto, mut kmsg) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        auto.extend(round("auto")?);
        kmsg.extend(round("kmsg")?);
    }
    let lines = ROUNDS * LINES;
    let (p50, p50_kmsg) = (median(&auto), median(&kmsg));
    let (p90, p90_kmsg) = (percentile(&auto, 0.9), percentile(&kmsg, 0.9));
    let (p99, p99_kmsg) = (percentile(&auto, 0.99), percentile(&kmsg, 0.99));
    Ok(vec![
        Row::new(format!("write(2) to problem in the log, {lines} lines, median"), format!("{p50:.3} ms"))
            .against("kmsg", &format!("{p50_kmsg:.3} ms"), p50, p50_kmsg)
            .goal("≤ 0.2 ms and ≥ 10×", p50 <= 0.2 && p50_kmsg >= 10.0 * p50),
        Row::new("write(2) to problem in the log, 90 of 100", format!("{p90:.3} ms")).against(
            "kmsg",
            &format!("{p90_kmsg:.3} ms"),
            p90,
            p90_kmsg,
        ),
        Row::new("write(2) to problem in the log, 99 of 100", format!("{p99:.3} ms")).against(
            "kmsg",
            &format!("{p99_kmsg:.3} ms"),
            p99,
            p99_kmsg,
        ),
    ])
}

/// Milliseconds, one for each line.
fn round(source: &str) -> Result<Vec<f64>> {
    let word = nonce();
    let agent =
        crate::agent(source, &Monitor::kernel("latency").rule("Late", &format!(r"npd-late {word} \d+")))?.start()?;
    agent.fence()?;
    let mut written = Vec::new();
    for number in 0..LINES {
        poll::pause(APART + jitter());
        let mut file = kmsg::writer()?;
        let line = format!("<6>npd-late {word} {number}\n");
        let at = Instant::now();
        kmsg::write_line(&mut file, &line)?;
        written.push((at, format!("npd-late {word} {number}")));
    }
    let reported = agent.wait_for_reports("Late", LINES)?;
    agent.stop()?;
    let mut latencies = Vec::new();
    for (at, text) in written {
        let report = reported.iter().find(|report| report.text == text);
        let report = report.with_context(|| format!("{text:?} was not reported"))?;
        latencies.push(report.seen.saturating_duration_since(at).as_secs_f64() * 1e3);
    }
    Ok(latencies)
}

/// Up to 8 ms, from the clock's last digits: more than two ticks, with no rhythm.
fn jitter() -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    Duration::from_micros(u64::from(nanos.wrapping_mul(2_654_435_761) % 8_000))
}
