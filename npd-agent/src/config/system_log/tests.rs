use proptest::prelude::*;

use super::*;
use crate::config::tests::check_text;

mod inputs;
mod keys;

/// The configuration and the warnings, or the errors and the warnings, each as one line without the file's name.
fn check(text: &str) -> (Result<SystemLogConfig, Vec<String>>, Vec<String>) {
    check_text(text, read)
}

fn accept(text: &str) -> SystemLogConfig {
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

/// The text without its `@`, and the position of what it stood before.
fn unmark(marked: &str) -> (String, String) {
    let (before, after) = marked.split_once('@').unwrap();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    (format!("{before}{after}"), format!("{line}:{column}"))
}

/// A file with these settings besides the plugin.
fn with(settings: &str) -> String {
    format!(r#"{{"plugin":"kmsg",{settings}}}"#)
}

const DEADLOCK: &str = r#"{"type":"KernelDeadlock","reason":"KernelHasNoDeadlock","message":"kernel has no deadlock"}"#;

/// A file that declares `KernelDeadlock` and has these rules.
fn with_rules(rules: &str) -> String {
    with(&format!(r#""metricsReporting":true,"conditions":[{DEADLOCK}],"rules":[{rules}]"#))
}

/// A rule that sets `KernelDeadlock` and is in order.
const HUNG: &str = r#"{"type":"permanent","condition":"KernelDeadlock","reason":"DockerHung","pattern":"docker"}"#;

#[test]
fn what_is_not_given_has_node_problem_detectors_defaults() {
    let config = accept(r#"{"plugin":"kmsg"}"#);
    assert_eq!(config.path, Path::new("f"));
    assert_eq!(config.input, LogInput::KernelLog);
    assert_eq!(&*config.source, "");
    assert_eq!(config.lookback, GoDuration::ZERO);
    assert_eq!(config.delay, GoDuration::ZERO);
    assert_eq!(config.buffer_size.get(), 10);
    assert!(config.conditions.is_empty() && config.rules.is_empty());
    assert!(config.metrics_reporting);
}

#[test]
fn a_whole_file_is_read() {
    let config = accept(
        r#"{
          "plugin": "kmsg", "pluginConfig": {}, "logPath": "/dev/kmsg", "skipList": [], "lookback": "5m",
          "delay": "1.5s", "bufferSize": 25, "source": "kernel-monitor", "metricsReporting": false,
          "conditions": [
            {"type": "XfsShutdown", "status": "True", "transition": "2026-11-23T13:29:42Z", "reason": "Fine"},
            {"type": "KernelDeadlock", "reason": "KernelHasNoDeadlock", "message": "kernel has no deadlock"}
          ],
          "rules": [
            {"type": "temporary", "reason": "OOMKilling", "pattern": "Killed process \\d+"},
            {"type": "permanent", "condition": "KernelDeadlock", "reason": "DockerHung", "pattern": "docker",
             "patternGeneratedMessageSuffix": "see the runbook"},
            {"type": "permanent", "condition": "XfsShutdown", "reason": "Down", "pattern": "XFS", "patternGeneratedMessageSuffix": ""}
          ]
        }"#,
    );
    assert_eq!(&*config.source, "kernel-monitor");
    assert_eq!(config.lookback, GoDuration::from_secs(300));
    assert_eq!(config.delay, GoDuration::from_nanos(1_500_000_000));
    assert_eq!(config.buffer_size.get(), 25);
    assert!(!config.metrics_reporting);
    let conditions: Vec<_> = config.conditions.iter().map(|c| (&*c.kind, &*c.reason, c.message.as_str())).collect();
    let expected = [("XfsShutdown", "Fine", ""), ("KernelDeadlock", "KernelHasNoDeadlock", "kernel has no deadlock")];
    assert_eq!(conditions, expected);
    let rule = |rule: &Rule| {
        (
            rule.effect,
            rule.reason.to_string(),
            rule.pattern.source().to_owned(),
            rule.suffix.clone().unwrap_or_default(),
        )
    };
    let rules: Vec<_> = config.rules.iter().map(rule).collect();
    let expected = [
        (Effect::Temporary, "OOMKilling", r"Killed process \d+", ""),
        (Effect::Permanent { condition: 1 }, "DockerHung", "docker", "see the runbook"),
        (Effect::Permanent { condition: 0 }, "Down", "XFS", ""),
    ];
    assert_eq!(rules, expected.map(|(e, r, p, s)| (e, r.to_owned(), p.to_owned(), s.to_owned())));
    assert!(config.rules[2].suffix.is_none());
}

#[test]
fn node_problem_detector_takes_it_and_so_do_we() {
    for settings in [
        r#""lookback":"","delay":"""#,
        r#""lookback":"-5m","delay":"0""#,
        r#""bufferSize":0"#,
        r#""bufferSize":-0"#,
        r#""bufferSize":1000"#,
        r#""rules":null,"conditions":null,"pluginConfig":null,"skipList":null,"source":null"#,
        r#""metricsReporting":null"#,
        r#""_comment":{"any":["thing"]}"#,
        r#""logPath":"""#,
        r#""conditions":[{"type":"Odd","reason":"","message":"","transition":null,"status":null}],"rules":[{"type":"permanent","condition":"Odd","reason":"R","pattern":"x"}]"#,
        r#""conditions":[{"type":"Odd","transition":"2026-11-23T1:29:42,5+24:00"}],"rules":[{"type":"permanent","condition":"Odd","reason":"R","pattern":"x"}]"#,
        r#""metricsReporting":false,"rules":[{"type":"temporary","reason":"café","pattern":"x"}]"#,
    ] {
        accept(&with(settings));
    }
    accept(r#"{"PLUGIN":"kmsg","RULES":[{"TYPE":"temporary","Reason":"R","PATTERN":"x"}],"BuffeRSize":3}"#);
    accept(r#"{"plugin":"kmsg","rule\u017f":[]}"#);
}

#[cfg(feature = "journald")]
#[test]
fn each_error_of_a_setting_says_where_it_is_and_what_is_allowed() {
    for (text, error) in [
        ("@null".to_owned(), r#""plugin" is missing, allowed: "kmsg", "filelog", "journald""#),
        ("@{}".to_owned(), r#""plugin" is missing, allowed: "kmsg", "filelog", "journald""#),
        (r#"{"plugin":@""}"#.to_owned(), r#"/plugin: "plugin" is missing, allowed: "kmsg", "filelog", "journald""#),
        (r#"@{"plugin":null}"#.to_owned(), r#""plugin" is missing, allowed: "kmsg", "filelog", "journald""#),
        ("@[]".to_owned(), "is an array, must be an object"),
        (
            r#"{"Plugin":@"nope"}"#.to_owned(),
            r#"/Plugin: unknown plugin "nope", allowed: "kmsg", "filelog", "journald""#,
        ),
        (
            "@{\n  \"plugin\": \"filelog\"\n}".to_owned(),
            r#""logPath" is missing, plugin "filelog" needs the path of the log file"#,
        ),
        (
            r#"@{"plugin":"journald"}"#.to_owned(),
            r#""pluginConfig" has no "source", "unit" or "transport", plugin "journald" needs one of them"#,
        ),
        (
            r#"{"plugin":@"health"}"#.to_owned(),
            r#"/plugin: plugin "health" belongs in a --config.custom-plugin-monitor file, allowed: "kmsg", "filelog", "journald""#,
        ),
        (
            r#"{"plugin":@"custom"}"#.to_owned(),
            r#"/plugin: plugin "custom" belongs in a --config.custom-plugin-monitor file, allowed: "kmsg", "filelog", "journald""#,
        ),
        (with(r#""source":@5"#), "/source: is the number 5, must be a string"),
        (
            with(r#""lookback":@"5""#),
            r#"/lookback: time: missing unit in duration "5", allowed: Go durations such as 300ms, 5m or 1h30m"#,
        ),
        (
            with(r#""delay":@"1d""#),
            r#"/delay: time: unknown unit "d" in duration "1d", allowed: Go durations such as 300ms, 5m or 1h30m"#,
        ),
        (with(r#""lookback":@5"#), "/lookback: is the number 5, must be a string"),
        (
            with(r#""bufferSize":@-1"#),
            "/bufferSize: a buffer of -1 lines is not valid, allowed: 1 to 1000 lines (0 means 10)",
        ),
        (
            with(r#""bufferSize":@1001"#),
            "/bufferSize: a buffer of 1001 lines is not valid, allowed: 1 to 1000 lines (0 means 10)",
        ),
        (
            with(r#""bufferSize":@10.0"#),
            "/bufferSize: 10.0 is not an integer, allowed: 64-bit integers without fraction or exponent",
        ),
        (with(r#""bufferSize":@"10""#), r#"/bufferSize: is the string "10", must be an integer (without quotes)"#),
        (
            with(r#""metricsReporting":@"no""#),
            r#"/metricsReporting: is the string "no", must be true or false (without quotes)"#,
        ),
        (with(r#""pluginConfig":{"a/b":@1}"#), "/pluginConfig/a~1b: is the number 1, must be a string"),
        (with(r#""skipList":["a",@{}]"#), "/skipList/1: is an object, must be a string"),
    ] {
        let (text, position) = unmark(&text);
        assert_eq!(errors(&text), [format!("{position}: {error}")], "{text}");
    }
}

#[test]
fn each_error_of_a_rule_or_condition_says_where_it_is_and_what_is_allowed() {
    for (text, error) in [
        (with(r#""rules":@{}"#), "/rules: is an object, must be an array"),
        (with(r#""rules":[@null]"#), "/rules/0: is null, must be a rule"),
        (with(r#""rules":[@"x"]"#), r#"/rules/0: is the string "x", must be an object"#),
        (with(r#""conditions":[@null]"#), "/conditions/0: is null, must be a condition"),
        (
            with(r#""conditions":[@{"reason":"x"}]"#),
            r#"/conditions/0: the condition has no type, set one such as "KernelDeadlock""#,
        ),
        (
            with(r#""conditions":[{"type":"A","transition":@"soon"}]"#),
            "/conditions/0/transition: soon is not a time, \
             allowed: RFC 3339 times such as 2026-01-31T08:00:00Z",
        ),
        (
            with(r#""conditions":[{"type":"A","transition":@1}]"#),
            "/conditions/0/transition: is the number 1, must be a string with a time",
        ),
        (with(r#""conditions":[{"type":"A","status":@false}]"#), "/conditions/0/status: is false, must be a string"),
        (
            with(r#""conditions":[{"type":"A"},{"type":"B"},@{"type":"A","reason":"x"}]"#),
            r#"/conditions/2: condition "A" is already declared at 1:32 with a different reason or message, only one declaration is allowed"#,
        ),
        (
            with_rules(r#"{"type":"permanent","condition":@"KernelDeadlok","reason":"R","pattern":"x"}"#),
            r#"/rules/0/condition: the permanent rule's condition "KernelDeadlok" is not declared under "conditions", known: "KernelDeadlock""#,
        ),
        (
            with(r#""rules":[@{"type":"permanent","reason":"R","pattern":"x"}]"#),
            r#"/rules/0: the permanent rule's condition "" is not declared under "conditions", known: none"#,
        ),
        (
            with(r#""rules":[@{"type":"Temporary","reason":"R","pattern":"x"}]"#),
            r#"/rules/0: the rule's type "Temporary" counts as permanent, but its condition "" is not declared under "conditions", known: none"#,
        ),
        (
            with(r#""rules":[@{"reason":"R","pattern":"x"}]"#),
            r#"/rules/0: the rule has no type and so counts as permanent, but its condition "" is not declared under "conditions", known: none"#,
        ),
        (
            with(r#""rules":[{"type":"temporary","reason":@"café","pattern":"x"}]"#),
            "/rules/0/reason: café cannot be used as a metric label, allowed: at most 255 printable ASCII characters \
             (anything with \"metricsReporting\": false)",
        ),
        (
            with(
                r#""conditions":[{"type":"é"}],"rules":[{"type":"permanent","condition":@"é","reason":"R","pattern":"x"}]"#,
            ),
            "/rules/0/condition: é cannot be used as a metric label, allowed: at most 255 printable ASCII characters \
             (anything with \"metricsReporting\": false)",
        ),
    ] {
        let (text, position) = unmark(&text);
        assert_eq!(errors(&text), [format!("{position}: {error}")], "{text}");
    }
}

#[test]
fn a_wrong_pattern_is_an_error_in_the_words_of_the_parser() {
    let text = with(r#""rules":[{"type":"temporary","reason":"R","pattern":@"a(b"}]"#);
    let expected = Pattern::parse("a(b").unwrap_err().to_string();
    let (text, position) = unmark(&text);
    assert_eq!(errors(&text), [format!("{position}: /rules/0/pattern: {expected}")]);
}

#[test]
fn all_errors_are_reported_from_top_to_bottom() {
    let text = r#"{
      "rules": [
        {"type": "permanent", "condition": "Nope", "reason": "é", "pattern": "("},
        null,
        {"type": 5, "reason": [], "pattern": true}
      ],
      "conditions": [{"type": "A", "message": 1}],
      "lookback": "x", "delay": "5", "bufferSize": -5, "plugin": "kmesg"
    }"#;
    let places: Vec<_> = errors(text).iter().map(|e| e.split(": ").nth(1).unwrap().to_owned()).collect();
    let expected = [
        "/rules/0/condition",
        "/rules/0/reason",
        "/rules/0/pattern",
        "/rules/1",
        "/rules/2/type",
        "/rules/2/reason",
        "/rules/2/pattern",
        "/conditions/0/message",
        "/lookback",
        "/delay",
        "/bufferSize",
        "/plugin",
    ];
    assert_eq!(places, expected);
}

#[test]
fn an_error_does_not_cause_others() {
    let undeclared = r#""rules":[{"type":"permanent","condition":"A","reason":"R","pattern":"x"}]"#;
    for (text, error) in [
        (with(&format!(r#""conditions":{{}},{undeclared}"#)), "/conditions"),
        (with(&format!(r#""conditions":["A"],{undeclared}"#)), "/conditions/0"),
        (with(&format!(r#""conditions":[{{"type":1}}],{undeclared}"#)), "/conditions/0/type"),
        (with_rules(r#"{"type":1,"reason":"R","pattern":"x"}"#), "/rules/0/type"),
        (with_rules(r#"{"type":"permanent","condition":1,"reason":"R","pattern":"x"}"#), "/rules/0/condition"),
        (r#"{"plugin":1}"#.to_owned(), "/plugin"),
    ] {
        let found = errors(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].split(": ").nth(1), Some(error));
    }
}

#[test]
fn what_node_problem_detector_takes_and_never_does_is_a_warning() {
    let temporary = r#""type":"temporary","reason":"R","pattern":"x""#;
    for (text, warning) in [
        (with(r#"@"lookBck":"5m""#), r#"/lookBck: unknown key "lookBck" is ignored, did you mean "lookback"?"#),
        (
            with(&format!(r#""rules":[{{{temporary},@"path":1}}]"#)),
            r#"/rules/0/path: unknown key "path" is ignored, known: "type", "condition", "reason", "pattern", "patternGeneratedMessageSuffix", "message", "by", "threshold", "clearPattern", "clearAfter", "recheck", "foldWithin""#,
        ),
        (
            with(&format!(r#""rules":[{{{temporary},@"Pattern":"y"}}]"#)),
            r#"/rules/0/Pattern: key "Pattern" was already given at 1:60; the later of two scalars wins, arrays and objects are merged"#,
        ),
        (with(r#""logPath":@"/var/log/kern.log""#), r#"/logPath: "logPath" has no effect with plugin "kmsg""#),
        (with(r#""skipList":[@"a"]"#), r#"/skipList/0: "skipList" has no effect with plugin "kmsg""#),
        (
            with(r#""pluginConfig":@{"source":"kernel"}"#),
            r#"/pluginConfig: "pluginConfig" has no effect with plugin "kmsg""#,
        ),
        (
            with_rules(&HUNG.replace(r#""permanent""#, r#"@"Permanent""#)),
            r#"/rules/0/type: the rule's type "Permanent" is neither "temporary" nor "permanent" and counts as permanent"#,
        ),
        (
            with_rules(&HUNG.replace(r#"{"type":"permanent","#, "@{")),
            r#"/rules/0: the rule has no type, it is neither "temporary" nor "permanent" and counts as permanent"#,
        ),
        (
            with(r#""rules":[{"type":"temporary","reason":"R","pattern":@""}]"#),
            "/rules/0/pattern: the rule has no pattern and matches every line",
        ),
        (
            with(r#""rules":[@{"type":"temporary","reason":"R"}]"#),
            "/rules/0: the rule has no pattern and matches every line",
        ),
        (
            with(r#""rules":[{"type":"temporary","reason":"R","pattern":@"^x"}]"#),
            "/rules/0/pattern: ^ matches only at the start of the 10-line buffer, so the pattern never matches, \
             use (?m)^ for the start of a line",
        ),
        (
            with(r#""rules":[@{"type":"temporary","pattern":"x"}]"#),
            "/rules/0: the rule has no reason, its events and metrics will have an empty one",
        ),
        (
            with(&format!(r#""rules":[{{{temporary},"condition":@"A"}}]"#)),
            r#"/rules/0/condition: a temporary rule sets no condition, "A" is ignored"#,
        ),
        (
            with(&format!(r#""conditions":[{DEADLOCK},@{DEADLOCK}],"rules":[{HUNG}]"#)),
            r#"/conditions/1: condition "KernelDeadlock" is already declared at 1:32 with the same reason and message, this one is ignored"#,
        ),
        (
            with(&format!(r#""conditions":[@{DEADLOCK}]"#)),
            r#"/conditions/0: no rule sets condition "KernelDeadlock", it will always be False"#,
        ),
    ] {
        let (text, position) = unmark(&text);
        assert_eq!(warnings(&text), [format!("{position}: {warning}")], "{text}");
    }
}

#[test]
fn duplicates_are_found_in_maps_and_whatever_their_case() {
    let found = warnings(&with(r#""pluginConfig":{"a":"1","a":"2"},"PluginConfig":null"#));
    let places: Vec<_> = found.iter().map(|warning| warning.split(';').next().unwrap()).collect();
    let expected = [
        r#"1:42: /pluginConfig/a: key "a" was already given at 1:34"#,
        r#"1:51: /PluginConfig: key "PluginConfig" was already given at 1:18"#,
    ];
    assert_eq!(places, expected);
}

#[test]
fn a_condition_repeated_in_the_same_words_is_one_condition() {
    let odd = r#"{"type":"Odd"}"#;
    let rule = HUNG.replace("KernelDeadlock", "Odd");
    let (config, _) = check(&with(&format!(r#""conditions":[{DEADLOCK},{DEADLOCK},{odd}],"rules":[{HUNG},{rule}]"#)));
    let config = config.unwrap();
    assert_eq!(config.conditions.len(), 2);
    assert_eq!(config.rules[1].effect, Effect::Permanent { condition: 1 });
    assert_eq!(&*config.conditions[1].kind, "Odd");
}

#[test]
fn an_error_names_the_first_ten_conditions() {
    let conditions: Vec<_> = (0..12).map(|i| format!(r#"{{"type":"C{i}"}}"#)).collect();
    let conditions = conditions.join(",");
    let rule = r#"{"type":"permanent","condition":"D","reason":"R","pattern":"x"}"#;
    let found = errors(&with(&format!(r#""conditions":[{conditions}],"rules":[{rule}]"#)));
    assert!(found[0].ends_with(r#"known: "C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9" and 2 more"#));
}

#[test]
fn labels_may_have_255_bytes_of_printable_ascii() {
    let with_reason =
        |reason: &str| with(&format!(r#""rules":[{{"type":"temporary","reason":"{reason}","pattern":"x"}}]"#));
    accept(&with_reason(&"x".repeat(255)));
    accept(&with_reason(" ~"));
    for reason in ["x".repeat(256), "\u{7f}".to_owned(), "é".to_owned(), "\\n".to_owned()] {
        assert_eq!(errors(&with_reason(&reason)).len(), 1);
    }
}

#[test]
fn a_message_is_one_short_line_whatever_the_file_says() {
    let long = "\\n\\u001b[2J\\u0085x".repeat(1_000_000);
    let text = with(&format!(r#""{long}":1,"lookback":"5s\n","rules":[{{"type":"{long}","condition":"{long}"}}]"#));
    let (config, warnings) = check(&text);
    let errors = config.map(|_| ()).unwrap_err();
    for line in errors.iter().chain(&warnings) {
        assert!(!line.contains(char::is_control), "{line}");
    }
    assert!(errors.iter().all(|line| line.len() < 1_000));
    assert_eq!(errors.iter().filter(|line| line.contains(r#""5s\x0a""#)).count(), 1);
}

#[test]
fn many_rules_and_conditions_are_checked_in_linear_time() {
    let started = std::time::Instant::now();
    let conditions: Vec<_> = (0..50_000).map(|i| format!(r#"{{"type":"C{i}"}}"#)).collect();
    let rules = vec![r#"{"type":"permanent","condition":"D"}"#; 50_000];
    let text = with(&format!(r#""conditions":[{}],"rules":[{}]"#, conditions.join(","), rules.join(",")));
    assert_eq!(errors(&text).len(), 50_000);
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}

/// Files that are nearly right.
fn nearly_right() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "null",
        "true",
        "0",
        "-1",
        "5",
        "1.5",
        r#""""#,
        r#""kmsg""#,
        r#""5m""#,
        r#""x""#,
        r#""temporary""#,
        r#""permanent""#,
        r#""A""#,
        r#""é""#,
        r#""(""#,
        r#""2026-11-23T13:29:42Z""#,
        "[]",
        "{}",
        "[null]",
        "[[]]",
    ]);
    let object = |keys: &'static [&'static str], inner: BoxedStrategy<String>| {
        let member = (prop::sample::select(keys), inner).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")))
    };
    let scalar = value.prop_map(str::to_owned).boxed();
    let inner = object(
        &["type", "condition", "reason", "pattern", "message", "transition", "status", "TYPE", "pattrn"],
        scalar.clone(),
    );
    let list = prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))).boxed();
    let settings = object(
        &["plugin", "lookback", "delay", "bufferSize", "source", "metricsReporting", "logPath", "skipList", "Rules"],
        scalar,
    );
    let lists = object(&["conditions", "rules", "rules", "pluginConfig", "CONDITIONS"], list);
    (settings, lists).prop_map(|(settings, lists)| {
        let inside = |object: &str| object[1..object.len() - 1].to_owned();
        let parts = [inside(&settings), r#""plugin":"kmsg""#.to_owned(), inside(&lists)];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{{{}}}", parts.join(","))
    })
}

proptest! {
    #[test]
    fn a_checked_configuration_keeps_its_promises(text in nearly_right()) {
        let (config, warnings) = check(&text);
        match config {
            Ok(config) => {
                for rule in &config.rules {
                    if let Effect::Permanent { condition } = rule.effect {
                        prop_assert!(condition < config.conditions.len());
                    }
                    prop_assert!(rule.suffix.as_deref() != Some(""));
                }
                let kinds: std::collections::HashSet<_> = config.conditions.iter().map(|c| &c.kind).collect();
                prop_assert_eq!(kinds.len(), config.conditions.len());
                prop_assert!(config.buffer_size.get() <= MAX_BUFFER_SIZE);
            }
            Err(errors) => prop_assert!(!errors.is_empty()),
        }
        prop_assert!(warnings.iter().all(|line| !line.contains(char::is_control)));
    }
}
