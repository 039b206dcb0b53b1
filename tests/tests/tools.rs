//! `npd-agent check-config` and `npd-agent replay`, as an operator runs them.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use npd_tests::driver::binary::{agent, shipped_config};
use serde_json::{Value, json};
use tempfile::TempDir;

const HUNG: &str = "INFO: task docker:7 blocked for more than 120 seconds.";

fn run(arguments: &[&str], input: Option<&str>) -> Result<Output> {
    let mut child = Command::new(agent()?)
        .args(arguments)
        // Shipped monitors name their plugins relative to it.
        .current_dir(shipped_config(".."))
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the agent")?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.as_bytes()).context("cannot write to it")?;
    }
    child.wait_with_output().context("cannot wait for it")
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn shipped(name: &str) -> Result<String> {
    Ok(shipped_config(name).canonicalize()?.display().to_string())
}

fn file(folder: &TempDir, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.path().join(name);
    fs::write(&path, text)?;
    Ok(path)
}

#[test]
fn shipped_files_are_in_order() -> Result<()> {
    let mut arguments = vec!["check-config".to_owned()];
    for entry in fs::read_dir(shipped_config(""))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            arguments.push(path.display().to_string());
        }
    }
    let count = arguments.len() - 1;
    let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), None)?;
    ensure!(count >= 11, "{count} files");
    // Where node-problem-detector's image has it, which this machine need not.
    let elsewhere = |line: &str| line.contains("there is no program \"/home/kubernetes/bin/health-checker\" here");
    let said = texts(&output).0;
    let (warned, rest): (Vec<_>, Vec<_>) = said.lines().partition(|line| elsewhere(line));
    ensure!(warned.len() <= 3, "{warned:?}");
    assert_eq!(rest, [format!("{count} files, 0 errors, {} warnings", warned.len())]);
    assert_eq!(output.status.code(), Some(0));
    Ok(())
}

#[test]
fn all_errors_and_warnings_are_told_with_their_places() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let odd = file(&folder, "odd.json", r#"{"plugin": "kmsg", "rule": []}"#)?;
    let bad = file(
        &folder,
        "bad.json",
        "{\"plugin\": \"kmsg\",\n \"rules\": [{\"type\": \"permanent\", \"condition\": \"X\", \"reason\": \"R\", \"pattern\": \"a(\"}]}",
    )?;
    let output = run(&["check-config", &odd.display().to_string(), &bad.display().to_string()], None)?;
    let (said, folder) = (texts(&output).0, folder.path().display());
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines,
        [
            format!("warning: {folder}/odd.json:1:20: /rule: unknown key \"rule\" is ignored, did you mean \"rules\"?"),
            format!(
                "error: {folder}/bad.json:2:47: /rules/0/condition: the permanent rule's condition \"X\" is not declared under \"conditions\", known: none"
            ),
            format!("error: {folder}/bad.json:2:78: /rules/0/pattern: missing closing ): `a(`"),
            "2 files, 2 errors, 1 warnings".to_owned(),
        ]
    );
    assert_eq!(output.status.code(), Some(1));
    Ok(())
}

#[test]
fn a_file_is_checked_as_that_of_the_monitor_it_is_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let stats = file(&folder, "stats.json", r#"{"net": {"metricsConfigs": {"net/rx_bytes": {}}}}"#)?;
    let neither = file(&folder, "neither.json", r#"{"source": "x", "rules": []}"#)?;
    let output = run(&["check-config", &stats.display().to_string(), &neither.display().to_string()], None)?;
    let (said, folder) = (texts(&output).0, folder.path().display());
    let expected = [
        format!(
            "error: {folder}/stats.json:1:45: /net/metricsConfigs/net~1rx_bytes: metric \"net/rx_bytes\" has no \"displayName\", set one such as \"net/rx_bytes\""
        ),
        format!(
            "error: {folder}/neither.json:1:1: \"plugin\" is missing, allowed: \"kmsg\", \"filelog\", \"journald\""
        ),
        "2 files, 2 errors, 0 warnings".to_owned(),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    Ok(())
}

#[test]
fn a_file_with_warnings_only_can_be_used() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let odd = file(&folder, "odd.json", r#"{"plugin": "kmsg", "rule": []}"#)?;
    assert_eq!(run(&["check-config", &odd.display().to_string()], None)?.status.code(), Some(0));
    Ok(())
}

#[test]
fn a_log_from_standard_input_is_replayed() -> Result<()> {
    let kernel = shipped("kernel-monitor.json")?;
    let log = format!("[   10.000001] Linux version 6.18\n[   11.000000] {HUNG}\n");
    let output = run(&["replay", "--config", &kernel, "--json"], Some(&log))?;
    let (said, complaints) = texts(&output);
    assert_eq!((output.status.code(), complaints.as_str()), (Some(0), ""));
    let found = said.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let expected = |kind: &str, reason: &str, condition: Value| {
        json!({"line": 2, "source": "kernel-monitor", "type": kind, "reason": reason, "condition": condition,
            "timestamp": null, "message": HUNG})
    };
    let without_rule = found.iter().map(|found| {
        let mut found = found.clone();
        let rule = found.as_object_mut().and_then(|found| found.remove("rule"));
        (found, rule.is_some_and(|rule| rule.is_u64()))
    });
    assert_eq!(
        without_rule.collect::<Vec<_>>(),
        [
            (expected("temporary", "TaskHung", Value::Null), true),
            (expected("permanent", "DockerHung", "KernelDeadlock".into()), true)
        ]
    );
    Ok(())
}

#[test]
fn a_person_is_told_of_matches_events_and_conditions() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = file(&folder, "log", &format!("3,1,2,-;{HUNG}\n"))?.display().to_string();
    let kernel = shipped("kernel-monitor.json")?;
    let output = run(&["replay", "--config", &kernel, "--format", "kmsg", &log], None)?;
    let said = texts(&output).0;
    for part in [
        "event Warning TaskHung: ",
        "condition KernelDeadlock is True, reason DockerHung",
        "1 lines, 1 records, 2 matches",
    ] {
        ensure!(said.contains(part), "it does not say {part:?}:\n{said}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_read_is_named_and_ends_with_255() -> Result<()> {
    let kernel = shipped("kernel-monitor.json")?;
    for (arguments, name) in [
        (["replay", "--config", &kernel, "/no/such/log"], "/no/such/log"),
        (["replay", "--config", "/no/such/config", "/dev/null"], "/no/such/config"),
    ] {
        let output = run(&arguments, None)?;
        let (said, complaints) = texts(&output);
        ensure!(output.status.code() == Some(255) && said.is_empty(), "{}: {said}", output.status);
        ensure!(complaints.starts_with("error: ") && complaints.contains(name), "{complaints}");
    }
    Ok(())
}

#[test]
fn a_wrong_command_line_ends_with_2() -> Result<()> {
    for arguments in [&["replay"][..], &["check-config"], &["replay", "--config", "x", "--format", "xml"]] {
        assert_eq!(run(arguments, None)?.status.code(), Some(2), "{arguments:?}");
    }
    Ok(())
}
