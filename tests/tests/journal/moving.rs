//! The system's journal while journald moves it from /run to /var, as it does when a host has booted.

use std::{
    fs::{self, File},
    os::fd::AsFd,
    path::Path,
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use npd_agent::source::journal::{JournalTail, Start};
use npd_tests::{driver::suite::Suite, host::journald_namespace::JournaldNamespace};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::lines::{expect_lines, expect_texts, follow, identifier, numbers, read, since_ever};

pub(crate) fn add(suite: &mut Suite) {
    crate::test(suite, "what moves from /run to /var is given once", moving);
}

fn moving() -> Result<()> {
    let settings = "Storage=persistent\nReadKMsg=no\nSystemMaxFileSize=512K";
    let journald = JournaldNamespace::start_whole(settings).context("cannot start journald")?;
    // In a thread of its own, whose /run and /var/log are the journald's.
    let moved = thread::scope(|scope| {
        let moved = scope.spawn(|| {
            enter_mounts(journald.pid())?;
            given_once(&journald)
        });
        moved.join()
    });
    moved.map_err(|_| anyhow!("the thread panicked"))?
}

/// Moves this thread among the mounts of a process.
fn enter_mounts(pid: u32) -> Result<()> {
    #[expect(deprecated, reason = "it is unsafe for file descriptors; this is for the root of this thread alone")]
    rustix::thread::unshare(UnshareFlags::FS).context("cannot give the thread a root of its own")?;
    let mounts = File::open(format!("/proc/{pid}/ns/mnt")).context("cannot open journald's mounts")?;
    move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount)).context("cannot enter journald's mounts")
}

fn given_once(journald: &JournaldNamespace) -> Result<()> {
    let machine = fs::read_to_string("/etc/machine-id").context("cannot read /etc/machine-id")?;
    let persistent = Path::new("/var/log/journal").join(machine.trim());
    let runtime = Path::new("/run/log/journal").join(machine.trim());
    let filter = identifier("wanted");
    let open = |start| JournalTail::open(None, &filter, start);
    let mut tail = open(since_ever())?;
    expect_lines(&read(&mut tail), &[], "before the first")?;
    ensure!(tail.state().following == [runtime.clone()], "{:?}", tail.state());
    ensure!(tail.state().waiting_for == [persistent.clone()], "{:?}", tail.state());
    let mut lines = Vec::new();
    for number in 0..3000_usize {
        journald.log("wanted", &number.to_string())?;
        if number == 1000 {
            journald.rotate()?;
        }
    }
    journald.sync()?;
    follow(&mut tail, &mut lines, |lines| lines.len() >= 3000)?;
    let before = read(&mut open(since_ever())?);
    expect_texts(&before, &numbers(0..3000), "before the move")?;

    // The move goes on while we read.
    thread::scope(|scope| {
        let flush = scope.spawn(|| journald.flush());
        while !flush.is_finished() {
            lines.extend(read(&mut tail));
        }
        flush.join().map_err(|_| anyhow!("the thread panicked"))?.context("cannot flush")
    })?;
    for number in 3000..3500_usize {
        journald.log("wanted", &number.to_string())?;
    }
    follow(&mut tail, &mut lines, |lines| lines.len() >= 3500)?;
    lines.extend(read(&mut tail));
    expect_texts(&lines, &numbers(0..3500), "over the move")?;
    ensure!(!runtime.exists(), "it was not moved");
    ensure!(tail.state().following == [persistent], "{:?}", tail.state());

    // A reader that ended before the move goes on after it. (journalctl is no measure: that of systemd 252 shows an
    // entry twice when a file became full in the middle of it.)
    for at in (0..3000).step_by(97) {
        let rest = read(&mut open(Start::Cursor(before[at].cursor.clone()))?);
        expect_texts(&rest, &numbers(at + 1..3500), format_args!("behind {at}"))?;
    }
    Ok(())
}
