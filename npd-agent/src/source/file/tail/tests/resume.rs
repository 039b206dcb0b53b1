//! Going on where an earlier run of the agent stood.

use std::os::unix::fs::MetadataExt;

use super::*;

const FINE: ReadOutcome = ReadOutcome { more: false, rotations: 0, truncations: 0, lost: false };

/// A log of which `1` and `2` are read.
fn begun() -> (Logs, Follower) {
    let logs = Logs::new();
    logs.write("1\n2\n");
    let mut follower = logs.follow();
    assert_eq!(follower.read_lines(), ["1", "2"]);
    (logs, follower)
}

#[test]
fn goes_on_in_the_same_file() {
    let (logs, mut follower) = begun();
    logs.write("3\n");
    follower = follower.restart();
    assert_eq!(follower.read(), FINE);
    assert_eq!(follower.take(), ["3"]);
}

#[test]
fn a_position_survives_a_restart_before_anything_was_read() {
    let (logs, mut follower) = begun();
    let position = follower.tail.position();
    follower = follower.restart().restart();
    assert_eq!(follower.tail.position(), position);
    fs::rename(&logs.log, logs.path("elsewhere")).unwrap();
    fs::create_dir(&logs.log).unwrap();
    assert!(follower.try_read().is_err());
    follower = follower.restart();
    assert_eq!(follower.tail.position(), position);
    fs::remove_dir(&logs.log).unwrap();
    fs::rename(logs.path("elsewhere"), &logs.log).unwrap();
    logs.write("3\n");
    assert_eq!(follower.read_lines(), ["3"]);
}

#[test]
fn finishes_the_file_that_was_moved_away_and_reads_the_newer_ones_in_order() {
    let (logs, mut follower) = begun();
    for line in 3..7 {
        logs.write(format!("{line}\n"));
        logs.rotate();
    }
    logs.write("7\n");
    follower = follower.restart();
    assert_eq!(follower.read(), ReadOutcome { rotations: 4, ..FINE });
    assert_eq!(follower.take(), ["3", "4", "5", "6", "7"]);
}

#[test]
fn each_line_of_a_chain_of_generations_is_a_place_to_go_on() {
    let (logs, mut follower) = begun();
    for line in 3..7 {
        logs.write(format!("{line}a\n{line}b\n"));
        logs.rotate();
    }
    logs.write("7\n");
    let mut lines = Vec::new();
    loop {
        let mut position = None;
        let more = follower
            .tail
            .read(&mut |line| {
                lines.push(show(line));
                position = Some(line.position());
                ControlFlow::Break(())
            })
            .unwrap()
            .more;
        if let Some(position) = position {
            follower = follower.restart_from(position);
        }
        if !more {
            break;
        }
    }
    assert_eq!(lines, ["3a", "3b", "4a", "4b", "5a", "5b", "6a", "6b", "7"]);
}

#[test]
fn finishes_the_file_that_was_moved_away_while_nothing_is_at_the_path() {
    let (logs, mut follower) = begun();
    logs.write("3\n");
    logs.rotate();
    follower = follower.restart();
    assert_eq!(follower.read(), FINE);
    assert_eq!(follower.take(), ["3"]);
    assert_eq!(follower.tail.state(), FileState::Missing);
    append(&logs.path("app.log.1"), "4\n");
    follower.expect(&["4"]);
    logs.write("5\n");
    follower.expect(&["5"]);
}

#[test]
fn a_file_that_is_gone_is_said_and_the_current_one_is_read_from_its_start() {
    let (logs, mut follower) = begun();
    fs::remove_file(&logs.log).unwrap();
    logs.write("other 1\nother 2\n");
    follower = follower.restart();
    assert_eq!(follower.read(), ReadOutcome { lost: true, ..FINE });
    assert_eq!(follower.take(), ["other 1", "other 2"]);
}

#[test]
fn generations_after_one_that_is_gone_are_read() {
    let (logs, mut follower) = begun();
    logs.rotate();
    logs.write("4\n");
    logs.rotate();
    logs.write("5\n");
    fs::remove_file(logs.path("app.log.2")).unwrap();
    follower = follower.restart();
    assert_eq!(follower.read(), ReadOutcome { lost: true, rotations: 1, ..FINE });
    assert_eq!(follower.take(), ["4", "5"]);
}

#[test]
fn a_generation_that_was_compressed_before_it_was_read_is_said_to_be_lost() {
    let (logs, mut follower) = begun();
    logs.write("3\n");
    logs.rotate();
    let text = fs::read(logs.path("app.log.1")).unwrap();
    fs::write(logs.path("app.log.1.gz"), text).unwrap();
    fs::remove_file(logs.path("app.log.1")).unwrap();
    logs.write("4\n");
    follower = follower.restart();
    assert_eq!(follower.read(), ReadOutcome { lost: true, ..FINE });
    assert_eq!(follower.take(), ["4"]);
}

#[test]
fn a_reused_inode_is_another_file() {
    for known_birth in [true, false] {
        let (logs, follower) = begun();
        let mut position = follower.tail.position();
        drop(follower);
        fs::remove_file(&logs.log).unwrap();
        logs.tick();
        logs.write("9\n8\n7\n");
        // ext4 hands out the same number at once; elsewhere it is made up.
        let mark = position.file.as_mut().unwrap();
        mark.inode = fs::metadata(&logs.log).unwrap().ino();
        if !known_birth {
            mark.born = 0;
        }
        let mut follower = Follower::new(&logs.log, Some(position));
        assert!(follower.read().lost);
        assert_eq!(follower.take(), ["9", "8", "7"]);
    }
}

#[test]
fn a_file_without_a_time_of_birth_is_known_by_inode_and_content() {
    let (logs, follower) = begun();
    let mut position = follower.tail.position();
    drop(follower);
    position.file.as_mut().unwrap().born = 0;
    logs.write("3\n");
    logs.rotate();
    logs.write("4\n");
    let mut follower = Follower::new(&logs.log, Some(position));
    assert_eq!(follower.read(), ReadOutcome { rotations: 1, ..FINE });
    assert_eq!(follower.take(), ["3", "4"]);
}

#[test]
fn a_foreign_file_with_the_inode_is_not_read() {
    let (logs, follower) = begun();
    let mut position = follower.tail.position();
    drop(follower);
    fs::remove_file(&logs.log).unwrap();
    append(&logs.path("other.txt"), "not this\n");
    let mark = position.file.as_mut().unwrap();
    mark.inode = fs::metadata(logs.path("other.txt")).unwrap().ino();
    mark.born = 0;
    logs.write("3\n");
    let mut follower = Follower::new(&logs.log, Some(position));
    assert_eq!(follower.read(), ReadOutcome { lost: true, ..FINE });
    assert_eq!(follower.take(), ["3"]);
}

#[test]
fn a_rotation_that_was_taken_back_meanwhile_repeats_nothing() {
    let (logs, mut follower) = begun();
    logs.rotate();
    logs.write("new\n");
    assert_eq!(follower.read_lines(), ["new"]);
    fs::rename(logs.path("app.log.1"), &logs.log).unwrap();
    logs.write("3\n");
    follower = follower.restart();
    assert_eq!(follower.read(), ReadOutcome { lost: true, ..FINE });
    assert_eq!(follower.take(), ["3"]);
}

#[test]
fn a_file_truncated_meanwhile_is_read_from_its_start_after_the_rest_of_its_copy() {
    let (logs, mut follower) = begun();
    logs.write("3\n");
    logs.copy_truncate();
    logs.write("4\n5\n6\n7\n");
    follower = follower.restart();
    assert_eq!(follower.read(), ReadOutcome { truncations: 1, ..FINE });
    assert_eq!(follower.take(), ["3", "4", "5", "6", "7"]);
}

#[test]
fn a_file_truncated_meanwhile_without_a_copy_is_said_to_have_lost_lines() {
    let (logs, mut follower) = begun();
    fs::write(&logs.log, "3\n4\n5\n").unwrap();
    follower = follower.restart();
    assert_eq!(follower.read(), ReadOutcome { truncations: 1, lost: true, ..FINE });
    assert_eq!(follower.take(), ["3", "4", "5"]);
}

#[test]
fn a_file_truncated_and_then_moved_away_meanwhile_is_read_whole() {
    let (logs, mut follower) = begun();
    logs.write("3\n");
    logs.copy_truncate();
    logs.write("4\n");
    logs.rotate();
    logs.write("5\n");
    follower = follower.restart();
    assert_eq!(follower.read(), ReadOutcome { truncations: 1, rotations: 1, ..FINE });
    assert_eq!(follower.take(), ["3", "4", "5"]);
}

#[test]
fn a_place_in_the_middle_of_a_line_is_not_gone_on_from() {
    let (logs, follower) = begun();
    let mut position = follower.tail.position();
    drop(follower);
    logs.write("3\n");
    position.file.as_mut().unwrap().offset -= 1;
    let mut follower = Follower::new(&logs.log, Some(position));
    assert!(follower.read().lost);
    assert_eq!(follower.take(), ["1", "2", "3"]);
}

#[test]
fn a_predecessor_that_may_still_be_written_to_is_followed_on() {
    let (logs, mut follower) = begun();
    let mut old = writer(&logs.log);
    logs.rotate();
    logs.write("new 1\n");
    old.write_all(b"3\nha").unwrap();
    assert_eq!(follower.read_lines(), ["3", "new 1"]);
    old.write_all(b"lf\n4\n").unwrap();
    logs.write("new 2\n");
    follower = follower.restart();
    assert_eq!(follower.read(), FINE);
    assert_eq!(follower.take(), ["half", "4", "new 2"]);
    old.write_all(b"5\n").unwrap();
    follower.expect(&["5"]);
    old.write_all(b"rest").unwrap();
    follower = follower.restart();
    follower.read();
    follower.later = QUIET;
    assert_eq!(follower.read_lines(), ["rest<EndOfFile>"]);
    follower = follower.restart();
    assert_eq!(follower.read(), FINE);
    assert_eq!(follower.take(), [""; 0]);
    follower.assert_idle();
}

#[test]
fn behind_the_half_line_at_the_end_of_a_file_is_a_place_to_go_on() {
    let (logs, mut follower) = begun();
    logs.write("half");
    logs.rotate();
    logs.write("3\n");
    assert_eq!(follower.read_lines(), ["3"]);
    let mut position = None;
    let take = &mut |line: &Line<'_>| {
        position = Some((line.ending, line.position()));
        ControlFlow::Break(())
    };
    follower.tail.read_at(Instant::now() + QUIET, take).unwrap();
    let Some((Ending::EndOfFile, position)) = position else { panic!("{position:?}") };
    logs.write("4\n");
    follower = follower.restart_from(position);
    assert_eq!(follower.read(), FINE);
    follower.later = QUIET;
    assert_eq!(follower.read_lines(), ["4"]);
}

#[test]
fn a_position_of_another_machine_does_no_harm() {
    let (_elsewhere, follower) = begun();
    let position = follower.tail.position();
    let logs = Logs::new();
    let mut follower = Follower::new(&logs.log, Some(position));
    assert_eq!(follower.read(), FINE);
    logs.write("1\n");
    follower.wait_until(|follower| !follower.lines.is_empty());
    assert_eq!(follower.take(), ["1"]);
}
