use std::fs;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const KERNEL: &str = r#"{
    "plugin": "kmsg", "source": "kernel-monitor",
    "conditions": [{"type": "KernelDeadlock", "reason": "KernelHasNoDeadlock", "message": "kernel has no deadlock"}],
    "rules": [
        {"type": "temporary", "reason": "TaskHung", "pattern": "task \\S+:\\w+ blocked for more than \\w+ seconds\\."},
        {"type": "permanent", "condition": "KernelDeadlock", "reason": "DockerHung", "pattern": "task docker:\\w+ blocked for more than \\w+ seconds\\."}
    ]}"#;

fn replayed(config: &str, log: &[u8], format: Option<ReplayFormat>, json: bool) -> (String, Replayed) {
    let dir = tempfile::tempdir().unwrap();
    let (config_path, log_path) = (dir.path().join("c.json"), dir.path().join("log"));
    fs::write(&config_path, config).unwrap();
    fs::write(&log_path, log).unwrap();
    let options = ReplayArgs { configs: vec![config_path], log: Some(log_path), format, json };
    let mut out = Vec::new();
    let replayed = replay_to(&options, &mut out, |warning| panic!("{warning}")).unwrap();
    (String::from_utf8(out).unwrap(), replayed)
}

fn matches(config: &str, log: &str, format: Option<ReplayFormat>) -> Vec<Value> {
    let (text, _) = replayed(config, log.as_bytes(), format, true);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const HUNG: &str = "task docker:7 blocked for more than 300 seconds.";

#[test]
fn every_match_is_one_object_with_the_place_and_the_words_of_its_rule() {
    let found =
        matches(KERNEL, &format!("innocent\n{HUNG}\nINFO: task x:1 blocked for more than 120 seconds.\n"), None);
    let object = |line, rule, kind, reason, condition: Value, message: &str| {
        serde_json::json!({"line": line, "source": "kernel-monitor", "rule": rule, "type": kind, "reason": reason,
            "condition": condition, "timestamp": null, "message": message})
    };
    let expected = [
        object(2, 0, "temporary", "TaskHung", Value::Null, HUNG),
        object(2, 1, "permanent", "DockerHung", "KernelDeadlock".into(), HUNG),
        object(3, 0, "temporary", "TaskHung", Value::Null, "INFO: task x:1 blocked for more than 120 seconds."),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_person_sees_events_conditions_and_a_sum() {
    let (text, sum) = replayed(KERNEL, format!("{HUNG}\n{HUNG}\n").as_bytes(), None, false);
    assert_eq!(
        text,
        format!(
            "line 1: kernel-monitor rule 0 (temporary TaskHung): \"{HUNG}\"\n\
             line 1: kernel-monitor rule 1 (permanent DockerHung): \"{HUNG}\"\n    \
             event Warning TaskHung: {HUNG}\n    \
             event Warning DockerHung: Node condition KernelDeadlock is now: True, reason: DockerHung, message: \"{HUNG}\"\n\
             line 2: kernel-monitor rule 0 (temporary TaskHung): \"{HUNG}\"\n\
             line 2: kernel-monitor rule 1 (permanent DockerHung): \"{HUNG}\"\n    \
             event Warning TaskHung: {HUNG}\n\
             kernel-monitor: condition KernelDeadlock is True, reason DockerHung: \"{HUNG}\"\n\
             2 lines, 2 records, 4 matches\n"
        )
    );
    assert_eq!(sum, Replayed { lines: 2, records: 2, unreadable: 0, matches: 4 });
}

#[test]
fn the_form_of_a_log_is_told_by_its_first_line() {
    for (log, timestamp) in [
        (format!("6,1,5140900,-;hello\n SUBSYSTEM=x\n DEVICE=+x\n3,2,6000000,-,caller=T1;{HUNG}\n"), Value::Null),
        (format!("[    5.140900] hello\n[    6.000000] {HUNG}\n"), Value::Null),
        (format!("<6>[    5.140900][    T1] hello\n\n<3>[    6.000000][  T77] {HUNG}\n"), Value::Null),
        (format!("kern  :info  : [    5.140900] hello\n\nkern  :err   : [    6.000000] {HUNG}\n"), Value::Null),
        (format!("[Tue Nov 24 09:00:00 2026] hello\n\n[Tue Nov 24 09:00:00 2026] {HUNG}\n"), Value::Null),
        (
            format!("2026-11-24T09:00:00,140900+00:00 hello\n\n2026-11-24T10:00:00,5+01:00 {HUNG}\n"),
            "2026-11-24T09:00:00.5Z".into(),
        ),
        (format!("hello\n\n{HUNG}\n"), Value::Null),
    ] {
        let found = matches(KERNEL, &log, None);
        assert_eq!(found.len(), 2, "{log}");
        assert_eq!(found[0]["message"], HUNG, "{log}");
        assert_eq!(found[0]["timestamp"], timestamp, "{log}");
        let line = log.lines().position(|line| line.contains(HUNG)).unwrap() + 1;
        assert_eq!(found[0]["line"], line, "{log}");
    }
}

#[cfg(feature = "journald")]
#[test]
fn an_export_of_the_journal_is_read_with_its_filter() {
    let config = r#"{"plugin": "journald", "pluginConfig": {"source": "dockerd"}, "source": "docker-monitor",
        "rules": [{"type": "temporary", "reason": "Corrupt", "pattern": "corrupt\\s\\w+"}]}"#;
    let entry = |identifier: &str, message: &str| {
        format!("__CURSOR=s=1\n__REALTIME_TIMESTAMP=1764000000000000\nSYSLOG_IDENTIFIER={identifier}\n{message}\n\n")
    };
    let mut log = entry("dockerd", "MESSAGE=corrupt one").into_bytes();
    log.extend(entry("sshd", "MESSAGE=corrupt two").bytes());
    let text = b"corrupt\nthree";
    let mut binary = b"MESSAGE\n".to_vec();
    binary.extend((text.len() as u64).to_le_bytes());
    binary.extend(text);
    log.extend(b"__CURSOR=s=3\n__REALTIME_TIMESTAMP=1764000001000000\nSYSLOG_IDENTIFIER=dockerd\n");
    log.extend(binary);
    log.extend(b"\n\n");
    log.extend(entry("dockerd", "_PID=1").bytes());
    let (text, _) = replayed(config, &log, None, true);
    let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages: Vec<_> = found.iter().map(|found| found["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["corrupt one", "corrupt\nthree"]);
    assert_eq!(found[1]["timestamp"], "2025-11-24T16:00:01Z");
}

/// Five restarts of the kubelet, as the process `pid` tells of them.
#[cfg(feature = "journald")]
fn restarts(pid: u32) -> Vec<u8> {
    let restart = |number: u64| {
        format!(
            "__CURSOR=s=1;i={number}\n__REALTIME_TIMESTAMP={}\nPRIORITY=6\n_UID=0\nSYSLOG_IDENTIFIER=systemd\n\
             _TRANSPORT=journal\n_PID={pid}\n_SYSTEMD_UNIT=init.scope\nUNIT=kubelet.service\n\
             MESSAGE=kubelet.service: Scheduled restart job, restart counter is at {number}.\n\n",
            1_764_000_000_000_000 + number * 10_000_000
        )
    };
    (1..=5).map(restart).collect::<String>().into_bytes()
}

#[cfg(feature = "journald")]
#[test]
fn what_systemd_says_about_a_unit_is_replayed_and_what_others_say_about_it_is_not() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/systemd-monitor-counter.json");
    let config = fs::read_to_string(config).unwrap();
    let (text, sum) = replayed(&config, &restarts(1), None, false);
    assert!(text.contains("condition FrequentKubeletRestart is True, reason FrequentKubeletRestart"), "{text}");
    assert_eq!(sum, Replayed { lines: 55, records: 5, unreadable: 0, matches: 5 });
    let (text, sum) = replayed(&config, &restarts(4711), None, false);
    assert!(!text.contains("True"), "{text}");
    assert_eq!(sum, Replayed { lines: 55, records: 5, unreadable: 0, matches: 0 });
}

#[cfg(feature = "journald")]
#[test]
fn a_field_of_an_export_may_have_several_values_and_come_with_its_length() {
    let config = r#"{"plugin": "journald", "pluginConfig": {"source": "two\nlines"}, "source": "odd-monitor",
        "rules": [{"type": "temporary", "reason": "Bad", "pattern": "bad .*", "message": "${unit} ${pid}"}]}"#;
    let mut log = b"__CURSOR=s=1\nSYSLOG_IDENTIFIER=one\nSYSLOG_IDENTIFIER\n".to_vec();
    log.extend(9_u64.to_le_bytes());
    log.extend(b"two\nlines\n_SYSTEMD_UNIT=init.scope\nUNIT=a.service\n_PID=1\nMESSAGE=bad one\nMESSAGE=bad two\n\n");
    log.extend(b"__CURSOR=s=1\nSYSLOG_IDENTIFIER=one\nMESSAGE=bad three\n\n");
    let (text, sum) = replayed(config, &log, None, false);
    assert!(text.contains("event Warning Bad: a.service 1\n"), "{text}");
    assert_eq!(sum, Replayed { lines: 15, records: 2, unreadable: 0, matches: 1 });
}

#[test]
fn lines_of_a_log_file_are_read_as_the_config_says() {
    let config = r#"{"plugin": "filelog", "logPath": "/x", "source": "f", "skipList": ["audit"],
        "pluginConfig": {"timestamp": "^.{20}", "timestampFormat": "2006-01-02T15:04:05Z", "message": "kernel: (.*)"},
        "rules": [{"type": "temporary", "reason": "Bad", "pattern": "bad .*"}]}"#;
    let log = "2026-01-02T03:04:05Z node kernel: bad one\n2026-01-02T03:04:05Z audit kernel: bad two\nyesterday kernel: bad three\n";
    let (text, sum) = replayed(config, log.as_bytes(), None, true);
    let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((found.len(), sum.unreadable), (1, 1));
    assert_eq!((&found[0]["message"], &found[0]["timestamp"]), (&"bad one".into(), &"2026-01-02T03:04:05Z".into()));
}

#[test]
fn a_log_that_is_not_there_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("c.json");
    fs::write(&config, KERNEL).unwrap();
    let options = ReplayArgs { configs: vec![config], log: Some("/no/such/log".into()), format: None, json: true };
    let error = replay_to(&options, &mut Vec::new(), |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /no/such/log");
}

proptest! {
    #[test]
    fn no_log_panics(log in proptest::collection::vec(any::<u8>(), 0..300), format in 0_usize..5) {
        let formats = [None, Some(ReplayFormat::Kmsg), Some(ReplayFormat::Dmesg), Some(ReplayFormat::Plain), Some(ReplayFormat::JournalExport)];
        let mut entries = Entries::new(&log[..], formats[format]).unwrap();
        // An export that ends within a value is an error and no panic.
        while let Ok(Some(entry)) = entries.next() {
            prop_assert!(entry.line > 0);
        }
    }
}
