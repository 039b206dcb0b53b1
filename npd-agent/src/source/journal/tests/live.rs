//! A journald that writes, rotates, deletes and moves while we read.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

use super::*;

#[test]
fn live_entries_come_once_and_in_order_across_rotation_and_vacuuming() {
    let Some(journald) = journald("Storage=persistent\nSystemMaxFileSize=512K") else { return };
    let mut tail = open(&journald.persistent_folder(), &identifier("wanted"), since_ever());
    let mut lines = Vec::new();
    for number in 0..2000_usize {
        journald.log("wanted", &number.to_string()).unwrap();
        journald.log("foreign", &"x".repeat(number % 700)).unwrap();
        match number % 100 {
            30 => journald.rotate().unwrap(),
            60 => journald.vacuum(1).unwrap(),
            90 => follow(&mut tail, &mut lines, |lines| lines.len() > number),
            number if number % 10 == 0 => lines.extend(read(&mut tail)),
            _ => {}
        }
    }
    follow(&mut tail, &mut lines, |lines| lines.len() == 2000);
    assert_texts(&lines, &numbers(0..2000), "");
    assert_eq!(tail.position().unwrap().to_string(), lines[1999].cursor);
    // What is deleted or archived is closed.
    journald.vacuum(1).unwrap();
    journald.sync().unwrap();
    follow(&mut tail, &mut lines, |_| true);
    assert!(tail.state().files <= 2, "{:?}", tail.state());
}

#[test]
fn a_reader_that_ends_at_any_time_goes_on_behind_its_cursor() {
    let Some(journald) = journald("Storage=persistent\nSystemMaxFileSize=512K") else { return };
    let folder = journald.persistent_folder();
    let filter = identifier("wanted");
    let mut start = since_ever();
    let (mut lines, mut seed) = (Vec::new(), 42_u32);
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    let deadline = Instant::now() + DEADLINE;
    let mut sent = 0;
    while lines.len() < 3000 {
        for _ in 0..random(200) {
            if sent < 3000 {
                journald.log(if sent % 3 == 0 { "wanted" } else { "foreign" }, &sent.to_string()).unwrap();
                journald.log("wanted", &sent.to_string()).unwrap();
                sent += 1;
            }
        }
        if random(10) == 0 {
            journald.rotate().unwrap();
        }
        // A new reader each time; it is dropped in the middle of a batch.
        let mut tail = open(&folder, &filter, start.clone());
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
        assert!(Instant::now() < deadline, "{}", lines.len());
    }
    assert_texts(&lines, &numbers(0..3000), "");
}

#[test]
fn when_the_entry_of_the_cursor_is_gone_the_first_newer_one_is_next() {
    let Some(journald) = journald("Storage=persistent") else { return };
    let folder = journald.persistent_folder();
    for number in 0..30_usize {
        journald.log("wanted", &number.to_string()).unwrap();
        if number == 9 || number == 19 {
            journald.rotate().unwrap();
        }
    }
    journald.sync().unwrap();
    let filter = identifier("wanted");
    let all = read(&mut open(&folder, &filter, since_ever()));
    assert_texts(&all, &numbers(0..30), "");
    // The file with the first ten goes, and with it the entry of the cursor.
    journald.vacuum(1).unwrap();
    let left = read(&mut open(&folder, &filter, since_ever()));
    assert!(left.len() < 30);
    let rest = read(&mut open(&folder, &filter, Start::Cursor(all[4].cursor.clone())));
    assert_eq!(rest, left);
    // The cursor of a sequence that nobody knows any more.
    let mut lost: Cursor = all[24].cursor.parse().unwrap();
    lost.seqnum_id = 7;
    lost.boot_id = 7;
    let rest = read(&mut open(&folder, &filter, Start::Cursor(lost.to_string())));
    let newer = all.iter().position(|line| line.at > all[24].at).unwrap();
    assert_eq!(rest, all[newer..]);
}

#[test]
fn what_moves_from_run_to_var_is_given_once() {
    if let Some(reason) = journald_namespace::missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    let journald = JournaldNamespace::start_whole("Storage=persistent\nReadKMsg=no\nSystemMaxFileSize=512K").unwrap();
    let roots =
        vec![Root::new(journald.persistent_folder()), Root { runtime: true, ..Root::new(journald.runtime_folder()) }];
    let filter = identifier("wanted");
    let open = |start| JournalTail::open_roots(roots.clone(), &filter, start).unwrap();
    let mut tail = open(since_ever());
    assert_eq!(read(&mut tail), []);
    assert_eq!(tail.state().waiting_for, [journald.persistent_folder()]);
    let mut lines = Vec::new();
    for number in 0..3000_usize {
        journald.log("wanted", &number.to_string()).unwrap();
        if number == 1000 {
            journald.rotate().unwrap();
        }
    }
    journald.sync().unwrap();
    follow(&mut tail, &mut lines, |lines| lines.len() == 2500 || lines.len() == 3000);
    let before = read(&mut open(since_ever()));
    assert_eq!(before.len(), 3000);

    // The flush goes on while we read.
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| journald.flush());
        while !flush.is_finished() {
            lines.extend(read(&mut tail));
        }
        flush.join().unwrap().unwrap();
    });
    for number in 3000..3500_usize {
        journald.log("wanted", &number.to_string()).unwrap();
    }
    follow(&mut tail, &mut lines, |lines| lines.len() >= 3500);
    lines.extend(read(&mut tail));
    assert_texts(&lines, &numbers(0..3500), "");
    assert!(!journald.runtime_folder().exists());
    assert_eq!(tail.state().following, [journald.persistent_folder()]);

    let told = from_export(&journald.export(&["SYSLOG_IDENTIFIER=wanted"]).unwrap());
    // systemd 252 itself shows an entry twice when a file became full in the middle of it.
    println!("journalctl shows {} of 3500", told.len());
    // A reader that ended before the move goes on after it.
    for at in (0..3000).step_by(97) {
        let rest = read(&mut open(Start::Cursor(before[at].cursor.clone())));
        assert_texts(&rest, &numbers(at + 1..3500), format_args!("behind {at}"));
    }
}

#[test]
fn a_journal_that_appears_later_is_read_from_its_start() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("log/journal");
    let mut tail = open(&folder, &identifier("wanted"), since_ever());
    assert_eq!(read(&mut tail), []);
    assert_eq!(tail.state().waiting_for, std::slice::from_ref(&folder));
    assert!(tail.timeout().is_some());
    let Some(journald) = journald("Storage=persistent") else { return };
    for number in 0..10_usize {
        journald.log("wanted", &number.to_string()).unwrap();
    }
    journald.sync().unwrap();
    let woken = |tail: &JournalTail| {
        let at_most = Timespec::try_from(DEADLINE).unwrap();
        assert_eq!(poll(&mut [PollFd::new(tail, PollFlags::IN)], Some(&at_most)).unwrap(), 1);
    };
    fs::create_dir_all(&folder).unwrap();
    woken(&tail);
    assert_eq!(read(&mut tail), []);
    // A link to the folder is as good.
    let machine = folder.join("0123456789abcdef0123456789abcdef");
    std::os::unix::fs::symlink(journald.persistent_folder(), &machine).unwrap();
    woken(&tail);
    let mut lines = read(&mut tail);
    assert_texts(&lines, &numbers(0..10), "");
    assert_eq!(tail.timeout(), None);
    assert_eq!(tail.state().following, [machine, folder]);
    journald.log("wanted", "10").unwrap();
    follow(&mut tail, &mut lines, |lines| lines.len() == 11);
}

#[test]
fn nothing_is_lost_or_repeated_when_journald_starts_anew() {
    let Some(mut journald) = journald("Storage=persistent") else { return };
    let mut tail = open(&journald.persistent_folder(), &identifier("wanted"), since_ever());
    let mut lines = Vec::new();
    for number in 0..60_usize {
        journald.log("wanted", &number.to_string()).unwrap();
        match number {
            20 => journald.restart().unwrap(),
            40 => {
                journald.sync().unwrap();
                journald.kill().unwrap();
                journald.restart().unwrap();
            }
            _ => {}
        }
        lines.extend(read(&mut tail));
    }
    follow(&mut tail, &mut lines, |lines| lines.len() >= 60);
    assert_texts(&lines, &numbers(0..60), "");
}

#[test]
fn foreign_entries_and_an_idle_journal_cost_next_to_nothing() {
    let Some(journald) = journald("Storage=volatile") else { return };
    let mut tail = open(&journald.runtime_folder(), &identifier("wanted"), since_ever());
    read(&mut tail);
    let cpu = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.cast_unsigned(), now.tv_nsec.cast_unsigned() as u32)
    };
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (wakes, spent, foreign) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let begun = Instant::now();
            let mut sent = 0_u32;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                while begun.elapsed().as_millis() as u32 > sent {
                    journald.log("foreign", &format!("a line of somebody else, number {sent}")).unwrap();
                    sent += 1;
                }
                std::thread::park_timeout(Duration::from_millis(1));
            }
            sent
        });
        let (begun, before, mut wakes) = (Instant::now(), cpu(), 0);
        while begun.elapsed() < Duration::from_secs(3) {
            wait(&tail, Duration::from_millis(500));
            assert_eq!(read(&mut tail), []);
            wakes += 1;
        }
        let spent = cpu().saturating_sub(before);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        (wakes, spent, writer.join().unwrap())
    });
    println!("{foreign} foreign entries: {wakes} wake-ups, {spent:?}");
    assert!(wakes < 60, "{wakes} wake-ups");
    assert!(spent < Duration::from_millis(60), "{spent:?}");
    // The last notification is out within a second; from then on there is silence.
    journald.sync().unwrap();
    let deadline = Instant::now() + DEADLINE;
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    while poll(&mut [PollFd::new(&tail, PollFlags::IN)], Some(&second)).unwrap() == 1 {
        assert_eq!(read(&mut tail), []);
        assert!(Instant::now() < deadline);
    }
    assert_eq!(tail.timeout(), None);
}

#[test]
fn damaged_and_empty_files_are_named_once_and_the_others_are_read() {
    let Some(journald) = journald("Storage=persistent") else { return };
    let folder = journald.persistent_folder();
    for number in 0..300_usize {
        journald.log("wanted", &number.to_string()).unwrap();
        if number % 100 == 99 {
            journald.rotate().unwrap();
        }
    }
    let mut archived = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let archived = archived.find(|path| path.to_str().unwrap().contains('@')).unwrap();
    fs::copy(&archived, folder.join("copy.journal")).unwrap();
    let half = folder.join("half.journal");
    let entries: Vec<_> = (0..100).map(|number| exported(number, BOOT, &[("SYSLOG_IDENTIFIER", "wanted")])).collect();
    write_journal(&half, &entries).unwrap();
    let whole = fs::read(&half).unwrap();
    let last_object = u64::from_le_bytes(*whole[136..].first_chunk().unwrap());
    fs::File::options().write(true).open(&half).unwrap().set_len(last_object - 8192).unwrap();
    fs::write(folder.join("text.journal"), "this is no journal at all\n".repeat(100)).unwrap();
    let empty = folder.join("empty.journal");
    fs::write(&empty, "").unwrap();

    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        let mut tail = open(&folder, &identifier("wanted"), since_ever());
        let mut lines = read(&mut tail);
        let from_half = lines.len() - 300;
        assert!((30..100).contains(&from_half), "{from_half}");
        assert_texts(&lines[from_half..], &numbers(0..300), "");
        // The empty one may be about to be created.
        assert_eq!(tail.timeout(), Some(Duration::from_secs(2)));
        assert_eq!(warnings.about("empty"), 0);
        let deadline = Instant::now() + DEADLINE;
        while tail.timeout().is_some() && Instant::now() < deadline {
            wait(&tail, DEADLINE);
            read(&mut tail);
        }
        journald.log("wanted", "300").unwrap();
        follow(&mut tail, &mut lines, |lines| lines.last().is_some_and(|line| line.text() == "300"));
        for name in ["half", "text", "empty"] {
            assert_eq!(warnings.about(name), 1, "{name}: {warnings:?}");
        }
        // Of a file and its copy either is read.
        assert_eq!(warnings.total(), 4, "{warnings:?}");
        // It was about to be created after all.
        let other = tempfile::tempdir_in(&folder).unwrap();
        write_journal(&other.path().join("a.journal"), &entries).unwrap();
        fs::write(&empty, fs::read(other.path().join("a.journal")).unwrap()).unwrap();
        follow(&mut tail, &mut lines, |lines| lines.len() == from_half + 301 + 100);
    });
}
