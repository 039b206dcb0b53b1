//! Ways up: from a doorbell to the full sequence, and from a probe that has gone silent back to one that works.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, Setup, sandbox::Sandbox},
        monitor::Monitor,
        poll,
        suite::{Suite, need},
    },
    host::{
        fault::hung_task::{self, HungTask},
        kmsg,
    },
    nonce,
};

use super::{expect_count, kernel_monitor};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| {
        suite.test(format!("recovery: {claim}"), move || {
            need::probes()?;
            run()
        });
    };
    test("an agent that cannot write a self-test line learns the sequence from two ordinary ones", learns);
    test("a probe that goes silent is noticed, replaced, and nothing is lost meanwhile", silent);
    test("without probes a hung task is reported once all the same", hung_without_probes);
}

fn learns() -> Result<()> {
    need::tool("setpriv")?;
    let word = nonce();
    let monitor = Monitor::kernel("line-monitor").rule("Line", &format!("npd-line {word} \\d"));
    let agent = Setup::new()?.monitor(&monitor)?.sandbox(Sandbox::least_privilege()).start()?;
    ensure!(agent.kernel_log_modes() == ["doorbell"], "the modes are {:?}", agent.kernel_log_modes());
    for index in 0..4 {
        kmsg::write(&format!("npd-line {word} {index}"))?;
        agent.wait_for_reports("Line", index + 1)?;
    }
    ensure!(agent.kernel_log_modes() == ["doorbell", "probe+kmsg"], "the modes are {:?}", agent.kernel_log_modes());
    agent.fence()?;
    expect_count("the lines", &agent.reported("Line"), 4)
}

fn silent() -> Result<()> {
    need::tool("gdb")?;
    let word = nonce();
    let monitor = Monitor::kernel("line-monitor").rule("Line", &format!("npd-line {word} \\d"));
    let agent = Agent::with(&monitor)?;
    detach_probes(&agent)?;
    for index in 0..6 {
        kmsg::write(&format!("npd-line {word} {index}"))?;
    }
    agent.wait_for_reports("Line", 6)?;
    let reads_by = |mode: &str| agent.kernel_log_modes().last().is_some_and(|last| last == mode);
    poll::wait_until("the agent to notice", poll::SOON, || reads_by("kmsg"))?;
    // The probe is tested again after ten seconds, and then loaded anew.
    poll::wait_until("a probe that works", Duration::from_secs(40), || reads_by("probe+kmsg"))?;
    kmsg::write(&format!("npd-line {word} 7"))?;
    agent.fence()?;
    expect_count("the lines", &agent.reported("Line"), 7)?;
    let lost = agent.metrics()?.value("npd_kernel_records_lost_total", &[]);
    ensure!(lost == Some(0.0), "{lost:?} records are lost");
    let by_probe = agent.metrics()?.value("npd_kernel_records_total", &[("origin", "probe")]);
    ensure!(by_probe.is_some_and(|count| count > 0.5), "no record came through the new probe: {by_probe:?}");
    Ok(())
}

/// Lets go of the agent's probes behind its back: its links become copies of its standard input.
fn detach_probes(agent: &Agent) -> Result<()> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-p", &agent.pid().to_string(), "-batch", "-nx"]);
    let mut links = 0;
    let folder = format!("/proc/{}/fd", agent.pid());
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {folder}"))? {
        let path = entry.with_context(|| format!("cannot list {folder}"))?.path();
        let target = fs::read_link(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if target.to_string_lossy().contains("bpf_link") || target.to_string_lossy().contains("bpf-raw-tracepoint") {
            let number = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            gdb.arg("-ex").arg(format!("call (int)dup2(0, {number})"));
            links += 1;
        }
    }
    ensure!(links > 0, "the agent has no probes");
    let output = gdb.output().context("cannot start gdb")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        text.matches('$').count() >= links,
        "gdb cannot let go of the probes:\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn hung_without_probes() -> Result<()> {
    need::hung_task_detector()?;
    let agent = Setup::new()?.monitor(&kernel_monitor())?.arg("--kernel-source=kmsg").start()?;
    let before = hung_task::detections()?;
    let mut task = HungTask::start(10)?;
    agent.wait_for_reports("TaskHung", 1)?;
    task.wait_for_detections(before, 4)?;
    agent.fence()?;
    expect_count("after four lines of the kernel", &agent.reported("TaskHung"), 1)?;
    task.recover()
}
