//! A journald that writes, rotates, deletes, dies and starts anew while we read.

use std::{fs, ops::ControlFlow, time::Instant};

use anyhow::{Context, Result, ensure};
use npd_agent::source::journal::{JournalFilter, JournalTail, Start};
use npd_tests::{
    driver::{poll::SOON, suite::Suite},
    host::journald_namespace::JournaldNamespace,
};

use crate::lines::{
    Line, expect_lines, expect_texts, follow, from_entry, identifier, numbers, open, read, read_anew, since_ever, wait,
};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim, run| crate::test(suite, claim, run);
    test("live entries come once and in order across rotation and vacuuming", rotation);
    test("a reader that ends at any time goes on behind its cursor", ends_at_any_time);
    test("when the entry of the cursor is gone, the first newer one is next", lost_cursor);
    test("what was written since the last read is read, before anything tells of it", unasked);
    test("a journal that appears later is read from its start", appears_later);
    test("nothing is lost or repeated when journald starts anew", restart);
}

fn rotation() -> Result<()> {
    let settings = "Storage=persistent\nSystemMaxFileSize=512K";
    let journald = JournaldNamespace::start(settings).context("cannot start journald")?;
    let mut tail = open(&journald.persistent_folder(), &identifier("wanted"), since_ever())?;
    let mut lines = Vec::new();
    for number in 0..2000_usize {
        journald.log("wanted", &number.to_string())?;
        journald.log("foreign", &"x".repeat(number % 700))?;
        match number % 100 {
            30 => journald.rotate()?,
            60 => journald.vacuum(1)?,
            90 => follow(&mut tail, &mut lines, |lines| lines.len() > number)?,
            number if number % 10 == 0 => lines.extend(read(&mut tail)),
            _ => {}
        }
    }
    follow(&mut tail, &mut lines, |lines| lines.len() >= 2000)?;
    expect_texts(&lines, &numbers(0..2000), "live")?;
    let position = tail.position().map(|cursor| cursor.to_string());
    ensure!(position.as_ref() == Some(&lines[1999].cursor), "{position:?}");
    // What is deleted or archived is closed.
    journald.vacuum(1)?;
    journald.sync()?;
    follow(&mut tail, &mut lines, |_| true)?;
    ensure!(tail.state().files <= 2, "{:?}", tail.state());
    Ok(())
}

fn ends_at_any_time() -> Result<()> {
    let settings = "Storage=persistent\nSystemMaxFileSize=512K";
    let journald = JournaldNamespace::start(settings).context("cannot start journald")?;
    let folder = journald.persistent_folder();
    let filter = identifier("wanted");
    let mut start = since_ever();
    let (mut lines, mut seed) = (Vec::new(), 42_u32);
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    let deadline = Instant::now() + SOON;
    let mut sent = 0;
    while lines.len() < 3000 {
        for _ in 0..random(200) {
            if sent < 3000 {
                journald.log(if sent % 3 == 0 { "wanted" } else { "foreign" }, &sent.to_string())?;
                journald.log("wanted", &sent.to_string())?;
                sent += 1;
            }
        }
        if random(10) == 0 {
            journald.rotate()?;
        }
        // A new reader each time; it is dropped in the middle of a batch.
        let mut tail = open(&folder, &filter, start.clone())?;
        let most = random(300) as usize;
        let mut count = 0;
        while tail
            .read(&mut |entry| {
                if entry.message != lines.last().map_or(&b""[..], |line: &Line| &line.message[..]) {
                    lines.push(from_entry(entry));
                }
                count += 1;
                if count > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .more
            && count <= most
        {}
        if let Some(cursor) = tail.position() {
            start = Start::Cursor(cursor.to_string());
        }
        ensure!(Instant::now() < deadline, "only {} lines", lines.len());
    }
    expect_texts(&lines, &numbers(0..3000), "all readers together")
}

fn lost_cursor() -> Result<()> {
    let journald = JournaldNamespace::start("Storage=persistent").context("cannot start journald")?;
    for number in 0..30_usize {
        journald.log("wanted", &number.to_string())?;
        if number == 9 || number == 19 {
            journald.rotate()?;
        }
    }
    journald.sync()?;
    let filter = identifier("wanted");
    let read = |start| read_anew(&journald.persistent_folder(), &filter, start);
    let all = read(since_ever())?;
    expect_texts(&all, &numbers(0..30), "all")?;
    // The file with the first ten goes, and with it the entry of the cursor.
    journald.vacuum(1)?;
    let left = read(since_ever())?;
    ensure!(left.len() < 30, "nothing was deleted");
    expect_lines(&read(Start::Cursor(all[4].cursor.clone()))?, &left, "behind a deleted entry")?;
    // The cursor of a sequence and a boot that nobody knows any more.
    let parts = all[24].cursor.split(';').map(|part| match part.split_once('=') {
        Some((id @ ("s" | "b"), _)) => format!("{id}={:032x}", 7),
        _ => part.to_owned(),
    });
    let lost: Vec<_> = parts.collect();
    let newer = all.iter().position(|line| line.at > all[24].at).context("all at once")?;
    expect_lines(&read(Start::Cursor(lost.join(";")))?, &all[newer..], "behind an unknown cursor")
}

fn unasked() -> Result<()> {
    let journald = JournaldNamespace::start("Storage=persistent").context("cannot start journald")?;
    let mut tail = open(&journald.persistent_folder(), &JournalFilter::default(), since_ever())?;
    for number in 0..20 {
        read(&mut tail);
        journald.log("wanted", &number.to_string())?;
        journald.sync()?;
        let lines = read(&mut tail);
        let last = lines.last().context("nothing new is seen")?;
        ensure!(last.text() == number.to_string(), "{number} is not there: {lines:?}");
        let position = tail.position().map(|cursor| cursor.to_string());
        ensure!(position.as_ref() == Some(&last.cursor), "{position:?} at {last:?}");
    }
    Ok(())
}

fn appears_later() -> Result<()> {
    let parent = tempfile::tempdir()?;
    let folder = parent.path().join("log/journal");
    let mut tail = open(&folder, &identifier("wanted"), since_ever())?;
    expect_lines(&read(&mut tail), &[], "nowhere")?;
    ensure!(tail.state().waiting_for == [folder.clone()], "{:?}", tail.state());
    ensure!(tail.timeout().is_some(), "it waits for the folder to tell");
    let journald = JournaldNamespace::start("Storage=persistent").context("cannot start journald")?;
    for number in 0..10_usize {
        journald.log("wanted", &number.to_string())?;
    }
    journald.sync()?;
    let woken = |tail: &JournalTail, what: &str| {
        ensure!(wait(tail, SOON)?, "{what} wakes nobody");
        Ok(())
    };
    fs::create_dir_all(&folder)?;
    woken(&tail, "a folder")?;
    expect_lines(&read(&mut tail), &[], "an empty folder")?;
    // A link to the folder is as good.
    let machine = folder.join("0123456789abcdef0123456789abcdef");
    std::os::unix::fs::symlink(journald.persistent_folder(), &machine)?;
    woken(&tail, "a machine's folder")?;
    let mut lines = read(&mut tail);
    expect_texts(&lines, &numbers(0..10), "from the start")?;
    ensure!(tail.timeout().is_none(), "it looks again after {:?}", tail.timeout());
    ensure!(tail.state().following == [machine, folder], "{:?}", tail.state());
    journald.log("wanted", "10")?;
    follow(&mut tail, &mut lines, |lines| lines.len() >= 11)?;
    expect_texts(&lines, &numbers(0..11), "live")
}

fn restart() -> Result<()> {
    let mut journald = JournaldNamespace::start("Storage=persistent").context("cannot start journald")?;
    let mut tail = open(&journald.persistent_folder(), &identifier("wanted"), since_ever())?;
    let mut lines = Vec::new();
    for number in 0..60_usize {
        journald.log("wanted", &number.to_string())?;
        match number {
            20 => journald.restart()?,
            40 => {
                journald.sync()?;
                journald.kill()?;
                journald.restart()?;
            }
            _ => {}
        }
        lines.extend(read(&mut tail));
    }
    follow(&mut tail, &mut lines, |lines| lines.len() >= 60)?;
    expect_texts(&lines, &numbers(0..60), "over two restarts")
}
