//! Start, stop, signals, `features`.

use std::{
    io::Write,
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, Setup},
        binary,
        monitor::Monitor,
        suite::{Suite, need},
    },
    host::kmsg,
    nonce,
};
use rustix::process::Signal;

use super::{expect_count, kernel_monitor};

const PROMPT: Duration = Duration::from_secs(1);

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| {
        suite.test(format!("lifecycle: {claim}"), move || {
            need::root()?;
            run()
        });
    };
    test("SIGTERM ends the agent within a second with code 0", || stop(Signal::TERM));
    test("SIGINT ends the agent within a second with code 0", || stop(Signal::INT));
    test("a client that never ends its request does not hold up the end", half_a_request);
    test("a second signal ends the agent at once", second_signal);
    test("what was written before the signal is reported", nothing_left_behind);
    test("every line of the log is one JSON object", json);
    test("features prints every probe with its state and ends with code 0", features);
    test("$HOST_SYS and $HOST_PROC cost no probe", host_folders);
    test("the shipped monitors start", shipped);
    test("an idle agent sleeps", idle);
}

fn stop(signal: Signal) -> Result<()> {
    let agent = Agent::with(&kernel_monitor())?;
    agent.fence()?;
    let stopped = agent.stop_with(signal)?;
    ensure!(stopped.took < PROMPT, "it took {:?} and ended with {}", stopped.took, stopped.code);
    ensure!(stopped.code == 0, "the code is {}", stopped.code);
    Ok(())
}

fn half_a_request() -> Result<()> {
    let agent = Agent::with(&kernel_monitor())?;
    let mut stream = TcpStream::connect(("127.0.0.1", agent.port()?)).context("cannot connect")?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").context("cannot ask")?;
    // Answered only after the half request above has been accepted.
    agent.metrics()?;
    let stopped = agent.stop_with(Signal::TERM)?;
    ensure!(stopped.took < PROMPT, "it took {:?} and ended with {}", stopped.took, stopped.code);
    ensure!(stopped.code == 0, "the code is {}", stopped.code);
    Ok(())
}

/// Both signals are pending when it goes on.
fn second_signal() -> Result<()> {
    let agent = Agent::with(&kernel_monitor())?;
    agent.signal(Signal::STOP)?;
    agent.signal(Signal::TERM)?;
    agent.signal(Signal::INT)?;
    let sent = Instant::now();
    agent.signal(Signal::CONT)?;
    let stopped = agent.ended(sent)?;
    ensure!(stopped.took < PROMPT, "it took {:?}", stopped.took);
    Ok(())
}

fn nothing_left_behind() -> Result<()> {
    let word = nonce();
    let agent = Agent::with(&Monitor::kernel("line-monitor").rule("Line", &format!("npd-line {word} .*")))?;
    for number in 0..50 {
        kmsg::write(&format!("npd-line {word} {number}"))?;
    }
    let log = agent.stop()?;
    let reported: Vec<_> = log
        .iter()
        .filter_map(npd_tests::driver::agent::problem::Problem::from_line)
        .filter(|problem| problem.reason == "Line")
        .collect();
    expect_count("lines before the signal", &reported, 50)
}

fn json() -> Result<()> {
    let agent = Agent::with(&kernel_monitor())?;
    agent.fence()?;
    for line in agent.stop()? {
        ensure!(line.is_json(), "no JSON: {:?}", line.raw);
        for field in ["timestamp", "level", "message", "target"] {
            ensure!(line.text(field).is_some(), "no {field} in {:?}", line.raw);
        }
        ensure!(line.level() != "ERROR", "an error in a quiet run: {:?}", line.raw);
    }
    Ok(())
}

fn features() -> Result<()> {
    need::probes()?;
    let output =
        std::process::Command::new(binary::agent()?).arg("features").output().context("cannot run features")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.code() == Some(0), "features ends with {}: {text}", output.status);
    for tracepoint in ["printk:console", "sched:sched_process_hang", "oom:mark_victim", "ext4:ext4_error"] {
        let row = text.lines().find(|line| line.contains(tracepoint));
        let row = row.with_context(|| format!("no row for {tracepoint} in\n{text}"))?;
        ensure!(row.contains("active") || row.contains("unsupported"), "{row}");
    }
    let built = "built with: custom-plugin, ebpf, health-checks, journald, kubernetes, system-stats\n";
    ensure!(text.ends_with(built), "no {built:?} at the end of\n{text}");
    ensure!(
        text.contains("block:block_rq_error") || text.contains("block:block_rq_complete"),
        "no block probe in\n{text}"
    );
    Ok(())
}

/// A bind of the node's /sys need not contain tracefs, which is a mount of its own.
fn host_folders() -> Result<()> {
    need::probes()?;
    let empty = tempfile::tempdir()?;
    let table = |host: Option<&Path>| -> Result<String> {
        let mut command = std::process::Command::new(binary::agent()?);
        command.arg("features").envs(host.into_iter().flat_map(|host| [("HOST_SYS", host), ("HOST_PROC", host)]));
        let output = command.output().context("cannot run features")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (without, with) = (table(None)?, table(Some(empty.path()))?);
    ensure!(without == with, "without them:\n{without}\nwith them:\n{with}");
    Ok(())
}

fn shipped() -> Result<()> {
    let mut setup = Setup::new()?.monitor(&Monitor::kernel("fence"))?;
    for name in ["kernel-monitor.json", "readonly-monitor.json"] {
        setup = setup.config(binary::shipped_config(name));
    }
    let agent = setup.start()?;
    kmsg::write("task docker:7 blocked for more than 300 seconds.")?;
    agent.fence()?;
    ensure!(agent.reported("TaskHung").iter().any(|problem| problem.text.contains("docker:7")), "no TaskHung");
    ensure!(agent.reported("DockerHung").len() == 1, "no DockerHung");
    Ok(())
}

/// Over three seconds; others who write to the kernel log wake it as well, hence the generous limit.
fn idle() -> Result<()> {
    let agent = Agent::with(&kernel_monitor())?;
    agent.fence()?;
    npd_tests::driver::poll::pause(PROMPT);
    let before = agent.usage()?;
    npd_tests::driver::poll::pause(PROMPT * 3);
    let after = agent.usage()?;
    let switches = after.since(&before).voluntary_switches;
    ensure!(switches <= 30, "{switches} wake-ups in three seconds without work");
    Ok(())
}
