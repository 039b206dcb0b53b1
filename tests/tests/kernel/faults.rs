//! The faults themselves, without an agent: the kernel says what they promise. When one of these fails, the faults
//! are to be mended, not the agent.

use anyhow::{Result, ensure};
use npd_tests::{
    driver::{
        poll::{self, SOON},
        suite::{Suite, need},
    },
    host::{
        fault::{
            block::CutDisk,
            ext4::Ext4,
            hung_task::{self, HungTask},
            memory_cgroup,
        },
        kmsg::{self, Reader, Record},
    },
    nonce,
};

pub(crate) fn add(suite: &mut Suite) {
    suite.test("faults: a written line is in the kernel log", line);
    suite.test("faults: a hung task is found by the kernel again and again", hung);
    suite.test("faults: with hung_task_warnings=0 the kernel finds it and says nothing", silent);
    suite.test("faults: a process in a small memory cgroup is killed", oom);
    suite.test("faults: reading the missing end of a disk is an I/O error", block);
    suite.test("faults: an ext4 reports the error it is told to", ext4);
}

fn wait_for_record(reader: &mut Reader, what: &str, fits: impl Fn(&str) -> bool) -> Result<Record> {
    poll::wait_for(what, SOON, || {
        while let Some(record) = reader.next()? {
            if fits(&record.text) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    })
}

fn line() -> Result<()> {
    need::root()?;
    let mut reader = Reader::at_end()?;
    let text = format!("npd-line {}", nonce());
    kmsg::write(&text)?;
    wait_for_record(&mut reader, "the line", |found| found == text)?;
    Ok(())
}

fn hung() -> Result<()> {
    need::hung_task_detector()?;
    let mut reader = Reader::at_end()?;
    let before = hung_task::detections()?;
    let mut task = HungTask::start(10)?;
    let start = format!("INFO: task npd-hang:{} blocked for more than ", task.pid());
    for _ in 0..2 {
        wait_for_record(&mut reader, "the hung task", |text| text.starts_with(&start))?;
    }
    ensure!(hung_task::detections()? >= before + 2);
    task.recover()
}

fn silent() -> Result<()> {
    need::hung_task_detector()?;
    let mut reader = Reader::at_end()?;
    let before = hung_task::detections()?;
    let task = HungTask::start(0)?;
    task.wait_for_detections(before, 2)?;
    let name = format!("npd-hang:{}", task.pid());
    while let Some(record) = reader.next()? {
        ensure!(!record.text.contains(&name), "the kernel says {:?}", record.text);
    }
    Ok(())
}

fn oom() -> Result<()> {
    need::memory_cgroup()?;
    let mut reader = Reader::at_end()?;
    let killed = memory_cgroup::kill_one()?;
    let start = format!("Memory cgroup out of memory: Killed process {} (npd-oom)", killed.pid);
    wait_for_record(&mut reader, "the kill", |text| text.starts_with(&start))?;
    Ok(())
}

fn block() -> Result<()> {
    need::loop_devices()?;
    let mut reader = Reader::at_end()?;
    let disk = CutDisk::new()?;
    disk.fail([7])?;
    // Held back when there were many just before: printk is rate limited. Then a later error shows.
    let start = format!("I/O error, dev {}, sector ", disk.name());
    let mut turn = 100;
    poll::wait_for("the I/O error", SOON, || {
        while let Some(record) = reader.next()? {
            if record.text.starts_with(&start) {
                return Ok(Some(()));
            }
        }
        turn += 1;
        disk.fail([turn])?;
        Ok(None)
    })
}

fn ext4() -> Result<()> {
    need::ext4()?;
    let mut reader = Reader::at_end()?;
    let ext4 = Ext4::new("remount-ro")?;
    let word = nonce();
    ext4.report_error(&word)?;
    let start = format!("EXT4-fs error (device {}): ", ext4.name());
    wait_for_record(&mut reader, "the error", |text| text.starts_with(&start) && text.ends_with(&word))?;
    let remount = format!("EXT4-fs ({}): Remounting filesystem read-only", ext4.name());
    wait_for_record(&mut reader, "the remount", |text| text == remount)?;
    // A read-only one cannot be shut down.
    let ext4 = Ext4::new("continue")?;
    ext4.shut_down()?;
    let shutdown = format!("EXT4-fs ({}): shut down requested (0)", ext4.name());
    wait_for_record(&mut reader, "the shutdown", |text| text == shutdown)?;
    Ok(())
}
