//! Disks and file systems that fail.

use anyhow::{Result, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, Setup, problem::Problem},
        monitor::Monitor,
        poll::{self, SOON},
        suite::{Suite, need},
    },
    host::{
        fault::{block::CutDisk, ext4::Ext4, xfs::Xfs},
        kmsg::Reader,
    },
    nonce,
};

use super::{expect_count, kernel_monitor};

pub(crate) fn add(suite: &mut Suite) {
    suite.test("block: 60 quick I/O errors are 60 reports, although printk holds most of them back", many);
    suite.test("block: the same sector failing again is reported again", same_sector);
    suite.test("block: an error printed before the start does not stand for the same one after it", before_and_after);
    suite.test("ext4: an error with errors=continue is reported once", errors_continue);
    suite.test("ext4: an error with errors=remount-ro makes the condition ReadonlyFilesystem True, once", remount);
    suite.test("ext4: a shutdown is reported once", shutdown);
    suite.test("xfs: a shutdown makes the condition XfsShutdown True, once", xfs_shutdown);
}

/// The reports of a reason that speak of a device.
fn reports_of(agent: &Agent, reason: &str, device: &str) -> Vec<Problem> {
    let mut reports = agent.reported(reason);
    // loop1 is not loop10.
    let is_name = |word: &str| word.trim_end_matches([',', ')', ':']) == device;
    reports.retain(|problem| problem.text.split([' ', '(']).any(is_name));
    reports
}

fn many() -> Result<()> {
    need::loop_devices()?;
    need::probes()?;
    let agent = Agent::with(&kernel_monitor())?;
    let disk = CutDisk::new()?;
    disk.fail(0..60)?;
    let waited = agent.wait_for_reports("IOError", 60);
    agent.fence()?;
    agent.fence()?;
    let reports = reports_of(&agent, "IOError", disk.name());
    let mut wrong = Vec::new();
    for block in 0..60 {
        let sector = CutDisk::sector(block);
        let start = format!("I/O error, dev {}, sector {sector} ", disk.name());
        let count = reports.iter().filter(|problem| format!("{} ", problem.text).starts_with(&start)).count();
        if count != 1 {
            wrong.push(format!("sector {sector}: {count} times"));
        }
    }
    ensure!(wrong.is_empty(), "not reported once: {}", wrong.join(", "));
    waited?;
    expect_count("60 errors", &reports, 60)?;
    let without: Vec<_> = reports.iter().filter(|problem| problem.field("dev") != Some(disk.name())).collect();
    ensure!(without.is_empty(), "{} reports do not have the field dev, such as {:?}", without.len(), without[0]);
    Ok(())
}

fn same_sector() -> Result<()> {
    need::loop_devices()?;
    need::probes()?;
    let agent = Agent::with(&kernel_monitor())?;
    let disk = CutDisk::new()?;
    for made in 1..=5 {
        disk.fail([3])?;
        agent.wait_for_reports("IOError", made)?;
        agent.fence()?;
        expect_count(&format!("{made} errors"), &reports_of(&agent, "IOError", disk.name()), made)?;
    }
    // And without a pause.
    disk.fail([3; 5])?;
    agent.wait_for_reports("IOError", 10)?;
    agent.fence()?;
    expect_count("five more", &reports_of(&agent, "IOError", disk.name()), 10)
}

/// Within a second, so that the printed line is fresh when the agent reads what was before.
fn before_and_after() -> Result<()> {
    need::loop_devices()?;
    need::probes()?;
    let disk = CutDisk::new()?;
    let start = format!("I/O error, dev {}, sector ", disk.name());
    let mut reader = Reader::at_end()?;
    // printk lets the next ones through when its rate limit is over, and then falls silent.
    poll::wait_for("an I/O error that is printed", SOON, || {
        disk.fail([200])?;
        let printed = std::iter::from_fn(|| reader.next().transpose()).collect::<Result<Vec<_>>>()?;
        Ok(printed.iter().any(|record| record.text.starts_with(&start)).then_some(()))
    })?;
    disk.fail([200; 20])?;
    let agent = Agent::with(&kernel_monitor())?;
    disk.fail([200])?;
    agent.wait_for_reports("IOError", 1)?;
    agent.fence()?;
    expect_count("the error after the start", &reports_of(&agent, "IOError", disk.name()), 1)
}

fn errors_continue() -> Result<()> {
    need::ext4()?;
    let agent = Agent::with(&kernel_monitor())?;
    let ext4 = Ext4::new("continue")?;
    let word = nonce();
    ext4.report_error(&word)?;
    agent.wait_for_reports("Ext4Error", 1)?;
    agent.fence()?;
    agent.fence()?;
    let reports = reports_of(&agent, "Ext4Error", ext4.name());
    expect_count("one error", &reports, 1)?;
    ensure!(reports[0].text.ends_with(&word), "what happened is not in the report {:?}", reports[0].text);
    ext4.report_error(&word)?;
    agent.wait_for_reports("Ext4Error", 2)?;
    agent.fence()?;
    expect_count("a second error", &reports_of(&agent, "Ext4Error", ext4.name()), 2)
}

fn remount() -> Result<()> {
    need::ext4()?;
    let readonly = Monitor::kernel("readonly-monitor")
        .condition("ReadonlyFilesystem", "FilesystemIsNotReadOnly", "Filesystem is not read-only")
        .permanent("ReadonlyFilesystem", "FilesystemIsReadOnly", "Remounting filesystem read-only");
    let agent = Setup::new()?.monitor(&kernel_monitor())?.monitor(&readonly)?.start()?;
    let ext4 = Ext4::new("remount-ro")?;
    ext4.report_error(&nonce())?;
    agent.wait_for_reports("FilesystemIsReadOnly", 1)?;
    agent.fence()?;
    agent.fence()?;
    expect_count("the error", &reports_of(&agent, "Ext4Error", ext4.name()), 1)?;
    let reports = agent.reported("FilesystemIsReadOnly");
    expect_count("the remount", &reports, 1)?;
    ensure!(reports[0].source == "readonly-monitor", "the source is {}", reports[0].source);
    ensure!(reports[0].condition.as_deref() == Some("ReadonlyFilesystem"), "condition {:?}", reports[0].condition);
    ensure!(reports[0].status.as_deref() == Some("True"), "status {:?}", reports[0].status);
    let labels = [("reason", "FilesystemIsReadOnly"), ("type", "ReadonlyFilesystem")];
    let gauge = agent.metrics()?.value("problem_gauge", &labels);
    ensure!(gauge == Some(1.0), "the gauge is {gauge:?}");
    Ok(())
}

fn shutdown() -> Result<()> {
    need::ext4()?;
    let agent = Agent::with(&kernel_monitor())?;
    let ext4 = Ext4::new("continue")?;
    ext4.shut_down()?;
    agent.wait_for_reports("Ext4Shutdown", 1)?;
    agent.fence()?;
    agent.fence()?;
    expect_count("one shutdown", &reports_of(&agent, "Ext4Shutdown", ext4.name()), 1)
}

fn xfs_shutdown() -> Result<()> {
    need::xfs()?;
    need::probes()?;
    let monitor = Monitor::kernel("kernel-monitor")
        .condition("XfsShutdown", "XfsHasNotShutDown", "XFS has not shutdown")
        .permanent("XfsShutdown", "XfsHasShutdown", r"XFS .* Shutting down filesystem.?")
        .rule("XfsLine", r"XFS .* Shutting down filesystem.?");
    let agent = Agent::with(&monitor)?;
    let xfs = Xfs::new()?;
    xfs.shut_down()?;
    agent.wait_for_reports("XfsHasShutdown", 1)?;
    agent.fence()?;
    agent.fence()?;
    expect_count("one shutdown", &reports_of(&agent, "XfsLine", xfs.name()), 1)?;
    let reports = agent.reported("XfsHasShutdown");
    expect_count("one change", &reports, 1)?;
    ensure!(reports[0].condition.as_deref() == Some("XfsShutdown"), "condition {:?}", reports[0].condition);
    ensure!(reports[0].field("dev") == Some(xfs.name()), "the field dev is missing in {:?}", reports[0]);
    Ok(())
}
