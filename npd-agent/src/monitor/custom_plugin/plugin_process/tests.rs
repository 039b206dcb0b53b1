//! Real processes. What takes the built agent is in `tests/tests/plugins`.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use super::*;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(20);

fn program(path: &Path, args: &[&str]) -> Program {
    Program::new(ProgramOptions {
        path: path.to_owned(),
        args: args.iter().map(ToString::to_string).collect(),
        max_output_length: 80,
        allow_insecure: true,
        children: Children::default(),
    })
}

fn shell(script: &str) -> Program {
    program(Path::new("/bin/sh"), &["-c", script])
}

async fn run(program: &Program, within: Duration) -> Run {
    program.run(within, &CancellationToken::new()).await.unwrap()
}

async fn outcome(script: &str) -> (CheckStatus, String) {
    let Outcome { status, message, .. } = run(&shell(script), LONG).await.outcome;
    (status, message)
}

fn is_alive(pid: i32) -> bool {
    // A zombie has ended.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn wait_until_dead(pid: i32) {
    let dead = async {
        while is_alive(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, dead).await.unwrap();
}

/// The first line of a file that a plugin writes.
async fn pid_in(path: &Path) -> i32 {
    let written = async {
        loop {
            if let Some(Ok(pid)) = fs::read_to_string(path).ok().filter(|t| t.ends_with('\n')).map(|t| t.trim().parse())
            {
                return pid;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, written).await.unwrap()
}

/// 4.3 once more, with processes.
#[tokio::test]
async fn exit_codes_and_output() {
    assert_eq!(outcome("echo fine").await, (CheckStatus::Ok, "fine".into()));
    assert_eq!(outcome("echo ' bad '; exit 1").await, (CheckStatus::Problem, "bad".into()));
    assert_eq!(outcome("echo odd; exit 2").await, (CheckStatus::Unknown, "odd".into()));
    assert_eq!(outcome("echo killed; kill -9 $$").await, (CheckStatus::Unknown, "killed".into()));
}

#[tokio::test]
async fn what_cannot_be_started_is_unknown_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plugin");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    let ran = run(&program(&path, &[]), LONG).await;
    assert_eq!((ran.kind, ran.outcome.status), (RunKind::Error, CheckStatus::Unknown));
    assert_eq!(ran.outcome.reason.as_deref(), Some("CheckError"));
    assert_eq!(ran.outcome.message, "Error in starting plugin: Permission denied (os error 13)");
}

#[tokio::test]
async fn a_program_that_others_can_change_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().canonicalize().unwrap().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let path = open.join("plugin");
    std::os::unix::fs::symlink("/bin/true", &path).unwrap();
    assert_eq!(run(&program(&path, &[]), LONG).await.kind, RunKind::Ok, "where it is allowed to");
    let options = ProgramOptions {
        path: path.clone(),
        args: Vec::new(),
        max_output_length: 80,
        allow_insecure: false,
        children: Children::default(),
    };
    let ran = run(&Program::new(options), LONG).await;
    assert_eq!((ran.kind, ran.outcome.reason.as_deref()), (RunKind::Refused, Some("CheckRefused")));
    let (path, open) = (path.display(), open.display());
    let expected =
        format!("plugin \"{path}\" is not run: anybody can write to {open}, --allow-insecure-plugins would run it");
    assert_eq!(ran.outcome.message, expected);
}

/// As before Linux 5.3.
#[tokio::test]
async fn without_pidfds_a_process_is_looked_at_now_and_then() {
    let program = shell("echo fine; exec 1>&- 2>&-; sleep 0.1; exit 1");
    let (mut started, stdout, stderr) = program.options.start().map_err(|error| error.to_string()).unwrap();
    started.ended = None;
    let stop = CancellationToken::new();
    let ran = program.follow(started, stdout, stderr, Instant::now() + LONG, &stop).await.unwrap();
    assert_eq!((ran.kind, &*ran.outcome.message), (RunKind::Problem, "fine"));

    let program = shell("trap '' TERM; sleep 1000");
    let (mut started, stdout, stderr) = program.options.start().map_err(|error| error.to_string()).unwrap();
    started.ended = None;
    let ran = program.follow(started, stdout, stderr, Instant::now(), &stop).await.unwrap();
    assert_eq!(ran.kind, RunKind::Timeout);
}

/// As when exec(2) waits for a file system that answers late.
#[tokio::test]
async fn a_process_that_starts_after_its_time_is_ended_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let options = shell(&format!("echo $$ > {}; exec sleep 1000", file.display())).options;
    let (answer, file_system) = std::sync::mpsc::channel();
    let starting = tokio::task::spawn_blocking(move || {
        file_system.recv().unwrap();
        let started = options.start();
        while !matches!(fs::read_to_string(&file), Ok(text) if text.ends_with('\n')) {
            std::thread::yield_now();
        }
        started
    });
    let mut ending = std::pin::pin!(end_late(starting));
    assert!(timeout(Duration::from_millis(50), &mut ending).await.is_err(), "it waits for the start");
    answer.send(()).unwrap();
    timeout(LONG, ending).await.unwrap();
    assert!(!is_alive(pid_in(&folder.path().join("pid")).await));
}

#[tokio::test]
async fn a_run_that_is_given_up_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let program = shell(&format!("sleep 1000 & echo $! > {}; wait", file.display()));
    let stop = CancellationToken::new();
    let pid = tokio::select! {
        _ = program.run(LONG, &stop) => panic!("it has ended"),
        pid = pid_in(&file) => pid,
    };
    wait_until_dead(pid).await;
}

#[tokio::test]
async fn environment_and_folder_are_defined() {
    assert_eq!(outcome("pwd; cat; test -n \"$PATH\" && echo path").await.1, "/\npath");
    let group = "read -r _ _ _ _ group _ < /proc/$$/stat; test $group = $$ && echo leads";
    assert_eq!(outcome(group).await.1, "leads");
    assert_eq!(outcome("echo $NOTIFY_SOCKET$RUST_LOG").await.1, "");
}

/// A rule's process group is ended as a whole, with a moment to do it by itself.
#[tokio::test]
async fn what_takes_too_long_is_ended_with_all_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script =
        format!("trap '' TERM; sleep 1000 & echo $! > {}; echo some output; wait; wait; sleep 1000", file.display());
    let began = std::time::Instant::now();
    let ran = run(&shell(&script), Duration::from_millis(300)).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!((ran.kind, ran.outcome.reason.as_deref()), (RunKind::Timeout, Some("CheckTimeout")));
    assert_eq!(
        ran.outcome.message,
        "Timeout when running plugin \"/bin/sh\": state - signal: killed. output - \"some output\""
    );
    wait_until_dead(pid_in(&file).await).await;
}

#[tokio::test]
async fn a_process_has_a_moment_to_clean_up_after_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cleaned");
    let script = format!("trap 'echo 1 > {}; exit' TERM; while :; do sleep 0.01; done", file.display());
    let ran = run(&shell(&script), Duration::from_millis(500)).await;
    assert_eq!(ran.kind, RunKind::Timeout);
    assert_eq!(pid_in(&file).await, 1);
}

/// SIGTERM does not reach a process that is stopped.
#[tokio::test]
async fn a_stopped_process_is_ended_as_well() {
    let began = std::time::Instant::now();
    let ran = run(&shell("trap '' TERM; kill -STOP $$"), Duration::from_millis(200)).await;
    assert_eq!(ran.kind, RunKind::Timeout);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// node-problem-detector waits for the timeout here, and then cannot tell.
#[tokio::test]
async fn a_child_that_keeps_the_pipe_open_holds_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let began = std::time::Instant::now();
    let ran = run(&shell(&format!("sleep 1000 & echo $! > {}; echo done; exit 1", file.display())), LONG).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!((ran.outcome.status, &*ran.outcome.message), (CheckStatus::Problem, "done"));
    let child = pid_in(&file).await;
    assert!(is_alive(child), "it was not told to end");
    rustix::process::kill_process(Pid::from_raw(child).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_flood_of_output_takes_little_memory_and_little_time_of_ours() {
    let cpu = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
    };
    let before = cpu();
    let ran = run(&shell("yes 'a flood'; exit 0"), Duration::from_secs(2)).await;
    assert_eq!(ran.kind, RunKind::Timeout);
    assert!(ran.outcome.message.len() < 200, "{}", ran.outcome.message);
    let spent = cpu().saturating_sub(before);
    assert!(spent < Duration::from_millis(300), "{spent:?} of 2 s");
    let ran = run(&shell("head -c 3000000 /dev/zero | tr '\\0' 'x'; exit 1"), LONG).await;
    assert_eq!((ran.kind, ran.outcome.message), (RunKind::Problem, "x".repeat(80)), "what ends is read to its end");
}

#[tokio::test]
async fn both_streams_are_read() {
    let script = "head -c 500000 /dev/zero >&2; echo fine; head -c 500000 /dev/zero >&2";
    assert_eq!(outcome(script).await, (CheckStatus::Ok, "fine".into()));
    let ran = run(&shell("echo remark >&2; kill -9 $$"), LONG).await;
    assert_eq!(ran.remarks, "remark (ended by signal 9)");
}

#[tokio::test]
async fn binary_output_becomes_a_text() {
    let (status, message) = outcome("head -c 100000 /dev/urandom; exit 1").await;
    assert_eq!(status, CheckStatus::Problem);
    assert!(message.len() <= 80, "{message:?}");
}

#[tokio::test]
async fn a_stop_ends_what_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("trap '' TERM; sleep 1000 & echo $! > {}; wait; wait; sleep 1000", file.display());
    let (program, stop) = (shell(&script), CancellationToken::new());
    let order = async {
        let pid = pid_in(&file).await;
        stop.cancel();
        (pid, std::time::Instant::now())
    };
    let (ran, (pid, began)) = tokio::join!(program.run(LONG, &stop), order);
    assert!(ran.is_none());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    wait_until_dead(pid).await;
}
