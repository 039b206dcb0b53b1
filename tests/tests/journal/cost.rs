//! What a journal costs that has nothing for us.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use npd_agent::source::journal::JournalTail;
use npd_tests::{
    driver::{
        poll::{SOON, pause},
        suite::Suite,
    },
    host::journald_namespace::JournaldNamespace,
};
use rustix::time::{ClockId, clock_gettime};

use crate::lines::{expect_lines, identifier, open, read, since_ever, wait};

pub(crate) fn add(suite: &mut Suite) {
    crate::test(suite, "foreign entries and an idle journal cost next to nothing", foreign_and_idle);
}

/// A foreign entry comes every millisecond for so long.
const LENGTH: Duration = Duration::from_secs(3);

fn foreign_and_idle() -> Result<()> {
    let journald = JournaldNamespace::start("Storage=volatile").context("cannot start journald")?;
    let mut tail = open(&journald.runtime_folder(), &identifier("wanted"), since_ever())?;
    read(&mut tail);
    let stop = AtomicBool::new(false);
    let (cost, foreign) = thread::scope(|scope| {
        let writer = scope.spawn(|| write_foreign(&journald, &stop));
        let cost = follow_foreign(&mut tail);
        stop.store(true, Ordering::Relaxed);
        let foreign = writer.join().map_err(|_| anyhow!("the writer panicked"))??;
        anyhow::Ok((cost?, foreign))
    })?;
    let (wakes, spent) = cost;
    ensure!(wakes < 60, "{wakes} wake-ups for {foreign} foreign entries");
    ensure!(spent < Duration::from_millis(60), "{spent:?} for {foreign} foreign entries");
    ensure!(foreign > 1000, "only {foreign} foreign entries");
    // The last notification is out within a second; from then on there is silence.
    journald.sync()?;
    let deadline = Instant::now() + SOON;
    while wait(&tail, Duration::from_secs(1))? {
        expect_lines(&read(&mut tail), &[], "nothing of ours")?;
        ensure!(Instant::now() < deadline, "an idle journal wakes us");
    }
    ensure!(tail.timeout().is_none(), "it looks again after {:?}", tail.timeout());
    Ok(())
}

/// How often it was woken up, and the time that it spent.
fn follow_foreign(tail: &mut JournalTail) -> Result<(u32, Duration)> {
    let (begun, before, mut wakes) = (Instant::now(), cpu(), 0);
    while begun.elapsed() < LENGTH {
        wait(tail, Duration::from_millis(500))?;
        expect_lines(&read(tail), &[], "nothing of ours")?;
        wakes += 1;
    }
    Ok((wakes, cpu().saturating_sub(before)))
}

/// Writes an entry every millisecond; gives their number.
fn write_foreign(journald: &JournaldNamespace, stop: &AtomicBool) -> Result<u32> {
    let begun = Instant::now();
    let mut sent = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        while begun.elapsed().as_millis() as u32 > sent {
            journald.log("foreign", &format!("a line of somebody else, number {sent}"))?;
            sent += 1;
        }
        pause(Duration::from_millis(1));
    }
    Ok(sent)
}

/// What this thread has spent.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.cast_unsigned(), now.tv_nsec.cast_unsigned() as u32)
}
