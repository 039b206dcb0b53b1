use std::fs;

use tempfile::TempDir;

use super::*;
use crate::config::{ConfigFile, load_files, tests::check_text};

/// The configuration and the warnings, or the errors, each as one line without the file's name.
fn check(text: &str) -> (Result<SystemStatsConfig, Vec<String>>, Vec<String>) {
    check_text(text, read)
}

fn accept(text: &str) -> SystemStatsConfig {
    let (config, warnings) = check(text);
    assert_eq!(warnings, [] as [&str; 0], "{text}");
    config.unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

fn errors(text: &str) -> Vec<String> {
    check(text).0.map(|_| "accepted").unwrap_err()
}

fn warnings(text: &str) -> Vec<String> {
    let (config, warnings) = check(text);
    assert!(config.is_ok(), "{config:?}");
    warnings
}

/// A file with this metric in `cpu` and these conditions.
fn with_alert(alert: &str) -> String {
    format!(
        r#"{{"conditions":[{{"type":"Hot","reason":"IsCool"}}],
        "cpu":{{"metricsConfigs":{{"cpu/usage_time":{{"displayName":"x","alert":{alert}}}}}}}}}"#
    )
}

#[test]
fn what_node_problem_detector_takes_means_the_same() {
    let config = accept(
        r#"{"CPU": {"metricsConfigs": {"cpu/load_5m": {"displayName": "load 5"}, "cpu/load_1m": {"displayName": "cpu/load_1m"}}},
        "disk": {"metricsConfigs": {"disk/io_time": {"displayName": "disk/io_time"}},
            "includeRootBlk": true, "includeAllAttachedBlk": true, "lsblkTimeout": "5s"},
        "host": {"metricsConfigs": null}, "memory": {}, "net": {"excludeInterfaceRegexp": "^(cali|veth)"},
        "invokeInterval": "1m30s", "procPath": "/proc"}"#,
    );
    let names: Vec<_> = config.metrics.iter().map(|metric| (metric.id.metric().id, &*metric.name)).collect();
    assert_eq!(names, [("cpu/load_1m", "cpu_load_1m"), ("cpu/load_5m", "load_5"), ("disk/io_time", "disk_io_time")]);
    assert_eq!(config.interval, Duration::from_secs(90));
    assert_eq!(config.proc_path.as_deref(), Some(Path::new("/proc")));
    assert_eq!(config.disk, DiskOptions { include_root_blk: true, include_all_attached_blk: true });
    assert!(config.exclude_interfaces.as_ref().unwrap().is_match("cali1"));
    assert!(!config.exclude_interfaces.unwrap().is_match("eth0"));
    assert_eq!(&*config.source, DEFAULT_SOURCE);

    let empty = accept("{}");
    assert_eq!((empty.interval, empty.metrics.len(), empty.proc_path), (DEFAULT_INTERVAL, 0, None));
    assert_eq!(accept(r#"{"invokeInterval": "3s"}"#).interval, Duration::from_secs(3), "lsblk is not run");
}

#[test]
fn an_unknown_metric_is_ignored_with_a_warning() {
    let text = r#"{"cpu": {"metricsConfigs": {"cpu/load_1": {"displayName": "a"}, "net/rx_bytes": {"displayName": "b"},
"cpu/load_15m": {}}}}"#;
    let expected = [
        r#"1:43: /cpu/metricsConfigs/cpu~1load_1: unknown metric "cpu/load_1" in "cpu" is ignored, did you mean "cpu/load_1m"?"#,
        r#"1:81: /cpu/metricsConfigs/net~1rx_bytes: unknown metric "net/rx_bytes" in "cpu" is ignored"#,
        r#"2:17: /cpu/metricsConfigs/cpu~1load_15m: the metric has no "displayName" and is not measured"#,
    ];
    assert_eq!(warnings(text), expected);
}

#[test]
fn a_metric_of_net_without_a_name_is_an_error() {
    let text = r#"{"net": {"metricsConfigs": {"net/rx_bytes": {}, "net/tx_bytes": {"displayName": "a"}}}}"#;
    let expected = [
        r#"1:45: /net/metricsConfigs/net~1rx_bytes: metric "net/rx_bytes" has no "displayName", set one such as "net/rx_bytes""#,
    ];
    assert_eq!(errors(text), expected);
}

#[test]
fn two_metrics_need_two_names() {
    let text = r#"{"cpu": {"metricsConfigs": {"cpu/load_1m": {"displayName": "a b"}}},
"memory": {"metricsConfigs": {"memory/bytes_used": {"displayName": "a/b"}, "memory/dirty_used": {"displayName": "npd/x"}}}}"#;
    let expected = [
        r#"2:68: /memory/metricsConfigs/memory~1bytes_used/displayName: "a_b" is already the name of metric "cpu/load_1m", each metric needs its own name"#,
        r#"2:113: /memory/metricsConfigs/memory~1dirty_used/displayName: "npd_x" is reserved for npd, allowed: names that do not begin with npd_"#,
    ];
    assert_eq!(errors(text), expected);
}

#[test]
fn two_files_may_measure_the_same_but_not_call_different_things_the_same() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, id: &str| {
        let path = folder.path().join(name);
        fs::write(&path, format!(r#"{{"cpu":{{"metricsConfigs":{{"{id}":{{"displayName":"load"}}}}}}}}"#)).unwrap();
        ConfigFile::system_stats(path)
    };
    let (a, b, c) = (file("a", "cpu/load_1m"), file("b", "cpu/load_1m"), file("c", "cpu/load_5m"));
    assert_eq!(load_files(&[a.clone(), b]).unwrap().system_stats.len(), 2);
    let error = load_files(&[a, c]).unwrap_err().to_string();
    let error = error.replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(
        error,
        r#"c: "load" is already the name of metric "cpu/load_1m" of "a", each metric needs its own name"#
    );
}

#[test]
fn wrong_settings_are_errors_with_their_place() {
    for (text, expected) in [
        (r#"{"invokeInterval": "0s"}"#, "1:20: /invokeInterval: 0s is not valid, allowed: 10ms and more"),
        (r#"{"invokeInterval": "-1m"}"#, "1:20: /invokeInterval: -1m0s is not valid, allowed: 10ms and more"),
        (
            r#"{"invokeInterval": "5"}"#,
            r#"1:20: /invokeInterval: time: missing unit in duration "5", allowed: Go durations such as 300ms, 5m or 1h30m"#,
        ),
        (
            r#"{"disk": {"lsblkTimeout": "x"}}"#,
            r#"1:27: /disk/lsblkTimeout: time: invalid duration "x", allowed: Go durations such as 300ms, 5m or 1h30m"#,
        ),
        (
            r#"{"procPath": "/no/such/folder"}"#,
            "1:14: /procPath: /no/such/folder is not valid, allowed: a folder that has the node's /proc",
        ),
        (r#"{"cpu": []}"#, "1:9: /cpu: is an array, must be an object"),
        (
            r#"{"cpu": {"metricsConfigs": {"cpu/load_1m": "x"}}}"#,
            r#"1:44: /cpu/metricsConfigs/cpu~1load_1m: is the string "x", must be an object"#,
        ),
        (
            r#"{"disk": {"includeRootBlk": "yes"}}"#,
            r#"1:29: /disk/includeRootBlk: is the string "yes", must be true or false (without quotes)"#,
        ),
    ] {
        assert_eq!(errors(text), [expected], "{text}");
    }
    assert!(
        errors(r#"{"net": {"excludeInterfaceRegexp": "("}}"#)[0].starts_with("1:36: /net/excludeInterfaceRegexp: ")
    );
}

#[test]
fn an_alert_has_a_bound_and_may_have_more() {
    let config = accept(&with_alert(
        r#"[{"above": 1e1, "type": "permanent", "condition": "Hot", "reason": "IsHot", "for": "5m", "labels": {"state": "user"}},
        {"below": -0.5, "type": "temporary", "reason": "Idle"}]"#,
    ));
    let expected = Alert {
        bound: Bound::Above(10.0),
        hold: Duration::from_mins(5),
        labels: vec![(0, "user".into())],
        effect: Effect::Permanent { condition: 0 },
        reason: "IsHot".into(),
        pointer: "/cpu/metricsConfigs/cpu~1usage_time/alert/0".into(),
    };
    assert_eq!(config.metrics[0].alerts[0], expected);
    assert_eq!(config.metrics[0].alerts[1].bound, Bound::Below(-0.5));
    assert_eq!(&*config.conditions[0].kind, "Hot");
}

#[test]
fn a_wrong_alert_is_an_error_with_its_place() {
    let place = "/cpu/metricsConfigs/cpu~1usage_time/alert";
    for (alert, expected) in [
        (r#"{"type": "temporary", "reason": "R"}"#, r#": an alert needs either "above" or "below""#),
        (
            r#"{"above": 1, "below": 0, "type": "temporary", "reason": "R"}"#,
            r#": an alert needs either "above" or "below""#,
        ),
        (
            r#"{"above": "1", "type": "temporary", "reason": "R"}"#,
            r#"/above: is the string "1", must be a number (without quotes)"#,
        ),
        (
            r#"{"above": 1e999, "type": "temporary", "reason": "R"}"#,
            "/above: 1e999 is not valid, allowed: a number that fits 64 bits",
        ),
        (r#"{"above": 1, "type": "temporary"}"#, r#": the alert has no reason, set one such as "MemoryPressure""#),
        (
            r#"{"above": 1, "type": "sometimes", "reason": "R"}"#,
            r#"/type: type "sometimes" is not valid, allowed: "temporary" and "permanent""#,
        ),
        (
            r#"{"above": 1, "type": "permanent", "condition": "Cold", "reason": "R"}"#,
            r#"/condition: the permanent rule's condition "Cold" is not declared under "conditions", known: "Hot""#,
        ),
        (
            r#"{"above": 1, "type": "temporary", "reason": "R", "labels": {"stat": "user"}}"#,
            r#"/labels/stat: metric "cpu/usage_time" has no label "stat", known: "state""#,
        ),
        (
            r#"{"above": 1, "type": "temporary", "reason": "R", "for": "-1s"}"#,
            "/for: -1s is not valid, allowed: a positive duration such as 90s or 10m",
        ),
    ] {
        let found = errors(&with_alert(alert));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with(&format!("{place}{expected}")), "{}\n{expected}", found[0]);
    }
    assert_eq!(errors(&with_alert("7")), [format!("2:78: {place}: is the number 7, must be an object")]);
}

#[test]
fn a_condition_without_an_alert_is_told_of() {
    let text = with_alert(r#"{"above": 1, "type": "temporary", "reason": "R"}"#);
    assert_eq!(warnings(&text), [r#"1:16: /conditions/0: no rule sets condition "Hot", it will always be False"#]);
}

#[test]
fn modules_are_known_from_a_file_beside_the_config() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("stats.json");
    fs::write(
        &path,
        r#"{"osFeature": {"KnownModulesConfigPath": "known.json", "metricsConfigs": {"system/os_feature": {"displayName": "f"}}}}"#,
    )
    .unwrap();
    let load = || load_files(&[ConfigFile::system_stats(&path)]).unwrap();
    let warning = load().warnings[0].to_string();
    assert!(warning.contains("/osFeature/KnownModulesConfigPath: no kernel module is known, "), "{warning}");
    assert!(warning.ends_with("known.json cannot be read: No such file or directory (os error 2)"), "{warning}");

    fs::write(folder.path().join("known.json"), r#"[{"moduleName": "zfs", "outOfTree": true}, {"moduleName": ""}]"#)
        .unwrap();
    let loaded = load();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.system_stats[0].known_modules.iter().map(|name| &**name).collect::<Vec<_>>(), ["zfs"]);

    for broken in ["[", "{}", r#"[{"moduleName": 1}]"#] {
        fs::write(folder.path().join("known.json"), broken).unwrap();
        let loaded = load();
        assert_eq!((loaded.warnings.len(), loaded.system_stats[0].known_modules.len()), (1, 0), "{broken}");
    }
}
