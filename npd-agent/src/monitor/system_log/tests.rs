use std::path::PathBuf;

use super::*;
use crate::{config, problem::ConditionStatus, record::Place};

mod recovery;
mod remembered;

const SECOND: i64 = 1_000_000_000;
const NOW: Timestamp = Timestamp::from_unix_nanos(1_000 * SECOND);

fn monitor(json: &str) -> SystemLog {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("monitor.json");
    std::fs::write(&path, json).unwrap();
    let config = config::load(&[path]).unwrap().system_logs.remove(0);
    SystemLog::new(config, BootTimes { now: NOW, boot: NOW.shift(-100 * SECOND) })
}

fn push(monitor: &mut SystemLog, text: &str) -> Vec<Status> {
    let mut statuses = Vec::new();
    let fields = Fields::default();
    let record =
        Record { text: text.as_bytes(), at: NOW, priority: None, fields: &fields, known: false, place: Place::Nowhere };
    monitor.record(&record, &mut |status| statuses.push(status));
    statuses
}

const KERNEL: &str = r#"{
    "plugin": "kmsg", "source": "kernel-monitor",
    "conditions": [{"type": "KernelDeadlock", "reason": "KernelHasNoDeadlock", "message": "kernel has no deadlock"}],
    "rules": [
        {"type": "temporary", "reason": "TaskHung", "pattern": "task [\\S ]+:\\w+ blocked for more than \\w+ seconds\\."},
        {"type": "permanent", "condition": "KernelDeadlock", "reason": "AufsHung", "pattern": "task umount\\.aufs:\\w+ blocked for more than \\w+ seconds\\."},
        {"type": "permanent", "condition": "KernelDeadlock", "reason": "DockerHung", "pattern": "task docker:\\w+ blocked for more than \\w+ seconds\\.", "patternGeneratedMessageSuffix": "see https://example.test/runbook"}
    ]}"#;

#[test]
fn one_line_can_be_an_event_and_a_condition() {
    let mut monitor = monitor(KERNEL);
    let statuses = push(&mut monitor, "INFO: task docker:7 blocked for more than 300 seconds.");
    let [temporary, permanent] = &statuses[..] else { panic!("{statuses:?}") };
    assert_eq!(&*temporary.events[0].reason, "TaskHung");
    assert_eq!(temporary.events[0].message, "INFO: task docker:7 blocked for more than 300 seconds.");
    assert_eq!(temporary.conditions[0].status, ConditionStatus::False, "it is as this rule left it");
    assert_eq!(&*permanent.events[0].reason, "DockerHung");
    assert_eq!(
        permanent.events[0].message,
        "Node condition KernelDeadlock is now: True, reason: DockerHung, message: \"INFO: task docker:7 blocked for more than 300 seconds.; see https://example.test/runbook\""
    );
    assert_eq!(permanent.conditions[0].status, ConditionStatus::True);
    assert_eq!(
        permanent.conditions[0].message,
        "INFO: task docker:7 blocked for more than 300 seconds.; see https://example.test/runbook"
    );
}

#[test]
fn the_same_reason_again_changes_nothing_and_another_reason_flips_it() {
    let mut monitor = monitor(KERNEL);
    push(&mut monitor, "task docker:7 blocked for more than 300 seconds.");
    let again = push(&mut monitor, "task docker:8 blocked for more than 300 seconds.");
    assert_eq!(again.len(), 1, "only the temporary rule speaks");
    assert!(again[0].conditions[0].message.contains("docker:7"), "the message stays");
    let flip = push(&mut monitor, "task umount.aufs:9 blocked for more than 120 seconds.");
    assert_eq!(&*flip[1].conditions[0].reason, "AufsHung");
    let back = push(&mut monitor, "task docker:7 blocked for more than 300 seconds.");
    assert_eq!(back.len(), 1, "a rule that holds the condition already is no news: no flapping");
    assert_eq!(&*back[0].conditions[0].reason, "AufsHung", "the newest one names it");
}

#[test]
fn a_record_whose_problem_is_known_is_context_only() {
    let mut monitor = monitor(
        r#"{"plugin": "kmsg", "source": "x", "rules": [
            {"type": "temporary", "reason": "One", "pattern": "first .*"},
            {"type": "temporary", "reason": "Two", "pattern": "first .*\\nsecond .*"}]}"#,
    );
    let fields = Fields::default();
    let known =
        Record { text: b"first A", at: NOW, priority: None, fields: &fields, known: true, place: Place::Nowhere };
    monitor.record(&known, &mut |status| panic!("{status:?}"));
    let statuses = push(&mut monitor, "second B");
    assert_eq!(statuses.len(), 1);
    assert_eq!(statuses[0].events[0].message, "first A\nsecond B");
}

#[test]
fn initial_conditions_are_false_with_the_configured_words() {
    let status = monitor(KERNEL).initial_status();
    assert!(status.events.is_empty());
    assert_eq!(&*status.conditions[0].reason, "KernelHasNoDeadlock");
    assert_eq!(status.conditions[0].status, ConditionStatus::False);
    assert_eq!(status.conditions[0].transition, NOW);
}

#[test]
fn start_times_follow_lookback_and_delay() {
    // (uptime, lookback, delay, start), in seconds, the last relative to now.
    for (uptime, lookback, delay, expected) in
        [(10, 12, 7, -3), (5, 3, 0, -3), (5, 0, 7, 2), (10, 0, 0, 0), (10, 12, 0, -10), (100, -5, 0, 5)]
    {
        let times = BootTimes { now: NOW, boot: NOW.shift(-uptime * SECOND) };
        let found = times.start(lookback * SECOND, delay * SECOND);
        assert_eq!(found, NOW.shift(expected * SECOND), "{uptime} {lookback} {delay}");
    }
}

#[test]
fn the_longest_durations_are_no_overflow() {
    let times = BootTimes { now: NOW, boot: Timestamp::default() };
    assert_eq!(times.start(i64::MIN, 0), Timestamp::from_unix_nanos(i64::MAX));
    assert_eq!(times.start(0, i64::MAX), Timestamp::from_unix_nanos(i64::MAX));
    assert_eq!(times.start(i64::MAX, i64::MIN), Timestamp::from_unix_nanos(i64::MIN).max(NOW.shift(-i64::MAX)));
}

#[test]
fn records_before_the_start_are_not_even_context() {
    let mut monitor = monitor(
        r#"{"plugin": "kmsg", "source": "x", "lookback": "10s", "rules": [{"type": "temporary", "reason": "A", "pattern": "(?s).*x.*"}]}"#,
    );
    let fields = Fields::default();
    let mut at = |seconds: i64, text: &str| {
        let mut found = Vec::new();
        let at = NOW.shift(seconds * SECOND);
        let record =
            Record { text: text.as_bytes(), at, priority: None, fields: &fields, known: false, place: Place::Nowhere };
        monitor.record(&record, &mut |status: Status| found.push(status.events[0].message.clone()));
        found
    };
    assert_eq!(at(-11, "x old"), [""; 0]);
    assert_eq!(at(-10, "x edge"), ["x edge"]);
    assert_eq!(at(5, "x future"), ["x edge\nx future"]);
}
