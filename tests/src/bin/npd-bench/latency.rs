//! From just before the write(2) of a line to the problem's line read from the agent's log, and to its event received
//! by an API server.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use npd_tests::{
    cluster::apiserver::ApiServer,
    driver::{
        monitor::Monitor,
        poll::{self, SOON},
    },
    host::kmsg,
    nonce,
};

use crate::{
    sample::{median, percentile},
    table::Row,
};

const ROUNDS: usize = 4;
const LINES: usize = 50;
/// The kernel wakes a reader of `/dev/kmsg` at its next tick: 4 ms apart at 250 Hz, and not in step with us.
const APART: Duration = Duration::from_millis(20);

pub(crate) fn measure() -> Result<Vec<Row>> {
    let (mut auto, mut kmsg, mut api) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        auto.extend(round("auto")?);
        kmsg.extend(round("kmsg")?);
        api.extend(api_round()?);
    }
    let (p50_api, p90_api, p99_api) = (median(&api), percentile(&api, 0.9), percentile(&api, 0.99));
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
        Row::new(
            format!("write(2) to event received by an API server, {lines} lines, median"),
            format!("{p50_api:.3} ms"),
        )
        .goal("≤ 0.5 ms", p50_api <= 0.5),
        Row::new("write(2) to event received by an API server, 90 of 100", format!("{p90_api:.3} ms")),
        Row::new("write(2) to event received by an API server, 99 of 100", format!("{p99_api:.3} ms")),
    ])
}

/// Milliseconds, one for each line.
fn round(source: &str) -> Result<Vec<f64>> {
    let word = nonce();
    let agent =
        crate::agent(source, &Monitor::kernel("latency").rule("Late", &format!(r"npd-late {word} \d+")))?.start()?;
    agent.fence()?;
    let written = write(&word)?;
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

/// As [`round`], with the API server as the clock's other end: this process itself. Each line has a reason of its own,
/// for similar events are combined.
fn api_round() -> Result<Vec<f64>> {
    let word = nonce();
    let server = ApiServer::with_node("bench")?;
    let mut monitor = Monitor::kernel("latency");
    for number in 0..LINES {
        monitor = monitor.rule(&format!("Late{number}"), &format!("npd-late {word} {number}"));
    }
    let agent = crate::agent("auto", &monitor)?.cluster(&server, "bench").start()?;
    server.wait_for_request("the first conditions", SOON, |request| request.path.ends_with("/status"))?;
    agent.fence()?;
    let written = write(&word)?;
    let mut latencies = Vec::new();
    for (at, text) in written {
        let request = server
            .wait_for_request(&text, SOON, |request| request.method == "POST" && request.json()["message"] == *text)?;
        latencies.push(request.at.saturating_duration_since(at).as_secs_f64() * 1e3);
    }
    agent.stop()?;
    Ok(latencies)
}

/// Writes the lines; gives each with the moment just before.
fn write(word: &str) -> Result<Vec<(Instant, String)>> {
    let mut written = Vec::new();
    for number in 0..LINES {
        poll::pause(APART + jitter());
        let mut file = kmsg::writer()?;
        let text = format!("npd-late {word} {number}");
        let line = format!("<6>{text}\n");
        let at = Instant::now();
        kmsg::write_line(&mut file, &line)?;
        written.push((at, text));
    }
    Ok(written)
}

/// Up to 8 ms, from the clock's last digits: more than two ticks, with no rhythm.
fn jitter() -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    Duration::from_micros(u64::from(nanos.wrapping_mul(2_654_435_761) % 8_000))
}
