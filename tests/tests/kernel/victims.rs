//! Processes that the kernel kills.

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, Setup},
        monitor::Monitor,
        suite::{Suite, need},
    },
    host::{
        fault::memory_cgroup::{self, MemoryCgroup},
        kmsg,
    },
};

use super::{SOURCES, expect_count, kernel_monitor};

pub(crate) fn add(suite: &mut Suite) {
    suite.test("oom: a process killed in a memory cgroup is reported once, with its pid and cgroup", once);
    suite.test("oom: three kills in one cgroup are three reports", three);
    for source in SOURCES {
        suite.test(
            format!("oom, {source}: a line that the kernel prints in nine pieces is reported whole, once"),
            || {
                need::memory_cgroup()?;
                pieces(source)
            },
        );
    }
}

fn once() -> Result<()> {
    need::memory_cgroup()?;
    need::probes()?;
    let agent = Agent::with(&kernel_monitor())?;
    let killed = memory_cgroup::kill_one()?;
    agent.wait_for_reports("OOMKilling", 1)?;
    agent.fence()?;
    agent.fence()?;
    let reports = agent.reported("OOMKilling");
    expect_count("one kill", &reports, 1)?;
    let pid = killed.pid.to_string();
    let line = format!("Killed process {pid} (npd-oom) total-vm:");
    ensure!(reports[0].text.contains(&line), "reported as {:?}", reports[0].text);
    ensure!(reports[0].field("pid") == Some(&pid), "the field pid is {:?}", reports[0].field("pid"));
    ensure!(reports[0].field("comm") == Some(memory_cgroup::COMM), "comm is {:?}", reports[0].field("comm"));
    Ok(())
}

fn three() -> Result<()> {
    need::memory_cgroup()?;
    need::probes()?;
    let agent = Agent::with(&kernel_monitor())?;
    let group = MemoryCgroup::new(20 << 20)?;
    let mut pids = Vec::new();
    for _ in 0..3 {
        pids.push(group.kill_one()?.pid);
    }
    agent.wait_for_reports("OOMKilling", 3)?;
    agent.fence()?;
    let reports = agent.reported("OOMKilling");
    expect_count("three kills", &reports, 3)?;
    for (pid, report) in pids.iter().zip(&reports) {
        let line = format!("Killed process {pid} ");
        ensure!(report.text.contains(&line), "the kill of {pid} was reported as {:?}", report.text);
    }
    Ok(())
}

/// `oom-kill:constraint=…` is built with `pr_cont`, nine pieces on Linux 6.18.
fn pieces(source: &str) -> Result<()> {
    let pattern = r"oom-kill:constraint=\w+,nodemask=\S+,cpuset=\S+,mems_allowed=\S+,oom_memcg=\S+,task_memcg=\S+,task=npd-oom,pid=\d+,uid=\d+";
    let monitor = Monitor::kernel("kernel-monitor").rule("Constraint", pattern);
    let agent = Setup::new()?.monitor(&monitor)?.arg(format!("--kernel-source={source}")).start()?;
    let killed = memory_cgroup::kill_one()?;
    agent.wait_for_reports("Constraint", 1)?;
    agent.fence()?;
    let reports = agent.reported("Constraint");
    expect_count("one line", &reports, 1)?;
    let end = format!("task=npd-oom,pid={},uid=0", killed.pid);
    let records = kmsg::all()?;
    let record = records.iter().find(|record| record.text.ends_with(&end)).context("the kernel did not say it")?;
    let text = &reports[0].text;
    ensure!(*text == record.text, "the kernel says {:?}, reported is {text:?}", record.text);
    ensure!(text.contains(&format!("oom_memcg={}", killed.cgroup)), "reported is {text:?}");
    Ok(())
}
