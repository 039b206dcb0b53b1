use proptest::prelude::*;
use std::os::unix::fs::FileExt as _;

use super::*;
use crate::{node::Node, record::Place};

fn dir() -> (tempfile::TempDir, StateDir) {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(&folder.path().join("npd"), &Node::default()).unwrap();
    (folder, dir)
}

fn at(seq: u64) -> Option<Position> {
    Place::Kernel(seq).position()
}

fn save(file: &mut StateFile, seq: u64, confirmed: bool) {
    let time = Timestamp::from_unix_nanos(seq.cast_signed());
    file.save(&Keep { position: at(seq), doubt: None, at: time, state: &seq }, confirmed).unwrap();
}

fn load(dir: &StateDir, name: &str) -> Option<(u64, Option<Position>)> {
    let kept: Kept<u64> = dir.file(name).unwrap().load().unwrap()?;
    assert_eq!(kept.position, at(kept.state));
    Some((kept.state, kept.doubt))
}

#[test]
fn what_was_saved_last_is_loaded() {
    let (_folder, dir) = dir();
    assert_eq!(load(&dir, "a"), None);
    let mut file = dir.file("a").unwrap();
    for seq in 1..5 {
        save(&mut file, seq, true);
        assert_eq!(load(&dir, "a"), Some((seq, None)));
    }
    assert_eq!(load(&dir, "b"), None);
}

#[test]
fn an_unconfirmed_state_leaves_the_one_before_and_says_what_is_in_doubt() {
    let (_folder, dir) = dir();
    let mut file = dir.file("a").unwrap();
    save(&mut file, 1, true);
    save(&mut file, 2, false);
    assert_eq!(load(&dir, "a"), Some((1, at(2))));
    file.confirm().unwrap();
    assert_eq!(load(&dir, "a"), Some((2, None)));

    save(&mut file, 3, false);
    let mut file = dir.file("a").unwrap();
    assert_eq!(file.load::<u64>().unwrap().unwrap().state, 2);
    save(&mut file, 4, false);
    assert_eq!(load(&dir, "a"), Some((2, at(4))), "the confirmed one was not overwritten");
}

#[test]
fn a_doubt_that_is_not_resolved_stays() {
    let (_folder, dir) = dir();
    let keep = Keep { position: at(1), doubt: at(2), at: Timestamp::default(), state: &1_u64 };
    dir.file("a").unwrap().save(&keep, true).unwrap();
    assert_eq!(load(&dir, "a"), Some((1, at(2))));
}

#[test]
fn a_write_that_was_torn_leaves_the_one_before() {
    let (folder, dir) = dir();
    let mut file = dir.file("a").unwrap();
    save(&mut file, 1, true);
    save(&mut file, 2, true);
    let raw = fs::OpenOptions::new().write(true).open(folder.path().join("npd/a.state")).unwrap();
    // The second value went to the second slot.
    raw.write_all_at(b"?", 4096 + (4 << 20) + 40).unwrap();
    assert_eq!(load(&dir, "a"), Some((1, None)));
    raw.write_all_at(b"?", 4096 + 40).unwrap();
    let error = dir.file("a").unwrap().load::<u64>().unwrap_err().to_string();
    assert!(error.ends_with("a.state is damaged: it is ignored"), "{error}");
}

#[test]
fn a_foreign_file_is_an_error_and_then_replaced() {
    let (folder, dir) = dir();
    fs::write(folder.path().join("npd/a.state"), "npd state 2\n and more of it").unwrap();
    let mut file = dir.file("a").unwrap();
    let error = file.load::<u64>().unwrap_err().to_string();
    assert!(error.ends_with("was not written by npd, or by another version of it: it is ignored"), "{error}");
    save(&mut file, 7, true);
    assert_eq!(load(&dir, "a"), Some((7, None)));
}

/// Writes a slot as npd did before it had CRC-32: the checksum is FNV-1a, and its kind is not said.
fn write_old_slot(file: &File, at: u64, generation: u8, confirmed: u8, checksum: u64, value: &str) {
    let mut header = [0; 32];
    header[0] = generation;
    header[8] = u8::try_from(value.len()).unwrap();
    header[12] = confirmed;
    header[16..24].copy_from_slice(&checksum.to_le_bytes());
    file.write_all_at(&header, at).unwrap();
    file.write_all_at(value.as_bytes(), at + 32).unwrap();
}

#[test]
fn a_file_of_an_agent_with_the_old_checksum_is_continued() {
    let (folder, dir) = dir();
    let raw = File::create(folder.path().join("npd/a.state")).unwrap();
    raw.write_all_at(b"npd state 1\n\0\0\0\0", 0).unwrap();
    let seven = r#"{"boot":"b","position":{"kernel":7},"at":"2026-11-24T10:00:00Z","state":7}"#;
    write_old_slot(&raw, 4096, 1, 1, 0x0ad1_621e_b383_31a1, seven);
    assert_eq!(load(&dir, "a"), Some((7, None)));
    // An unconfirmed one, as an agent leaves it that is killed while it reports.
    let eight = r#"{"boot":"b","position":{"kernel":8},"at":"2026-11-24T10:00:00Z","state":8}"#;
    write_old_slot(&raw, 4096 + (4 << 20), 2, 0, 0x4dcb_e6c6_c931_09e8, eight);
    assert_eq!(load(&dir, "a"), Some((7, at(8))));

    let mut file = dir.file("a").unwrap();
    file.load::<u64>().unwrap();
    save(&mut file, 9, false);
    assert_eq!(load(&dir, "a"), Some((7, at(9))), "the old value stays until the new one is confirmed");
    file.confirm().unwrap();
    assert_eq!(load(&dir, "a"), Some((9, None)));
    save(&mut file, 10, true);
    assert_eq!(load(&dir, "a"), Some((10, None)));

    // The old checksum, too, detects a torn write.
    write_old_slot(&raw, 4096, 20, 1, 0x0ad1_621e_b383_31a1, seven);
    write_old_slot(&raw, 4096 + (4 << 20), 2, 1, 0x4dcb_e6c6_c931_09e8, eight);
    assert_eq!(load(&dir, "a"), Some((8, None)));
}

#[test]
fn a_state_of_another_boot_says_so() {
    let (_folder, mut dir) = dir();
    save(&mut dir.file("a").unwrap(), 1, true);
    assert!(!dir.file("a").unwrap().load::<u64>().unwrap().unwrap().before_boot);
    dir.boot = "another".into();
    assert!(dir.file("a").unwrap().load::<u64>().unwrap().unwrap().before_boot);
}

#[test]
fn a_folder_is_for_one_agent() {
    let (folder, _dir) = dir();
    let error = StateDir::open(&folder.path().join("npd"), &Node::default()).unwrap_err();
    assert!(matches!(error, StateError::InUse(_)), "{error}");
}

#[test]
fn every_name_is_a_file_of_its_own() {
    let long = "x/".repeat(3000);
    let names = ["/etc/npd/a.json", "etc/npd/a.json", "..", "a%2Fb", "a/b", &long, &long[2..]];
    let mut files: Vec<_> = names.iter().map(|name| file_name(name)).collect();
    assert!(files.iter().all(|name| name.len() < 255 && !name.contains('/')), "{files:?}");
    files.sort();
    files.dedup();
    assert_eq!(files.len(), names.len());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), start in any::<bool>(), place in 0_u64..4200) {
        let (folder, dir) = dir();
        let path = folder.path().join("npd/a.state");
        if start {
            save(&mut dir.file("a").unwrap(), 1, true);
        }
        let raw = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
        raw.write_all_at(&bytes, if start { place } else { 0 }).unwrap();
        let mut file = dir.file("a").unwrap();
        if let Ok(Some(kept)) = file.load::<u64>() {
            prop_assert_eq!(kept.state, 1, "nothing but what was written");
        }
        save(&mut file, 2, true);
        prop_assert_eq!(load(&dir, "a"), Some((2, None)));
    }

    /// A crash can come between any two writes.
    #[test]
    fn the_newest_confirmed_state_is_never_lost(steps in proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 0..30)) {
        let (_folder, dir) = dir();
        let mut file = dir.file("a").unwrap();
        let mut confirmed = None;
        for (seq, (in_two_steps, finish, restart)) in (1..).zip(steps) {
            save(&mut file, seq, !in_two_steps);
            if in_two_steps && !finish {
                if let Some(confirmed) = confirmed {
                    prop_assert_eq!(load(&dir, "a"), Some((confirmed, at(seq))));
                }
                // Killed here.
                file = dir.file("a").unwrap();
                file.load::<u64>().unwrap();
                continue;
            }
            if in_two_steps {
                file.confirm().unwrap();
            }
            confirmed = Some(seq);
            prop_assert_eq!(load(&dir, "a"), Some((seq, None)));
            if restart {
                file = dir.file("a").unwrap();
                file.load::<u64>().unwrap();
            }
        }
    }
}

#[test]
fn a_state_that_cannot_be_written_is_no_end_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path(), &Node::default()).unwrap();
    let mut file = dir.file("a").unwrap();
    let keep = |state| Keep { position: None, doubt: None, at: Timestamp::default(), state };
    let (large, small) = ("x".repeat(two_slot_file::VALUE_MAX), "x".to_owned());
    assert!(!file.save_or_warn(&keep(&large), true));
    assert!(!file.save_or_warn(&keep(&large), true));
    assert!(file.save_or_warn(&keep(&small), true));
    assert_eq!(file.load::<String>().unwrap().unwrap().state, small);
}

#[test]
fn a_proc_that_shows_no_boot_id_does_not_cost_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node { proc: "/nonexistent".into(), ..Node::default() };
    let dir = StateDir::open(&folder.path().join("npd"), &node).unwrap();
    assert_eq!(dir.boot, Node::default().boot_id().unwrap());
}
