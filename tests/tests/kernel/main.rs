//! The agent against the real kernel: every problem is made on purpose, on this machine, and undone again.
//!
//! As root: `cargo xtask test`, or one family with `cargo test -p npd-tests --test kernel -- flood`. The tests share
//! one kernel log and one set of sysctls with the whole machine, so they run one by one, and a lock keeps a second
//! run out. Messages of others do no harm: each test knows its own by a word, a device or a process id.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use npd_tests::{
    driver::{
        agent::problem::Problem,
        machine,
        monitor::Monitor,
        suite::{Suite, need},
    },
    host::fault::tracefs::Tracefs,
};

mod conditions;
mod degrees;
mod faults;
mod flood;
mod healing;
mod hung_task;
mod lifecycle;
mod lines;
mod lookback;
mod recovery;
mod restart;
mod storage;
mod unprivileged;
mod victims;

fn main() -> Result<ExitCode> {
    let mut suite = Suite::default();
    faults::add(&mut suite);
    lines::add(&mut suite);
    lookback::add(&mut suite);
    conditions::add(&mut suite);
    hung_task::add(&mut suite);
    victims::add(&mut suite);
    storage::add(&mut suite);
    flood::add(&mut suite);
    healing::add(&mut suite);
    degrees::add(&mut suite);
    unprivileged::add(&mut suite);
    recovery::add(&mut suite);
    restart::add(&mut suite);
    lifecycle::add(&mut suite);

    // Without the rights every test says itself that it is skipped.
    let rights = need::root().is_ok();
    let _alone = if rights { Some(machine::lock()?) } else { None };
    let _tracefs = if rights { Some(Tracefs::mounted()?) } else { None };
    Ok(suite.run())
}

/// The kinds of reading the kernel log that every claim about plain lines must hold for.
const SOURCES: [&str; 2] = ["auto", "kmsg"];

/// A monitor with the rules of node-problem-detector's kernel monitor that these tests make come true.
fn kernel_monitor() -> Monitor {
    Monitor::kernel("kernel-monitor")
        .rule("TaskHung", r"task \S+:\w+ blocked for more than \w+ seconds\.")
        .rule("OOMKilling", r"Killed process \d+ (.+) total-vm:\d+kB, anon-rss:\d+kB, file-rss:\d+kB.*")
        .rule("IOError", r"I/O error, dev \w+, sector \d+.*")
        .rule("Ext4Error", r"EXT4-fs error .*")
        .rule("Ext4Shutdown", r"EXT4-fs \(\w+\): shut down requested \(\d+\)")
}

/// Checks that there are exactly so many, and shows them all when not.
fn expect_count(what: &str, problems: &[Problem], count: usize) -> Result<()> {
    if problems.len() == count {
        return Ok(());
    }
    let texts: Vec<_> = problems.iter().take(20).map(|problem| format!("    {}", problem.text)).collect();
    bail!("{what}: expected {count}, reported {}:\n{}", problems.len(), texts.join("\n"))
}

/// How long something took, for the output of a failed test.
fn timed<T>(run: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let started = Instant::now();
    Ok((run()?, started.elapsed()))
}
