//! The keys of a rule beyond node-problem-detector's.

use super::*;

/// A file with one permanent rule with these keys.
fn permanent(keys: &str) -> String {
    with_rules(&format!(
        r#"{{"type":"permanent","condition":"KernelDeadlock","reason":"R","pattern":"(?P<dev>\\w+) bad",{keys}}}"#
    ))
}

fn temporary(keys: &str) -> String {
    with(&format!(r#""rules":[{{"type":"temporary","reason":"R","pattern":"(?P<dev>\\w+) bad",{keys}}}]"#))
}

#[test]
fn all_keys_are_read() {
    let config = accept(&permanent(
        r#""message":"${dev} of ${cgroup}: $$","by":["dev"],"threshold":{"count":5,"window":"20m"},"clearPattern":"(?P<dev>\\w+) good",
           "clearAfter":"1h","recheck":{"what":"mount","every":"10s"}"#,
    ));
    let rule = &config.rules[0];
    assert_eq!(rule.message.as_ref().unwrap().names().collect::<Vec<_>>(), ["dev", "cgroup"]);
    assert_eq!(rule.by, ["dev".into()]);
    assert_eq!(rule.threshold, Some(Threshold { count: 5, window: Duration::from_mins(20) }));
    assert_eq!(rule.recovery.pattern.as_ref().unwrap().source(), r"(?P<dev>\w+) good");
    assert_eq!(rule.recovery.after, Some(Duration::from_hours(1)));
    assert_eq!(rule.recovery.recheck, Some(Recheck { what: RecheckKind::Mount, every: Duration::from_secs(10) }));
}

#[test]
fn a_file_without_them_latches_and_folds_nothing() {
    let config = accept(&with_rules(HUNG));
    let rule = &config.rules[0];
    assert!(rule.recovery.is_never() && rule.threshold.is_none() && rule.fold_within.is_none());
    assert!(rule.by.is_empty() && rule.message.is_none());
}

#[test]
fn null_is_as_good_as_absent() {
    let config = accept(&permanent(
        r#""message":null,"by":null,"threshold":null,"clearPattern":null,"clearAfter":"","recheck":null,"foldWithin":null"#,
    ));
    assert!(config.rules[0].recovery.is_never() && config.rules[0].threshold.is_none());
}

#[test]
fn the_window_of_a_file_is_that_of_its_rules_unless_they_say_another() {
    let config = accept(&with(
        r#""foldWithin":"1m","rules":[{"type":"temporary","reason":"A","pattern":"a"},{"type":"temporary","reason":"B","pattern":"b","foldWithin":"5m"}]"#,
    ));
    let windows: Vec<_> = config.rules.iter().map(|rule| rule.fold_within).collect();
    assert_eq!(windows, [Some(Duration::from_mins(1)), Some(Duration::from_mins(5))]);
}

#[test]
fn what_is_asked_of_the_node_is_told_apart_by_its_subject() {
    let config = accept(&permanent(r#""recheck":{"what":"mount"}"#));
    assert_eq!(config.rules[0].by, ["dev".into()]);
    assert_eq!(config.rules[0].recovery.recheck.unwrap().every, Duration::from_secs(30));
}

#[test]
fn each_error_says_where_it_is_and_what_is_allowed() {
    for (marked, error) in [
        (
            permanent(r#""message":@"${disk} is bad""#),
            "/rules/0/message: \"disk\" is neither a named group of the pattern nor a field of the record, known: \"dev\", \"pid\", \"comm\", \"sector\", \"errno\", \"cgroup\", \"pod_uid\", \"container_id\", \"subsystem\", \"device\"",
        ),
        (
            permanent(r#""message":@"$5""#),
            "/rules/0/message: the $ at byte 0 does not start a ${name}; write $$ for a dollar sign, allowed: ${name} and $$",
        ),
        (
            permanent(r#""message":@"${count}""#),
            "/rules/0/message: \"count\" is neither a named group of the pattern nor a field of the record, known: \"dev\", \"pid\", \"comm\", \"sector\", \"errno\", \"cgroup\", \"pod_uid\", \"container_id\", \"subsystem\", \"device\"",
        ),
        (
            permanent(r#""by":[@"x"]"#),
            "/rules/0/by/0: \"x\" is neither a named group of the pattern nor a field of the record, known: \"dev\", \"pid\", \"comm\", \"sector\", \"errno\", \"cgroup\", \"pod_uid\", \"container_id\", \"subsystem\", \"device\"",
        ),
        (
            permanent(r#""by":["pid","comm","dev","sector",@"errno"]"#),
            "/rules/0/by/4: 5 names is not valid, allowed: up to 4",
        ),
        (
            permanent(r#""threshold":{"count":@1,"window":"1m"}"#),
            "/rules/0/threshold/count: a count of 1 is not valid, allowed: 2 to 1000 matches",
        ),
        (
            permanent(r#""threshold":{"count":@1001,"window":"1m"}"#),
            "/rules/0/threshold/count: a count of 1001 is not valid, allowed: 2 to 1000 matches",
        ),
        (
            permanent(r#""threshold":@{"count":5}"#),
            "/rules/0/threshold: no window is not valid, allowed: a duration such as 20m",
        ),
        (
            permanent(r#""threshold":{"count":5,"window":@"20"}"#),
            "/rules/0/threshold/window: time: missing unit in duration \"20\", allowed: Go durations such as 300ms, 5m or 1h30m",
        ),
        (permanent(r#""threshold":@5"#), "/rules/0/threshold: is the number 5, must be an object"),
        (
            permanent(r#""clearPattern":@"""#),
            "/rules/0/clearPattern: \"\" is not valid, allowed: a pattern: the empty one would match every line",
        ),
        (permanent(r#""clearPattern":@"(""#), "/rules/0/clearPattern: missing closing ): `(`"),
        (
            permanent(r#""clearAfter":@"-1s""#),
            "/rules/0/clearAfter: -1s is not valid, allowed: a positive duration such as 90s or 10m",
        ),
        (
            permanent(r#""recheck":{"what":@"weather"}"#),
            "/rules/0/recheck/what: \"weather\" is not valid, allowed: \"mount\", \"task\" and \"interface\"",
        ),
        (
            permanent(r#""recheck":{"what":"mount","every":@"10ms"}"#),
            "/rules/0/recheck/every: 10ms is not valid, allowed: 1s and more",
        ),
        (
            permanent(r#""recheck":@{"what":"interface"}"#),
            "/rules/0/recheck: recheck \"interface\" needs a subject, add a group (?P<interface>…) to the pattern",
        ),
        (
            temporary(r#""clearAfter":@"1s""#),
            "/rules/0/clearAfter: a temporary rule has nothing to clear, \"clearAfter\" is only for permanent rules",
        ),
        (
            temporary(r#""recheck":@{"what":"mount"}"#),
            "/rules/0/recheck: a temporary rule has nothing to clear, \"recheck\" is only for permanent rules",
        ),
    ] {
        let (text, position) = unmark(&marked);
        assert_eq!(errors(&text), [format!("{position}: {error}")], "{text}");
    }
}

#[test]
fn a_threshold_without_a_window_is_told_beside_other_errors() {
    let text = temporary(r#""threshold":{"count":5,"window":"0s"}},{"type":"temporary","reason":"R","pattern":"(""#);
    let errors = errors(&text.replacen("\"rules\"", "\"lookback\":\"5\",\"rules\"", 1));
    let told = |part: &str| errors.iter().filter(|error| error.contains(part)).count();
    assert_eq!(
        [told("missing unit"), told("no window is not valid"), told("missing closing )")],
        [1, 1, 1],
        "{errors:?}"
    );
}

#[test]
fn a_window_for_repeats_that_change_nothing_is_a_warning() {
    let (text, position) = unmark(&permanent(r#""foldWithin":@"1m""#));
    let warning = "/rules/0/foldWithin: repeats of a permanent rule change nothing, \"foldWithin\" has no effect here";
    assert_eq!(warnings(&text), [format!("{position}: {warning}")]);
}
