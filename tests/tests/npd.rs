//! Configs in the shape in which node-problem-detector publishes its own, with its patterns: they load without an
//! error and do with real lines what was observed of node-problem-detector, where npd does not differ on purpose.

use std::fs;

use anyhow::{Context, Result};
use npd_agent::{
    config::{self, LogInput, SystemLogConfig},
    monitor::system_log::SystemLog,
    problem::{ConditionStatus, Fields, Status},
    record::{Place, Record},
    time::{BootTimes, Timestamp},
};
use serde_json::{Value, json};

const HOUR: i64 = 3600 * 1_000_000_000;
const NOW: Timestamp = Timestamp::from_unix_nanos(1_795_500_000_000_000_000);

fn load(config: &Value) -> Result<SystemLogConfig> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("monitor.json");
    fs::write(&path, config.to_string())?;
    config::load(&[path])?.system_logs.pop().context("no monitor")
}

fn monitor(config: &Value) -> Result<SystemLog> {
    Ok(SystemLog::new(load(config)?, BootTimes { now: NOW, boot: NOW.shift(-HOUR) }))
}

fn record(monitor: &mut SystemLog, text: &str) -> Vec<Status> {
    let mut statuses = Vec::new();
    let fields = Fields::default();
    let record =
        Record { text: text.as_bytes(), at: NOW, priority: None, fields: &fields, known: false, place: Place::Nowhere };
    monitor.record(&record, &mut |status| statuses.push(status));
    statuses
}

/// The reasons of the events that a line gives.
fn reasons(monitor: &mut SystemLog, line: &str) -> Vec<String> {
    let statuses = record(monitor, line);
    statuses.iter().flat_map(|status| &status.events).map(|event| event.reason.to_string()).collect()
}

fn temporary(reason: &str, pattern: &str) -> Value {
    json!({"type": "temporary", "reason": reason, "pattern": pattern})
}

fn permanent(condition: &str, reason: &str, pattern: &str) -> Value {
    json!({"type": "permanent", "condition": condition, "reason": reason, "pattern": pattern})
}

fn kernel() -> Value {
    json!({
        "plugin": "kmsg", "logPath": "/dev/kmsg", "lookback": "5m", "bufferSize": 10, "source": "kernel-monitor",
        "conditions": [
            {"type": "KernelDeadlock", "reason": "KernelHasNoDeadlock", "message": "kernel has no deadlock"},
            {"type": "XfsShutdown", "reason": "XfsHasNotShutDown", "message": "XFS has not shutdown"},
            {"type": "CperHardwareErrorFatal", "reason": "CperHardwareHasNoFatalError", "message": "UEFI CPER has no fatal error"},
        ],
        "rules": [
            temporary("OOMKilling", r"Killed process \d+ (.+) total-vm:\d+kB, anon-rss:\d+kB, file-rss:\d+kB.*"),
            temporary("TaskHung", r"task [\S ]+:\w+ blocked for more than \w+ seconds\."),
            temporary("UnregisterNetDevice", r"unregister_netdevice: waiting for \w+ to become free. Usage count = \d+"),
            temporary("KernelOops", r"BUG: unable to handle kernel NULL pointer dereference at .*"),
            temporary("KernelOops", r"divide error: 0000 \[#\d+\] SMP"),
            temporary("Ext4Error", "EXT4-fs error .*"),
            temporary("Ext4Warning", "EXT4-fs warning .*"),
            temporary("IOError", "Buffer I/O error .*"),
            permanent("XfsShutdown", "XfsHasShutdown", "XFS .* Shutting down filesystem.?"),
            temporary("MemoryReadError", "CE memory read error .*"),
            temporary("CperHardwareErrorCorrected", r".*\[Hardware Error\]: event severity: corrected$"),
            temporary("CperHardwareErrorRecoverable", r".*\[Hardware Error\]: event severity: recoverable$"),
            permanent("CperHardwareErrorFatal", "CperHardwareErrorFatal", r".*\[Hardware Error\]: event severity: fatal$"),
            permanent("KernelDeadlock", "DockerHung", r"task docker:\w+ blocked for more than \w+ seconds\."),
        ],
    })
}

#[test]
fn modern_lines_match_where_they_were_observed_to_match() -> Result<()> {
    let none: &[&str] = &[];
    for (line, expected) in [
        ("BUG: unable to handle kernel NULL pointer dereference at 0000000000000078", &["KernelOops"][..]),
        ("BUG: kernel NULL pointer dereference, address: 0000000000000000", none),
        ("BUG: unable to handle page fault for address: ffffdeadbeef0000", none),
        ("Unable to handle kernel NULL pointer dereference at virtual address 0000000000000078", none),
        ("divide error: 0000 [#1] SMP", &["KernelOops"]),
        ("divide error: 0000 [#1] SMP NOPTI", none),
        ("divide error: 0000 [#1] PREEMPT SMP PTI", none),
        ("INFO: task docker:7 blocked for more than 120 seconds.", &["TaskHung", "DockerHung"]),
        ("INFO: task containerd-shim:7 blocked for more than 120 seconds.", &["TaskHung"]),
        ("INFO: task kworker/u16:3:1234 blocked for more than 120 seconds.", &["TaskHung"]),
        ("INFO: task jbd2/dm-3-8:1234 blocked for more than 120 seconds.", &["TaskHung"]),
        ("unregister_netdevice: waiting for lo to become free. Usage count = 1", &["UnregisterNetDevice"]),
        ("unregister_netdevice: waiting for veth-abc to become free. Usage count = 1", none),
        ("unregister_netdevice: waiting for eth0.100 to become free. Usage count = 1", none),
        (
            "Memory cgroup out of memory: Killed process 4249 (python) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:994",
            &["OOMKilling"],
        ),
        ("watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [x:1]", none),
        ("EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#0_DIMM#0", &["MemoryReadError"]),
        ("XFS (dm-0): Log I/O Error Detected. Shutting down filesystem", &["XfsHasShutdown"]),
        ("{1}[Hardware Error]: event severity: fatal", &["CperHardwareErrorFatal"]),
        ("{1}[Hardware Error]: event severity: corrected", &["CperHardwareErrorCorrected"]),
    ] {
        assert_eq!(reasons(&mut monitor(&kernel())?, line), expected, "{line}");
    }
    Ok(())
}

#[test]
fn a_condition_latches_and_says_what_node_problem_detector_says() -> Result<()> {
    let mut config = kernel();
    config["rules"][13]["patternGeneratedMessageSuffix"] = "see https://example.test/runbook".into();
    let mut monitor = monitor(&config)?;
    let line = "INFO: task docker:7 blocked for more than 300 seconds.";
    let statuses = record(&mut monitor, line);
    assert_eq!(statuses.len(), 2);
    assert_eq!(
        statuses[1].events[0].message,
        format!(
            "Node condition KernelDeadlock is now: True, reason: DockerHung, message: \"{line}; see https://example.test/runbook\""
        )
    );
    let again = record(&mut monitor, line);
    assert_eq!(again.len(), 1, "the permanent rule is silent");
    assert_eq!(again[0].conditions[0].status, ConditionStatus::True);
    assert_eq!(monitor.deadline(), None, "nothing clears it");
    Ok(())
}

#[test]
fn an_alternation_is_anchored_as_a_whole() -> Result<()> {
    let config = json!({"plugin": "kmsg", "rules": [temporary("AltUnanchored", "alt-one|alt-two")]});
    let mut monitor = monitor(&config)?;
    assert_eq!(reasons(&mut monitor, "x alt-one"), ["AltUnanchored"]);
    for _ in 0..9 {
        assert_eq!(reasons(&mut monitor, "innocent"), [""; 0], "it fires once, unlike node-problem-detector");
    }
    Ok(())
}

#[test]
fn two_records_match_once_with_both() -> Result<()> {
    let config = json!({"plugin": "kmsg", "rules": [temporary("Pair", "first line A\nsecond line B")]});
    let mut monitor = monitor(&config)?;
    assert_eq!(reasons(&mut monitor, "first line A"), [""; 0]);
    let statuses = record(&mut monitor, "second line B");
    assert_eq!(statuses[0].events[0].message, "first line A\nsecond line B");
    Ok(())
}

#[test]
fn a_message_of_two_lines_does_not_match_a_dot() -> Result<()> {
    let config = json!({
        "plugin": "journald", "pluginConfig": {"source": "app"}, "logPath": "/var/log/journal", "lookback": "5m",
        "bufferSize": 10, "source": "app-monitor", "conditions": [], "rules": [temporary("Bad", "bad .*")],
    });
    let mut monitor = monitor(&config)?;
    assert_eq!(reasons(&mut monitor, "bad thing\nmore of it"), [""; 0]);
    assert_eq!(reasons(&mut monitor, "bad thing"), ["Bad"]);
    Ok(())
}

#[test]
fn the_other_published_shapes_load() -> Result<()> {
    let filelog = |path: &str, timestamp: &str, message: &str, format: &str| {
        json!({
            "plugin": "filelog", "logPath": path, "lookback": "5m", "bufferSize": 10, "source": "x",
            "pluginConfig": {"timestamp": timestamp, "message": message, "timestampFormat": format},
            "conditions": [], "rules": [temporary("X", "x")],
        })
    };
    let kern = filelog("/var/log/kern.log", "^.{15}", r"kernel: \[.*\] (.*)", "Jan _2 15:04:05");
    let docker =
        filelog("/var/log/docker.log", r#"^time="(\S*)""#, r#"msg="([^\n]*)""#, "2006-01-02T15:04:05.999999999-07:00");
    let mut disk = kern.clone();
    disk["skipList"] = json!([" audit:", " audit["]);
    disk["bufferSize"] = 1.into();
    for config in [&kern, &docker, &disk] {
        assert!(matches!(load(config)?.input, LogInput::File { .. }));
    }
    let journald = json!({
        "plugin": "journald", "pluginConfig": {"source": "systemd"}, "logPath": "/var/log/journal", "lookback": "5m",
        "bufferSize": 10, "source": "systemd-monitor", "conditions": [], "metricsReporting": true,
        "rules": [temporary("KubeletStart", "Started (Kubernetes kubelet|kubelet.service|kubelet.service - Kubernetes kubelet|kubelet.service - .*).")],
    });
    assert!(matches!(load(&journald)?.input, LogInput::Journal { .. }));
    let mut monitor = monitor(&journald)?;
    assert_eq!(reasons(&mut monitor, "Started kubelet.service - Kubernetes kubelet."), ["KubeletStart"]);
    Ok(())
}

#[test]
fn lines_of_a_log_file_are_taken_apart_as_observed() -> Result<()> {
    let config = json!({
        "plugin": "filelog", "logPath": "/var/log/kern.log", "lookback": "5m", "bufferSize": 10, "source": "kernel-monitor",
        "pluginConfig": {"timestamp": "^.{15}", "message": r"kernel: \[.*\] (.*)", "timestampFormat": "Jan _2 15:04:05"},
    });
    let LogInput::File { format, .. } = load(&config)?.input else { anyhow::bail!("no file") };
    let line = b"Nov  3 07:08:09 node kernel: [12345.678] task docker:7 blocked for more than 120 seconds.";
    assert_eq!(&*format.message(line)?, b"task docker:7 blocked for more than 120 seconds.");
    let zone = jiff::tz::TimeZone::UTC;
    assert_eq!(format.timestamp(line, &zone, NOW)?.to_string(), "2026-11-03T07:08:09Z");
    assert!(format.timestamp(b"no time in this line", &zone, NOW).is_err());
    assert!(format.message(b"Nov  3 07:08:09 node sshd: hello").is_err());
    Ok(())
}
