//! Files that are moved, deleted, truncated and replaced while they are followed.

use std::os::unix::fs::{FileExt, MetadataExt};

use super::*;

/// Whether this process has the deleted file open.
fn holds_deleted(name: &Path) -> bool {
    let target = format!("{} (deleted)", name.display());
    fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str().to_str() == Some(&target)))
}

#[test]
fn a_writer_that_is_late_to_switch_loses_no_line() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    let mut old = writer(&logs.log);
    old.write_all(b"1\n").unwrap();
    follower.expect(&["1"]);
    logs.rotate();
    old.write_all(b"2\n").unwrap();
    follower.expect(&["2"]);
    logs.write("new 1\n");
    follower.expect(&["new 1"]);
    old.write_all(b"3\nhalf").unwrap();
    follower.expect(&["3"]);
    logs.write("new 2\n");
    follower.expect(&["new 2"]);
    old.write_all(b" and half\n").unwrap();
    follower.expect(&["half and half"]);
}

#[test]
fn the_rest_of_a_file_comes_before_the_first_line_of_the_next() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    logs.write("1\n");
    follower.read();
    logs.write("2\n");
    logs.rotate();
    append(&logs.path("app.log.1"), "3\n");
    logs.write("4\n");
    let outcome = follower.read();
    assert_eq!(outcome, ReadOutcome { rotations: 1, ..ReadOutcome::default() });
    assert_eq!(follower.take(), ["1", "2", "3", "4"]);
}

#[test]
fn a_half_line_at_the_end_of_a_file_is_given_when_the_file_is_done_with_and_never_joined() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    logs.write("1\nhalf");
    follower.read();
    logs.rotate();
    logs.write("2\n");
    assert_eq!(follower.read_lines(), ["1", "2"]);
    assert!(follower.tail.timeout().unwrap() > Duration::from_secs(4));
    follower.later = QUIET;
    assert_eq!(follower.read_lines(), ["half<EndOfFile>"]);
    follower.assert_idle();
}

#[test]
fn a_file_that_its_writer_closed_is_done_with_sooner() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    let mut old = writer(&logs.log);
    old.write_all(b"1\n").unwrap();
    follower.expect(&["1"]);
    logs.rotate();
    logs.write("2\n");
    follower.expect(&["2"]);
    assert!(follower.tail.timeout().unwrap() > CLOSED);
    drop(old);
    follower.wait_until(|follower| follower.tail.timeout().is_none_or(|timeout| timeout <= CLOSED));
    // Another writer has it open still.
    append(&logs.path("app.log.1"), "3\n");
    follower.expect(&["3"]);
    follower.wait_until(|follower| follower.tail.predecessor.is_none());
    follower.assert_idle();
}

#[test]
fn a_moved_file_is_followed_without_end_while_its_successor_is_empty() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    let mut old = writer(&logs.log);
    old.write_all(b"1\n").unwrap();
    follower.expect(&["1"]);
    logs.rotate();
    drop(writer(&logs.log));
    follower.read();
    follower.later = Duration::from_hours(1);
    follower.assert_idle();
    old.write_all(b"2\n").unwrap();
    follower.expect(&["2"]);
    // The writer switches at last: from then on it is a matter of seconds.
    follower.later += Duration::from_hours(1);
    logs.write("3\n");
    follower.expect(&["3"]);
    let seconds_left = follower.tail.timeout_at(Instant::now() + follower.later).unwrap();
    assert!(seconds_left > QUIET / 2, "{seconds_left:?}");
    old.write_all(b"4\n").unwrap();
    follower.expect(&["4"]);
    follower.later += QUIET;
    follower.read();
    follower.assert_idle();
}

#[test]
fn generations_between_two_reads_are_read_oldest_first() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    logs.write("0\n");
    follower.read();
    for generation in 1..12 {
        logs.write(format!("last of {generation}\nhalf {generation}"));
        logs.rotate();
        logs.write(format!("first of {}\n", generation + 1));
    }
    let outcome = follower.read();
    assert_eq!(outcome, ReadOutcome { rotations: 11, ..ReadOutcome::default() });
    let mut expected = vec!["0".to_owned()];
    for generation in 1..12 {
        expected.push(format!("last of {generation}"));
        if generation > 1 {
            // The file before is done with once this one is.
            expected.insert(expected.len() - 2, format!("half {}<EndOfFile>", generation - 1));
        }
        expected.push(format!("first of {}", generation + 1));
    }
    let (mut got, mut all) = (follower.take(), expected);
    let of_lines =
        |lines: &[String]| lines.iter().filter(|line| !line.starts_with("half")).cloned().collect::<Vec<_>>();
    assert_eq!(of_lines(&got), of_lines(&all));
    got.sort();
    all.sort();
    assert_eq!(got, all);
    follower.later = QUIET;
    assert_eq!(follower.read_lines(), ["half 11<EndOfFile>"]);
}

#[test]
fn dated_generations_are_read_and_other_logs_beside_are_not() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    logs.write("1\n");
    follower.read();
    logs.tick();
    fs::rename(&logs.log, logs.path("app.log-20240131")).unwrap();
    logs.write("2\n");
    append(&logs.path("app.log-debug"), "not this\n");
    append(&logs.path("app.log-20240130.gz"), "not this\n");
    append(&logs.path("app2.log"), "not this\n");
    logs.tick();
    fs::rename(&logs.log, logs.path("app-20240201.log")).unwrap();
    logs.write("3\n");
    assert_eq!(follower.read_lines(), ["1", "2", "3"]);
}

#[test]
fn a_file_that_is_deleted_and_made_again_is_read_from_its_start() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    let mut old = writer(&logs.log);
    old.write_all(b"1\n").unwrap();
    follower.expect(&["1"]);
    old.write_all(b"2\n").unwrap();
    fs::remove_file(&logs.log).unwrap();
    old.write_all(b"3\n").unwrap();
    follower.expect(&["2", "3"]);
    assert_eq!(follower.tail.state(), FileState::Missing);
    old.write_all(b"4\nhalf").unwrap();
    follower.expect(&["4"]);
    logs.write("5\n");
    follower.expect(&["5"]);
    assert_eq!(follower.tail.state(), FileState::Following);
    follower.later = QUIET;
    drop(old);
    assert_eq!(follower.read_lines(), ["half<EndOfFile>"]);
    assert!(!holds_deleted(&logs.log));
}

#[test]
fn a_deleted_file_is_let_go_after_a_minute_without_a_successor() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    let mut old = writer(&logs.log);
    old.write_all(b"1\nhalf").unwrap();
    follower.expect(&["1"]);
    // However long it was quiet before.
    follower.later = Duration::from_hours(1);
    fs::remove_file(&logs.log).unwrap();
    follower.read();
    assert!(follower.tail.current.is_some());
    assert!(follower.tail.timeout().is_some_and(|timeout| timeout > QUIET));
    follower.later += DELETED;
    assert_eq!(follower.read_lines(), ["half<EndOfFile>"]);
    assert!(follower.tail.current.is_none());
    follower.assert_idle();
    old.write_all(b"too late\n").unwrap();
    assert!(!follower.is_woken(Duration::ZERO));
    drop(old);
    assert!(!holds_deleted(&logs.log));
    logs.tick();
    logs.write("2\n");
    logs.rotate();
    logs.write("3\n");
    follower.expect(&["2", "3"]);
}

#[test]
fn a_moved_file_that_is_deleted_is_let_go_after_a_minute_though_its_successor_is_empty() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    logs.write("1\nhalf");
    follower.expect(&["1"]);
    // To where nothing else tells of its end.
    let old = logs.path("old/app.log.1");
    fs::create_dir(logs.path("old")).unwrap();
    fs::rename(&logs.log, &old).unwrap();
    drop(writer(&logs.log));
    follower.read();
    follower.later = Duration::from_hours(1);
    follower.assert_idle();
    fs::remove_file(&old).unwrap();
    follower.wait_until(|follower| follower.tail.timeout().is_some());
    follower.read();
    assert!(holds_deleted(&old));
    follower.later += DELETED;
    assert_eq!(follower.read_lines(), ["half<EndOfFile>"]);
    assert!(!holds_deleted(&old));
    follower.assert_idle();
}

#[test]
fn old_generations_are_not_read_when_the_file_is_made_again() {
    let logs = Logs::new();
    for generation in 1..4 {
        logs.write(format!("old {generation}\n"));
        logs.rotate();
    }
    logs.write("1\n");
    let mut follower = logs.follow();
    assert_eq!(follower.read_lines(), ["1"]);
    logs.tick();
    fs::remove_file(&logs.log).unwrap();
    logs.write("2\n");
    assert_eq!(follower.read_lines(), ["2"]);
}

#[test]
fn a_copy_that_is_made_after_the_rotation_is_not_read() {
    let logs = Logs::new();
    logs.write("1\n");
    let mut follower = logs.follow();
    assert_eq!(follower.read_lines(), ["1"]);
    logs.rotate();
    logs.write("2\n");
    logs.tick();
    fs::copy(&logs.log, logs.path("app.log.bak")).unwrap();
    assert_eq!(follower.read_lines(), ["2"]);
}

#[test]
fn copies_that_copytruncate_made_are_not_read_when_the_file_is_replaced() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    for round in 1..4 {
        logs.write(format!("{round}\n"));
        follower.read();
        logs.copy_truncate();
    }
    logs.write("4\n");
    assert_eq!(follower.read_lines(), ["1", "2", "3", "4"]);
    logs.tick();
    fs::remove_file(&logs.log).unwrap();
    logs.write("5\n");
    assert_eq!(follower.read_lines(), ["5"]);
}

#[test]
fn an_empty_copy_does_not_open_the_way_to_the_copies_after_it() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    drop(writer(&logs.log));
    follower.read();
    logs.copy_truncate();
    logs.write("1\n");
    follower.read();
    logs.copy_truncate();
    logs.rotate();
    logs.write("2\n");
    assert_eq!(follower.read_lines(), ["1", "2"]);
}

#[test]
fn only_a_copy_of_what_was_read_is_read_when_a_file_is_truncated() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    let banner = "a banner as some logs have it".repeat(10);
    logs.write(format!("{banner}\n1\n2\n3\n"));
    assert_eq!(follower.read_lines(), [&banner, "1", "2", "3"]);
    logs.copy_truncate();
    logs.write(format!("{banner}\n4\n"));
    assert_eq!(follower.read_lines(), [&banner, "4"]);
    logs.tick();
    // Older than what was read: its copy of the round before. Younger, but something else.
    append(&logs.path("app.log.old"), format!("something else {banner}\n5\n6\n"));
    fs::write(&logs.log, "7\n").unwrap();
    assert_eq!(follower.read(), ReadOutcome { truncations: 1, ..ReadOutcome::default() });
    assert_eq!(follower.take(), ["7"]);
}

#[test]
fn a_truncated_file_is_read_from_its_start() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    logs.write("1, a long line\n");
    follower.expect(&["1, a long line"]);
    logs.copy_truncate();
    logs.write("2\n");
    let outcome = follower.read();
    assert_eq!(outcome, ReadOutcome { truncations: 1, ..ReadOutcome::default() });
    assert_eq!(follower.take(), ["2"]);
    logs.write("3\n");
    follower.expect(&["3"]);
    follower.assert_idle();
}

#[test]
fn a_file_that_was_truncated_and_filled_again_to_any_size_is_read_from_its_start() {
    for lines in 1..12 {
        let logs = Logs::new();
        let mut follower = logs.follow();
        logs.write("1\n2\n3\n");
        assert_eq!(follower.read_lines(), ["1", "2", "3"]);
        logs.copy_truncate();
        for line in 0..lines {
            logs.write(format!("{}\n", line + 4));
        }
        assert_eq!(follower.read_lines(), (0..lines).map(|line| (line + 4).to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn what_was_not_read_before_copytruncate_is_read_from_the_copy() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    logs.write("1\n");
    follower.expect(&["1"]);
    logs.write("2\n3\nhalf");
    logs.copy_truncate();
    logs.write("4\n");
    assert_eq!(follower.read_lines(), ["2", "3", "4"]);
    assert!(follower.tail.timeout().is_some_and(|timeout| timeout <= CLOSED));
    follower.later = CLOSED;
    assert_eq!(follower.read_lines(), ["half<EndOfFile>"]);
    follower.assert_idle();
}

#[test]
fn a_writer_that_does_not_append_leaves_a_gap_that_is_no_text() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    let file = File::create(&logs.log).unwrap();
    file.write_all_at(b"one line\n", 0).unwrap();
    follower.expect(&["one line"]);
    logs.copy_truncate();
    file.write_all_at(b"behind the gap\n", 9).unwrap();
    follower.expect(&["behind the gap"]);
    file.write_all_at(b"and so on\n", 24).unwrap();
    follower.expect(&["and so on"]);
}

#[test]
fn a_rotation_that_is_taken_back_repeats_nothing() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    logs.write("1\n");
    follower.expect(&["1"]);
    logs.rotate();
    logs.write("new\n");
    follower.expect(&["new"]);
    fs::rename(logs.path("app.log.1"), &logs.log).unwrap();
    logs.write("2\n");
    follower.expect(&["2"]);
}

#[test]
fn the_switch_of_a_symlink_is_followed() {
    let logs = Logs::new();
    let (zero, one) = (logs.path("0.log"), logs.path("1.log"));
    append(&zero, "0\n");
    symlink("0.log", &logs.log).unwrap();
    let mut follower = logs.follow();
    follower.expect(&["0"]);
    append(&zero, "1\n");
    follower.expect(&["1"]);
    append(&one, "2\n");
    symlink("1.log", logs.path("next")).unwrap();
    fs::rename(logs.path("next"), &logs.log).unwrap();
    follower.expect(&["2"]);
    append(&zero, "late\n");
    follower.expect(&["late"]);
    append(&one, "3\n");
    follower.expect(&["3"]);
    // Rotation behind the symlink, as kubelet does it.
    logs.tick();
    fs::rename(&one, logs.path("1.log.20240131-100000")).unwrap();
    append(&one, "4\n");
    follower.expect(&["4"]);
}

#[test]
fn a_generation_behind_a_symlink_that_was_switched_is_read() {
    let logs = Logs::new();
    fs::create_dir(logs.path("old")).unwrap();
    fs::create_dir(logs.path("new")).unwrap();
    append(&logs.path("old/0.log"), "1\n");
    symlink("old/0.log", &logs.log).unwrap();
    let mut follower = logs.follow();
    follower.expect(&["1"]);
    logs.tick();
    fs::rename(logs.path("old/0.log"), logs.path("old/0.log.20240131-100000")).unwrap();
    append(&logs.path("old/0.log"), "2\n");
    logs.tick();
    append(&logs.path("new/1.log"), "3\n");
    symlink("new/1.log", logs.path("next")).unwrap();
    fs::rename(logs.path("next"), &logs.log).unwrap();
    assert_eq!(follower.read_lines(), ["2", "3"]);
}

#[test]
fn the_swap_of_a_folder_behind_a_symlink_is_followed() {
    let logs = Logs::new();
    for round in 0..3 {
        fs::create_dir_all(logs.path(&format!("volume/..{round}"))).unwrap();
        append(&logs.path(&format!("volume/..{round}/app.log")), format!("{round}\n"));
    }
    symlink("..0", logs.path("volume/..data")).unwrap();
    symlink("..data/app.log", logs.path("volume/app.log")).unwrap();
    symlink(logs.path("volume"), logs.path("link")).unwrap();
    let mut follower = Follower::new(&logs.path("link/app.log"), None);
    follower.expect(&["0"]);
    for round in 1..3 {
        symlink(format!("..{round}"), logs.path("volume/..data_tmp")).unwrap();
        fs::rename(logs.path("volume/..data_tmp"), logs.path("volume/..data")).unwrap();
        fs::remove_dir_all(logs.path(&format!("volume/..{}", round - 1))).unwrap();
        follower.expect(&[&round.to_string()]);
        append(&logs.path("volume/app.log"), "more\n");
        follower.expect(&["more"]);
    }
    // And of the symlink to the folder above.
    fs::create_dir(logs.path("other")).unwrap();
    append(&logs.path("other/app.log"), "other\n");
    symlink("other", logs.path("next")).unwrap();
    fs::rename(logs.path("next"), logs.path("link")).unwrap();
    follower.expect(&["other"]);
}

#[test]
fn a_folder_that_is_moved_away_and_made_again_is_followed() {
    let logs = Logs::new();
    fs::create_dir_all(logs.path("a/b")).unwrap();
    append(&logs.path("a/b/app.log"), "1\n");
    let mut follower = Follower::new(&logs.path("a/b/app.log"), None);
    follower.expect(&["1"]);
    fs::rename(logs.path("a"), logs.path("old")).unwrap();
    append(&logs.path("old/b/app.log"), "2\n");
    follower.expect(&["2"]);
    fs::create_dir_all(logs.path("a/b")).unwrap();
    append(&logs.path("a/b/app.log"), "3\n");
    follower.expect(&["3"]);
    fs::remove_dir_all(logs.path("a")).unwrap();
    fs::create_dir_all(logs.path("a/b")).unwrap();
    append(&logs.path("a/b/app.log"), "4\n");
    follower.expect(&["4"]);
}

#[test]
fn a_file_that_cannot_be_opened_does_not_stop_the_one_before() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    let mut old = writer(&logs.log);
    old.write_all(b"1\n").unwrap();
    follower.expect(&["1"]);
    logs.rotate();
    fs::create_dir(&logs.log).unwrap();
    old.write_all(b"2\n").unwrap();
    assert!(matches!(follower.try_read(), Err(FileTailError::NotRegular { .. })));
    assert_eq!(follower.take(), ["2"]);
    fs::remove_dir(&logs.log).unwrap();
    logs.write("3\n");
    follower.expect(&["3"]);
}

#[test]
fn the_inode_of_a_file_that_is_followed_is_not_reused() {
    let logs = Logs::new();
    logs.write("1\n");
    let inode = fs::metadata(&logs.log).unwrap().ino();
    let mut follower = logs.follow();
    follower.expect(&["1"]);
    for round in 0..20 {
        fs::remove_file(&logs.log).unwrap();
        logs.write(format!("{round}\n"));
        assert!(round > 0 || fs::metadata(&logs.log).unwrap().ino() != inode);
        follower.expect(&[&round.to_string()]);
    }
}

#[test]
fn nothing_is_lost_or_repeated_while_a_writer_rotates_and_is_read_at_once() {
    const FILES: usize = 40;
    const LINES: usize = 500;
    let logs = Logs::new();
    let mut follower = logs.follow();
    drop(writer(&logs.log));
    follower.read();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for file in 0..FILES {
                let mut out = writer(&logs.log);
                for line in 0..LINES {
                    out.write_all(format!("{file} {line}\n").as_bytes()).unwrap();
                    if line == LINES / 2 && file + 1 < FILES {
                        // The other half goes into the moved file, while its successor is there or not yet.
                        logs.rotate();
                    }
                }
            }
        });
        follower.wait_until(|follower| follower.lines.len() >= FILES * LINES);
    });
    follower.read();
    let mut got = follower.take();
    let key = |line: &String| line.split_once(' ').unwrap().0.parse::<usize>().unwrap();
    got.sort_by_key(key);
    let all = (0..FILES).flat_map(|file| (0..LINES).map(move |line| format!("{file} {line}")));
    assert!(got.into_iter().eq(all));
}
