//! Conditions that recover when the node does: real hung tasks, real file systems.

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, Setup},
        binary,
        monitor::Monitor,
        poll,
        suite::{Suite, need},
    },
    host::{
        fault::{
            ext4::Ext4,
            hung_task::{COMM, HungTask},
        },
        kmsg,
    },
};
use rustix::process::Signal;
use serde_json::json;

use super::expect_count;

pub(crate) fn add(suite: &mut Suite) {
    suite.test("healing: a condition of a hung task is over when the task goes on", hung_task);
    suite.test("healing: a condition of a read-only file system is over when it is unmounted", read_only);
    suite.test("healing: what is asked of the node goes on after a restart of the agent", after_a_restart);
    suite.test("healing: a line that tells of no task that hangs is over after one check", false_alarm);
    suite.test("healing: the shipped read-only condition names the device and asks about it", shipped);
}

fn deadlock() -> Monitor {
    Monitor::kernel("kernel-monitor")
        .condition("KernelDeadlock", "KernelHasNoDeadlock", "kernel has no deadlock")
        .with_rule(json!({
            "type": "permanent", "condition": "KernelDeadlock", "reason": "TaskStuck",
            "pattern": format!("INFO: task {COMM}:(?P<pid>\\d+) blocked for more than \\d+ seconds\\."),
            "message": "task ${pid} is stuck", "recheck": {"what": "task", "every": "1s"},
        }))
}

fn read_only_monitor() -> Monitor {
    Monitor::kernel("readonly-monitor")
        .condition("ReadonlyFilesystem", "FilesystemIsNotReadOnly", "Filesystem is not read-only")
        .with_rule(json!({
            "type": "permanent", "condition": "ReadonlyFilesystem", "reason": "FilesystemIsReadOnly",
            "pattern": "EXT4-fs \\((?P<dev>\\w+)\\): Remounting filesystem read-only", "recheck": {"what": "mount", "every": "1s"},
        }))
}

/// Waits for the event that a condition is good again, and checks what it says.
fn wait_until_good(agent: &Agent, condition: &str, reason: &str) -> Result<()> {
    let good = agent.wait_for_reports(reason, 1)?;
    expect_count("good again", &good, 1)?;
    let start = format!("Node condition {condition} is now: False, reason: {reason}, message: ");
    ensure!(good[0].text.starts_with(&start) && good[0].severity == "info", "{good:?}");
    Ok(())
}

fn hung_task() -> Result<()> {
    need::hung_task_detector()?;
    let agent = Agent::with(&deadlock())?;
    let mut task = HungTask::start(100)?;
    let stuck = agent.wait_for_reports("TaskStuck", 1)?;
    ensure!(stuck[0].text.contains(&format!("task {} is stuck", task.pid())), "{stuck:?}");
    // Two more looks of the kernel: while it hangs, it hangs.
    let before = npd_tests::host::fault::hung_task::detections()?;
    task.wait_for_detections(before, 2)?;
    ensure!(agent.reported("KernelHasNoDeadlock").is_empty(), "it hangs still");
    task.recover()?;
    wait_until_good(&agent, "KernelDeadlock", "KernelHasNoDeadlock")?;
    let gauge = agent.metrics()?.value("problem_gauge", &[("reason", "TaskStuck"), ("type", "KernelDeadlock")]);
    ensure!(gauge == Some(0.0), "the gauge is {gauge:?}");
    Ok(())
}

fn read_only() -> Result<()> {
    need::ext4()?;
    let agent = Agent::with(&read_only_monitor())?;
    let disk = Ext4::new("remount-ro")?;
    disk.report_error("npd test")?;
    let events = agent.wait_for_reports("FilesystemIsReadOnly", 1)?;
    ensure!(events[0].field("dev") == Some(disk.name()), "{events:?}");
    let asked = std::time::Instant::now();
    poll::wait_until("several questions to the node", poll::SOON, || asked.elapsed().as_secs() >= 3)?;
    ensure!(agent.reported("FilesystemIsNotReadOnly").is_empty(), "it is read-only still");
    drop(disk);
    wait_until_good(&agent, "ReadonlyFilesystem", "FilesystemIsNotReadOnly")
}

fn after_a_restart() -> Result<()> {
    need::ext4()?;
    let setup = Setup::new()?.stateful().monitor(&read_only_monitor())?;
    let agent = setup.clone().start()?;
    let disk = Ext4::new("remount-ro")?;
    disk.report_error("npd test")?;
    agent.wait_for_reports("FilesystemIsReadOnly", 1)?;
    agent.fence()?;
    // It has been asked about, so that what it looked like is known.
    let asked = std::time::Instant::now();
    poll::wait_until("a question to the node", poll::SOON, || asked.elapsed().as_secs() >= 2)?;
    agent.stop_with(Signal::KILL)?;
    drop(disk);
    let agent = setup.start()?;
    wait_until_good(&agent, "ReadonlyFilesystem", "FilesystemIsNotReadOnly")?;
    expect_count("no new report", &agent.reported("FilesystemIsReadOnly"), 0)
}

fn false_alarm() -> Result<()> {
    need::root()?;
    let agent = Agent::with(&deadlock())?;
    kmsg::write(&format!("INFO: task {COMM}:{} blocked for more than 120 seconds.", std::process::id()))?;
    agent.wait_for_reports("TaskStuck", 1)?;
    wait_until_good(&agent, "KernelDeadlock", "KernelHasNoDeadlock")
}

fn shipped() -> Result<()> {
    need::ext4()?;
    let config = std::fs::read_to_string(binary::shipped_config("readonly-monitor.json")).context("cannot read")?;
    // Twice in half a minute is enough in the field.
    let config = config.replace("\"what\": \"mount\"", "\"what\": \"mount\", \"every\": \"1s\"");
    let fence = Monitor::kernel("fence");
    let agent = Setup::new()?.file("readonly-monitor.json", &config)?.monitor(&fence)?.start()?;
    let disk = Ext4::new("remount-ro")?;
    disk.report_error("npd test")?;
    let events = agent.wait_for_reports("FilesystemIsReadOnly", 1)?;
    ensure!(events[0].field("dev") == Some(disk.name()), "{events:?}");
    // Seen as read-only before it is unmounted.
    let asked = std::time::Instant::now();
    poll::wait_until("a question to the node", poll::SOON, || asked.elapsed().as_secs() >= 2)?;
    drop(disk);
    wait_until_good(&agent, "ReadonlyFilesystem", "FilesystemIsNotReadOnly")
}
