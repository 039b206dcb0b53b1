use super::*;
use crate::config::tests::check_text;

/// The configuration and the warnings, or the errors and the warnings, each as one line without file and position.
fn check(text: &str) -> (Result<CustomPluginConfig, Vec<String>>, Vec<String>) {
    let (config, warnings) = check_text(text, read);
    // `1:2: ` is before it.
    let unplaced = |lines: Vec<String>| lines.iter().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect();
    (config.map_err(unplaced), unplaced(warnings))
}

fn accept(text: &str) -> CustomPluginConfig {
    let (config, warnings) = check(text);
    assert_eq!(warnings, [""; 0], "{text}");
    config.unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

/// A file with these settings and one rule with these keys besides.
fn with(settings: &str, rule: &str) -> String {
    format!(
        r#"{{"plugin": "custom", "pluginConfig": {{{settings}}}, "rules": [{{"type": "temporary", "reason": "R", "path": "/bin/sh"{rule}}}]}}"#
    )
}

fn errors(text: &str) -> Vec<String> {
    check(text).0.map(|_| "accepted").unwrap_err()
}

/// The defaults of `ApplyConfiguration` in node-problem-detector's pkg/custompluginmonitor/types/config.go.
#[test]
fn what_is_not_said_has_a_default() {
    let config = accept(&with("", ""));
    assert_eq!((config.concurrency.get(), config.max_output_length), (3, 80));
    assert!(!config.message_changes && !config.skip_initial_status && config.metrics_reporting);
    let [rule] = &config.rules[..] else { panic!("{config:?}") };
    assert_eq!((rule.interval, rule.timeout), (Duration::from_secs(30), Duration::from_secs(5)));
    assert_eq!((rule.effect, &*rule.check.identity()), (Effect::Temporary, "/bin/sh []"));
}

#[test]
fn everything_can_be_said() {
    let config = accept(
        r#"{"plugin": "custom", "pluginConfig": {"invoke_interval": "1m", "timeout": "10s", "max_output_length": 200,
        "concurrency": 1, "enable_message_change_based_condition_update": true, "skip_initial_status": true},
        "source": "s", "metricsReporting": false, "conditions": [{"type": "C", "reason": "Fine", "message": "m"}],
        "rules": [{"type": "permanent", "condition": "C", "reason": "R", "path": "/bin/sh", "args": ["-c", "exit 1"],
                   "timeout": "2s", "invoke_interval": "90s"}]}"#,
    );
    assert_eq!((config.concurrency.get(), config.max_output_length, &*config.source), (1, 200, "s"));
    assert!(config.message_changes && config.skip_initial_status && !config.metrics_reporting);
    let [rule] = &config.rules[..] else { panic!("{config:?}") };
    assert_eq!((rule.interval, rule.timeout), (Duration::from_secs(90), Duration::from_secs(2)));
    assert_eq!(rule.effect, Effect::Permanent { condition: 0 });
    assert_eq!(rule.check.identity(), r#"/bin/sh ["-c", "exit 1"]"#);
}

#[test]
fn keys_are_taken_in_any_case_and_null_is_nothing() {
    let config =
        accept(&with(r#""INVOKE_INTERVAL": "1m", "Timeout": null, "concurrency": null"#, r#", "ARGS": ["a"]"#));
    assert_eq!(config.rules[0].interval, Duration::from_mins(1));
    assert_eq!(config.concurrency.get(), 3);
}

#[test]
fn what_could_never_work_is_an_error() {
    for (settings, rule, expected) in [
        (r#""invoke_interval": "0s""#, "", "/pluginConfig/invoke_interval: 0s is not valid, allowed: 10ms and more"),
        (r#""invoke_interval": "-1s""#, "", "/pluginConfig/invoke_interval: -1s is not valid, allowed: 10ms and more"),
        (r#""timeout": "0s""#, "", "/pluginConfig/timeout: 0s is not valid, allowed: 1ms and more"),
        (r#""concurrency": 0"#, "", "/pluginConfig/concurrency: a concurrency of 0 is not valid, allowed: 1 to 256"),
        (r#""concurrency": -1"#, "", "/pluginConfig/concurrency: a concurrency of -1 is not valid, allowed: 1 to 256"),
        (
            r#""max_output_length": -1"#,
            "",
            "/pluginConfig/max_output_length: a length of -1 is not valid, allowed: 0 to 32768 bytes",
        ),
        (
            r#""concurrency": "3""#,
            "",
            "/pluginConfig/concurrency: is the string \"3\", must be an integer (without quotes)",
        ),
        (
            "",
            r#", "timeout": "6s""#,
            "/rules/0/timeout: a timeout of 6s is not valid, allowed: up to the 5s of \"pluginConfig\"",
        ),
        ("", r#", "invoke_interval": "0""#, "/rules/0/invoke_interval: 0s is not valid, allowed: 10ms and more"),
        ("", r#", "path": """#, "/rules/0/path: \"path\" is missing, the rule needs a program to run"),
        (
            "",
            r#", "args": ["a\u0000b"]"#,
            "/rules/0/path: the path or an argument contains a NUL character, which cannot be passed to a program",
        ),
        ("", r#", "args": "x""#, "/rules/0/args: is the string \"x\", must be an array"),
        (
            "",
            r#", "type": "permanent", "condition": "C""#,
            "/rules/0/condition: the permanent rule's condition \"C\" is not declared under \"conditions\", known: none",
        ),
    ] {
        assert_eq!(errors(&with(settings, rule)), [expected]);
    }
}

/// node-problem-detector does not start then.
#[test]
fn a_program_that_is_not_there_yet_is_a_warning() {
    let (config, warnings) = check(&with("", r#", "path": "does/not/exist""#));
    assert!(config.is_ok());
    let expected = r#"/rules/0/path: there is no program "does/not/exist" here; a relative path is looked up in the agent's working directory"#;
    assert!(warnings.contains(&expected.to_owned()), "{warnings:?}");
}

#[test]
fn the_file_of_another_monitor_is_told_where_it_belongs() {
    assert_eq!(
        errors(r#"{"plugin": "kmsg"}"#),
        [r#"/plugin: plugin "kmsg" belongs in a --config.system-log-monitor file, allowed: "custom", "health""#]
    );
    assert_eq!(errors(r#"{"plugin": "x"}"#), [r#"/plugin: unknown plugin "x", allowed: "custom", "health""#]);
    assert_eq!(errors("{}"), [r#""plugin" is missing, allowed: "custom", "health""#]);
}

#[test]
fn a_health_monitor_names_checks_of_the_agents_own() {
    let with = |rule: &str| {
        format!(r#"{{"plugin": "health", "source": "s", "rules": [{{"type": "temporary", "reason": "R"{rule}}}]}}"#)
    };
    let config = accept(&with(r#", "check": "conntrack", "args": ["--threshold=80"]"#));
    assert_eq!(config.rules[0].check.identity(), r#"conntrack ["--threshold=80"]"#);
    for (rule, expected) in [
        (
            r#", "check": "etcd""#,
            "/rules/0/check: unknown check \"etcd\"; the checks are kubelet, kube-proxy, docker, cri, conntrack, processes, files, inodes, clock",
        ),
        (
            "",
            "/rules/0: unknown check \"\"; the checks are kubelet, kube-proxy, docker, cri, conntrack, processes, files, inodes, clock",
        ),
        (
            r#", "check": "files", "args": ["--threshold=x"]"#,
            "/rules/0: invalid value 'x' for '--threshold <THRESHOLD>': \"x\" is not a percentage: it must be a number from 0 to 100",
        ),
        (
            r#", "check": "files", "path": "/bin/sh""#,
            "/rules/0/path: \"path\" is only allowed with \"plugin\": \"custom\", use \"check\" here",
        ),
    ] {
        assert_eq!(errors(&with(rule)), [expected]);
    }
    let program = r#"{"plugin": "custom", "source": "s", "rules": [{"type": "temporary", "reason": "R", "path": "/bin/sh", "check": "files"}]}"#;
    assert_eq!(
        errors(program),
        ["/rules/0/check: \"check\" is only allowed with \"plugin\": \"health\", use \"path\" here"]
    );
}

#[test]
fn all_errors_are_found_in_one_run() {
    let text = r#"{"plugin": "custom", "pluginConfig": {"timeout": "x", "concurrency": 0},
        "rules": [null, {"reason": "R", "path": ""}, {"type": "temporary", "reason": "\n", "path": "/bin/sh"}]}"#;
    let errors = errors(text);
    let found: Vec<_> = errors.iter().map(|error| error.split(':').next().unwrap()).collect();
    let expected = [
        "/pluginConfig/timeout",
        "/pluginConfig/concurrency",
        "/rules/0",
        "/rules/1",
        "/rules/1/path",
        "/rules/2/reason",
    ];
    assert_eq!(found, expected, "{errors:?}");
}
