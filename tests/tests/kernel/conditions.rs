//! Conditions and their metrics, as node-problem-detector keeps them.

use anyhow::{Result, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, metrics::Metrics},
        monitor::Monitor,
        suite::{Suite, need},
    },
    host::kmsg,
    nonce,
};

use super::expect_count;

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| {
        suite.test(format!("conditions: {claim}"), move || {
            need::root()?;
            run()
        });
    };
    test("all series are there with 0 from the start", zero_at_the_start);
    test("a permanent problem is reported once and stays", stays);
    test("another reason on the same condition is a new report and takes the gauge over, once", reason_changes);
    test("the suffix of a rule is added to its message", suffix);
    test("a monitor without metricsReporting has no series", no_metrics);
}

fn deadlock_monitor(word: &str) -> Monitor {
    Monitor::kernel("kernel-monitor")
        .condition("KernelDeadlock", "KernelHasNoDeadlock", "kernel has no deadlock")
        .rule("TaskHung", &format!(r"{word} task \S+:\w+ blocked for more than \w+ seconds\."))
        .permanent(
            "KernelDeadlock",
            "DockerHung",
            &format!(r"{word} task docker:\w+ blocked for more than \w+ seconds\."),
        )
        .permanent(
            "KernelDeadlock",
            "AufsHung",
            &format!(r"{word} task umount\.aufs:\w+ blocked for more than \w+ seconds\."),
        )
}

fn hang(word: &str, task: &str) -> Result<()> {
    kmsg::write(&format!("{word} task {task} blocked for more than 300 seconds."))
}

fn expect(metrics: &Metrics, name: &str, labels: &[(&str, &str)], value: f64) -> Result<()> {
    let found = metrics.value(name, labels);
    ensure!(found == Some(value), "{name}{labels:?} is {found:?}, not {value}");
    Ok(())
}

fn gauge(metrics: &Metrics, reason: &str, value: f64) -> Result<()> {
    expect(metrics, "problem_gauge", &[("reason", reason), ("type", "KernelDeadlock")], value)
}

fn counter(metrics: &Metrics, reason: &str, value: f64) -> Result<()> {
    expect(metrics, "problem_counter", &[("reason", reason)], value)
}

fn zero_at_the_start() -> Result<()> {
    let agent = Agent::with(&deadlock_monitor(&nonce()))?;
    let metrics = agent.metrics()?;
    for reason in ["TaskHung", "DockerHung", "AufsHung"] {
        counter(&metrics, reason, 0.0)?;
    }
    gauge(&metrics, "DockerHung", 0.0)?;
    gauge(&metrics, "AufsHung", 0.0)?;
    ensure!(metrics.series("problem_gauge").len() == 2, "too many gauges:\n{}", metrics.text);
    Ok(())
}

fn stays() -> Result<()> {
    let word = nonce();
    let agent = Agent::with(&deadlock_monitor(&word))?;
    hang(&word, "docker:7")?;
    agent.fence()?;
    expect_count("both rules", &agent.problems(), 2)?;
    let reported = agent.reported("DockerHung");
    expect_count("the permanent rule", &reported, 1)?;
    ensure!(reported[0].condition.as_deref() == Some("KernelDeadlock"), "condition {:?}", reported[0].condition);
    ensure!(reported[0].status.as_deref() == Some("True"), "status {:?}", reported[0].status);
    let message = format!(
        "Node condition KernelDeadlock is now: True, reason: DockerHung, \
         message: \"{word} task docker:7 blocked for more than 300 seconds.\""
    );
    ensure!(reported[0].text == message, "the event says {:?}", reported[0].text);

    hang(&word, "docker:8")?;
    agent.fence()?;
    expect_count("the temporary rule speaks again", &agent.reported("TaskHung"), 2)?;
    expect_count("the permanent one does not", &agent.reported("DockerHung"), 1)?;
    let metrics = agent.metrics()?;
    counter(&metrics, "TaskHung", 2.0)?;
    counter(&metrics, "DockerHung", 1.0)?;
    gauge(&metrics, "DockerHung", 1.0)
}

fn reason_changes() -> Result<()> {
    let word = nonce();
    let agent = Agent::with(&deadlock_monitor(&word))?;
    hang(&word, "docker:7")?;
    hang(&word, "umount.aufs:9")?;
    agent.fence()?;
    let metrics = agent.metrics()?;
    gauge(&metrics, "DockerHung", 0.0)?;
    gauge(&metrics, "AufsHung", 1.0)?;
    for _ in 0..3 {
        hang(&word, "docker:7")?;
        hang(&word, "umount.aufs:9")?;
    }
    agent.fence()?;
    let metrics = agent.metrics()?;
    gauge(&metrics, "DockerHung", 0.0)?;
    gauge(&metrics, "AufsHung", 1.0)?;
    counter(&metrics, "DockerHung", 1.0)?;
    counter(&metrics, "AufsHung", 1.0)?;
    expect_count("both hold it, nothing flaps", &agent.reported("DockerHung"), 1)
}

fn suffix() -> Result<()> {
    let word = nonce();
    let rule = serde_json::json!([
        { "type": "temporary", "reason": "Line", "pattern": format!("npd-line {word}"),
          "patternGeneratedMessageSuffix": "see https://example.test/runbook" },
    ]);
    let lines = Monitor::kernel("line-monitor").with("rules", rule);
    let agent = npd_tests::driver::agent::Setup::new()?.monitor(&lines)?.monitor(&Monitor::kernel("fence"))?.start()?;
    kmsg::write(&format!("npd-line {word}"))?;
    agent.fence()?;
    let reported = agent.reported("Line");
    expect_count("the line", &reported, 1)?;
    let text = format!("npd-line {word}; see https://example.test/runbook");
    ensure!(reported[0].text == text, "the event says {:?}", reported[0].text);
    Ok(())
}

fn no_metrics() -> Result<()> {
    let word = nonce();
    let agent = Agent::with(&deadlock_monitor(&word).with("metricsReporting", false))?;
    hang(&word, "docker:7")?;
    agent.fence()?;
    expect_count("both rules", &agent.problems(), 2)?;
    let text = agent.metrics()?.text;
    ensure!(!text.contains("DockerHung") && !text.contains("TaskHung"), "there are series:\n{text}");
    Ok(())
}
