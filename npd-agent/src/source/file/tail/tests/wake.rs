//! What wakes the reader, and that nothing else does.

use std::{os::fd::AsRawFd, process::Command};

use rustix::{
    fs::Mode,
    process::{Uid, geteuid},
};

use super::*;

#[test]
fn a_file_is_read_as_soon_as_it_appears() {
    let logs = Logs::new();
    let mut follower = logs.follow();
    follower.read();
    assert_eq!(follower.tail.state(), FileState::Missing);
    follower.assert_idle();
    logs.write("1\n");
    follower.expect(&["1"]);
    assert_eq!(follower.tail.state(), FileState::Following);
    logs.write("2\n");
    follower.expect(&["2"]);
    follower.assert_idle();
}

#[test]
fn a_file_is_read_as_soon_as_its_folders_appear() {
    let logs = Logs::new();
    let path = logs.path("a/b/c/app.log");
    let mut follower = Follower::new(&path, None);
    follower.read();
    follower.assert_idle();
    fs::create_dir(logs.path("a")).unwrap();
    follower.wait_until(|follower| !follower.is_woken(Duration::ZERO));
    follower.assert_idle();
    fs::create_dir_all(logs.path("d/c")).unwrap();
    append(&logs.path("d/c/app.log"), "1\n");
    fs::rename(logs.path("d"), logs.path("a/b")).unwrap();
    follower.expect(&["1"]);
}

#[test]
fn a_dangling_symlink_is_waited_for() {
    let logs = Logs::new();
    symlink("there/file.log", &logs.log).unwrap();
    let mut follower = logs.follow();
    follower.read();
    follower.assert_idle();
    fs::create_dir(logs.path("there")).unwrap();
    append(&logs.path("there/file.log"), "1\n");
    follower.expect(&["1"]);
}

#[test]
fn a_symlink_to_itself_is_waited_out() {
    let logs = Logs::new();
    symlink("app.log", &logs.log).unwrap();
    let mut follower = logs.follow();
    assert!(matches!(follower.try_read(), Err(FileTailError::Open { .. })));
    fs::remove_file(&logs.log).unwrap();
    logs.write("1\n");
    follower.expect(&["1"]);
}

#[test]
fn what_goes_on_above_the_folder_wakes_nobody() {
    let logs = Logs::new();
    fs::create_dir_all(logs.path("a/b")).unwrap();
    append(&logs.path("a/b/app.log"), "1\n");
    let mut follower = Follower::new(&logs.path("a/b/app.log"), None);
    follower.expect(&["1"]);
    follower.assert_idle();
    append(&logs.path("other"), "x\n");
    append(&logs.path("a/other"), "x\n");
    fs::remove_file(logs.path("a/other")).unwrap();
    assert!(!follower.is_woken(Duration::ZERO));
}

#[test]
fn what_goes_on_beside_the_file_does_not_make_it_look_anew() {
    let logs = Logs::new();
    logs.write("1\n");
    let mut follower = logs.follow();
    follower.expect(&["1"]);
    follower.assert_idle();
    append(&logs.path("other"), "x\n");
    assert_eq!(follower.tail.watch.drain(None), super::super::watch::Seen::default());
    logs.rotate();
    assert!(follower.tail.watch.drain(None).path);
}

#[test]
fn rotations_leave_no_watches_behind() {
    let watches = |follower: &Follower| {
        let info = format!("/proc/self/fdinfo/{}", follower.tail.as_fd().as_raw_fd());
        fs::read_to_string(info).unwrap().lines().filter(|line| line.starts_with("inotify")).count()
    };
    let logs = Logs::new();
    fs::create_dir(logs.path("0")).unwrap();
    symlink("0", logs.path("link")).unwrap();
    let mut follower = Follower::new(&logs.path("link/app.log"), None);
    append(&logs.path("link/app.log"), "x\n");
    follower.expect(&["x"]);
    let before = watches(&follower);
    // The folders from the root to the log's, and the log.
    assert_eq!(before, logs.path("0").components().count() + 1);
    for round in 1..5 {
        fs::rename(logs.path("link/app.log"), logs.path("link/app.log.1")).unwrap();
        append(&logs.path("link/app.log"), "y\n");
        follower.expect(&["y"]);
        fs::create_dir(logs.path(&round.to_string())).unwrap();
        symlink(round.to_string(), logs.path("next")).unwrap();
        fs::rename(logs.path("next"), logs.path("link")).unwrap();
        append(&logs.path("link/app.log"), "z\n");
        follower.expect(&["z"]);
        assert_eq!(watches(&follower), before + 1, "one for the predecessor");
        follower.later += QUIET;
        follower.read();
        assert_eq!(watches(&follower), before);
    }
}

#[test]
fn a_folder_or_a_fifo_at_the_path_is_an_error_that_never_blocks() {
    let logs = Logs::new();
    fs::create_dir(&logs.log).unwrap();
    let mut follower = logs.follow();
    assert!(matches!(follower.try_read(), Err(FileTailError::NotRegular { .. })));
    assert_eq!(follower.tail.state(), FileState::Unreadable);
    assert_eq!(follower.tail.timeout(), Some(POLL));
    fs::remove_dir(&logs.log).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &logs.log, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert!(matches!(follower.try_read(), Err(FileTailError::NotRegular { .. })));
    fs::remove_file(&logs.log).unwrap();
    logs.write("1\n");
    follower.expect(&["1"]);
    assert_eq!(follower.tail.state(), FileState::Following);
}

#[test]
fn a_file_below_a_file_is_missing_and_waited_for() {
    let logs = Logs::new();
    append(&logs.path("a"), "no folder\n");
    let mut follower = Follower::new(&logs.path("a/app.log"), None);
    follower.read();
    assert_eq!(follower.tail.state(), FileState::Missing);
    fs::remove_file(logs.path("a")).unwrap();
    fs::create_dir(logs.path("a")).unwrap();
    append(&logs.path("a/app.log"), "1\n");
    follower.expect(&["1"]);
}

#[test]
fn a_file_that_may_not_be_read_is_tried_again() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let logs = Logs::new();
    mode(logs.folder.path(), 0o755);
    logs.write("1\n");
    mode(&logs.log, 0o000);
    let root = geteuid().is_root();
    let act_as = |uid| rustix::thread::set_thread_res_uid(None, Uid::from_raw(uid), None).unwrap();
    if root {
        // Only this thread: root may read everything.
        act_as(65534);
    }
    let mut follower = logs.follow();
    let denied = follower.try_read();
    let (state, timeout) = (follower.tail.state(), follower.tail.timeout());
    if root {
        act_as(0);
    }
    mode(&logs.log, 0o644);
    if root {
        act_as(65534);
    }
    follower.expect(&["1"]);
    if root {
        act_as(0);
    }
    assert!(matches!(denied, Err(FileTailError::Open { .. })), "{denied:?}");
    assert_eq!((state, timeout), (FileState::Unreadable, Some(POLL)));
}

#[test]
fn lost_events_are_made_up_for_by_looking_at_everything() {
    let logs = Logs::new();
    fs::create_dir(logs.path("one")).unwrap();
    fs::create_dir(logs.path("two")).unwrap();
    symlink("one", logs.path("link")).unwrap();
    let mut follower = Follower::new(&logs.path("link/app.log"), None);
    follower.read();
    follower.assert_idle();
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    for _ in 0..=limit / 2 {
        append(&logs.path("one/noise"), "");
        fs::remove_file(logs.path("one/noise")).unwrap();
    }
    symlink("two", logs.path("next")).unwrap();
    fs::rename(logs.path("next"), logs.path("link")).unwrap();
    follower.read();
    follower.assert_idle();
    append(&logs.path("two/app.log"), "1\n");
    follower.expect(&["1"]);
}

#[test]
fn without_watches_the_file_is_looked_at_once_a_second() {
    // The limit of a user namespace concerns nobody else.
    let script = r#"echo "$2" > /proc/sys/user/max_inotify_watches && exec "$0" --exact "$1" --ignored"#;
    let module = module_path!().split_once("::").unwrap().1;
    let test = format!("{module}::without_watches_in_a_namespace");
    if !Command::new("unshare").args(["-Ur", "true"]).status().is_ok_and(|status| status.success()) {
        println!("skipped: no user namespaces here");
        return;
    }
    // None, not enough for the folders, enough for the folders but not for the file.
    for limit in [0, 2, std::env::temp_dir().components().count() + 1] {
        let mut command = Command::new("unshare");
        command
            .args(["-Ur", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .args([&test, &limit.to_string()]);
        let output = command.output().unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && report.contains("1 passed"), "{report}");
    }
}

#[test]
#[ignore = "needs a limit of inotify watches: run by without_watches_the_file_is_looked_at_once_a_second"]
fn without_watches_in_a_namespace() {
    let logs = Logs::new();
    logs.write("0\n");
    let mut follower = logs.follow();
    follower.expect(&["0"]);
    assert_eq!(follower.tail.timeout(), Some(POLL));
    logs.write("1\n");
    follower.expect(&["1"]);
    assert_eq!(follower.tail.timeout(), Some(POLL));
    logs.rotate();
    append(&logs.path("app.log.1"), "2\n");
    logs.write("3\n");
    follower.expect(&["2", "3"]);
}
