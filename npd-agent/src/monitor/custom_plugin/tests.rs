use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    config::{self, ConfigFile},
    problem::{Condition, ConditionStatus},
};

use CheckStatus::{Ok as Fine, Problem, Unknown};

const SECOND: i64 = 1_000_000_000;
const NOW: Timestamp = Timestamp::from_unix_nanos(1_000 * SECOND);

/// A monitor with condition `Bad`, and one rule for each of these: its type and its reason.
fn monitor_with(settings: &str, rules: &[(&str, &str)]) -> CustomPlugin {
    let rules: Vec<_> = rules
        .iter()
        .enumerate()
        .map(|(i, (kind, reason))| {
            let condition = if *kind == "temporary" { "" } else { "Bad" };
            format!(
                r#"{{"type": "{kind}", "condition": "{condition}", "reason": "{reason}", "path": "/bin/sh", "args": ["{i}"]}}"#
            )
        })
        .collect();
    let text = format!(
        r#"{{"plugin": "custom", "source": "test", "pluginConfig": {{{settings}}},
        "conditions": [{{"type": "Bad", "reason": "Good", "message": "all is well"}}], "rules": [{}]}}"#,
        rules.join(",")
    );
    let loaded = config::load_text(&ConfigFile::custom_plugin("test.json"), text.as_bytes()).unwrap();
    CustomPlugin::new(&loaded.custom_plugins[0], NOW)
}

fn permanent() -> CustomPlugin {
    monitor_with("", &[("permanent", "IsBad")])
}

fn handle(monitor: &mut CustomPlugin, rule: usize, status: CheckStatus, message: &str, second: i64) -> Update {
    monitor.handle(rule, Outcome::new(status, message), NOW.shift(second * SECOND))
}

/// The condition as `Status/reason/message@transition`.
fn shown(monitor: &CustomPlugin) -> String {
    let conditions = monitor.conditions.iter().map(|condition| {
        let Condition { status, transition, reason, message, .. } = &condition.state.now;
        format!("{status}/{reason}/{message}@{}", (transition.unix_nanos() - NOW.unix_nanos()) / SECOND)
    });
    conditions.collect::<Vec<_>>().join(" ")
}

/// The events as `severity reason text`.
fn events(update: &Update) -> Vec<String> {
    let events = update.status.iter().flat_map(|status| &status.events);
    events.map(|event| format!("{} {} {}", event.severity.as_str(), event.reason, event.message)).collect()
}

/// The condition and the events after a first outcome and then another.
fn turn(flag: bool, from: (CheckStatus, &str), to: (CheckStatus, &str)) -> (String, Vec<String>) {
    let settings = format!(r#""enable_message_change_based_condition_update": {flag}"#);
    let mut monitor = monitor_with(&settings, &[("permanent", "IsBad")]);
    handle(&mut monitor, 0, from.0, from.1, 1);
    let update = handle(&mut monitor, 0, to.0, to.1, 2);
    (shown(&monitor), events(&update))
}

fn announced(severity: &str, status: &str, reason: &str, message: &str) -> Vec<String> {
    vec![format!("{severity} {reason} Node condition Bad is now: {status}, reason: {reason}, message: \"{message}\"")]
}

/// node-problem-detector, pkg/custompluginmonitor/custom_plugin_monitor.go, `generateStatus`, scenario 1: the default
/// reason and message, severity info.
#[test]
fn true_to_false() {
    let expected = ("False/Good/all is well@2".to_owned(), announced("info", "False", "Good", "all is well"));
    assert_eq!(turn(false, (Problem, "it is bad"), (Fine, "it is fine")), expected);
}

/// `generateStatus`, scenario 1: the message is the output, severity info. The reason is not the default one as there, but
/// one of its own.
#[test]
fn true_to_unknown() {
    let expected =
        ("Unknown/CheckUnknown/who knows@2".to_owned(), announced("info", "Unknown", "CheckUnknown", "who knows"));
    assert_eq!(turn(false, (Problem, "it is bad"), (Unknown, "who knows")), expected);
}

/// `generateStatus`, scenario 2: the reason of the rule, the output as the message, severity warn.
#[test]
fn false_or_unknown_to_true() {
    let expected = ("True/IsBad/it is bad@2".to_owned(), announced("warn", "True", "IsBad", "it is bad"));
    assert_eq!(turn(false, (Fine, "it is fine"), (Problem, "it is bad")), expected);
    assert_eq!(turn(false, (Unknown, "who knows"), (Problem, "it is bad")), expected);
}

/// `generateStatus`, scenario 3: the default reason; the default message for False, the output for Unknown; severity info.
/// The reason of Unknown is one of its own here.
#[test]
fn false_to_unknown_and_back() {
    let expected =
        ("Unknown/CheckUnknown/who knows@2".to_owned(), announced("info", "Unknown", "CheckUnknown", "who knows"));
    assert_eq!(turn(false, (Fine, "it is fine"), (Unknown, "who knows")), expected);
    let expected = ("False/Good/all is well@2".to_owned(), announced("info", "False", "Good", "all is well"));
    assert_eq!(turn(false, (Unknown, "who knows"), (Fine, "it is fine")), expected);
}

/// `generateStatus`, scenario 4: True stays True, and the reason differs, or the message differs and the flag is on; severity
/// warn.
#[test]
fn true_to_true() {
    let expected = ("True/IsBad/it is worse@2".to_owned(), announced("warn", "True", "IsBad", "it is worse"));
    assert_eq!(turn(true, (Problem, "it is bad"), (Problem, "it is worse")), expected);
    let unchanged = ("True/IsBad/it is bad@1".to_owned(), Vec::new());
    assert_eq!(turn(false, (Problem, "it is bad"), (Problem, "it is worse")), unchanged, "without the flag");
    assert_eq!(turn(true, (Problem, "it is bad"), (Problem, "it is bad")), unchanged, "the same message");

    let mut monitor = permanent();
    handle(&mut monitor, 0, Problem, "it is bad", 1);
    let other = Outcome { reason: Some("IsAwful".into()), ..Outcome::new(Problem, "it is awful") };
    let update = monitor.handle(0, other, NOW.shift(2 * SECOND));
    assert_eq!(shown(&monitor), "True/IsAwful/it is awful@2");
    assert_eq!(events(&update), announced("warn", "True", "IsAwful", "it is awful"));
}

/// `generateStatus`, scenario 5: otherwise there is no event.
#[test]
fn what_stays_as_it_is_is_no_news() {
    assert_eq!(turn(true, (Fine, "a"), (Fine, "b")), ("False/Good/all is well@0".to_owned(), Vec::new()));
    assert_eq!(turn(true, (Unknown, "a"), (Unknown, "b")), ("Unknown/CheckUnknown/a@1".to_owned(), Vec::new()));
}

/// The condition has the current one of two reasons for an unknown status.
#[test]
fn another_reason_of_an_unknown_status_is_news() {
    let mut monitor = permanent();
    handle(&mut monitor, 0, Unknown, "who knows", 1);
    let timeout = Outcome { reason: Some("CheckTimeout".into()), ..Outcome::new(Unknown, "too slow") };
    let update = monitor.handle(0, timeout, NOW.shift(2 * SECOND));
    assert_eq!(events(&update), announced("info", "Unknown", "CheckTimeout", "too slow"));
}

/// `generateStatus`: a rule is permanent unless its type is `types.Temp`, which is `temporary`.
#[test]
fn any_type_but_temporary_is_permanent() {
    for kind in ["", "Permanent", "TEMPORARY", "else"] {
        let mut monitor = monitor_with("", &[(kind, "IsBad")]);
        handle(&mut monitor, 0, Problem, "it is bad", 1);
        assert_eq!(shown(&monitor), "True/IsBad/it is bad@1", "{kind:?}");
    }
}

/// `generateStatus`: each run of a temporary rule that finds the problem gives an event with severity warn, the reason of the
/// rule and the output; a recovery gives none.
#[test]
fn a_temporary_rule_reports_each_run_that_finds_the_problem() {
    let mut monitor = monitor_with("", &[("temporary", "IsBad")]);
    for second in 1..4 {
        assert_eq!(events(&handle(&mut monitor, 0, Problem, "it is bad", second)), ["warn IsBad it is bad"]);
    }
    assert_eq!(handle(&mut monitor, 0, Fine, "it is fine", 5), Update { status: None, changed: true });
    assert_eq!(handle(&mut monitor, 0, Fine, "it is fine", 6), Update::default());
    assert_eq!(shown(&monitor), "False/Good/all is well@0");
}

/// `generateStatus` gives an event for `ExitStatus >= NonOK`, which includes Unknown. Here Unknown is reported once when it
/// begins, with its own reason, and not counted.
#[test]
fn an_unknown_temporary_rule_is_not_the_problem() {
    let mut monitor = monitor_with("", &[("temporary", "IsBad")]);
    let update = handle(&mut monitor, 0, Unknown, "who knows", 1);
    assert_eq!(events(&update), ["info CheckUnknown cannot determine whether there is IsBad: who knows"]);
    assert_eq!(events(&handle(&mut monitor, 0, Unknown, "who knows", 2)), [""; 0]);
    handle(&mut monitor, 0, Fine, "it is fine", 3);
    assert_eq!(events(&handle(&mut monitor, 0, Unknown, "who knows", 4)).len(), 1, "it begins again");
}

/// `monitorLoop` calls `initializeStatus` first, unless `SkipInitialStatus`.
#[test]
fn conditions_are_reported_at_once_unless_that_is_disabled() {
    assert_eq!(permanent().status().conditions.len(), 1);
    let mut monitor =
        monitor_with(r#""skip_initial_status": true"#, &[("permanent", "IsBad"), ("permanent", "IsAwful")]);
    assert_eq!(monitor.status().conditions, []);
    assert_eq!(handle(&mut monitor, 0, Fine, "", 1).status, None, "the other rule may see a problem");
    let status = handle(&mut monitor, 1, Fine, "", 2).status.unwrap();
    assert_eq!((status.conditions.len(), status.events.len()), (1, 0), "now it is known");
    assert_eq!(handle(&mut monitor, 1, Fine, "", 3).status, None);
}

#[test]
fn a_problem_that_one_rule_finds_is_known_whatever_the_others_find() {
    let mut monitor =
        monitor_with(r#""skip_initial_status": true"#, &[("permanent", "IsBad"), ("permanent", "IsAwful")]);
    let status = handle(&mut monitor, 1, Problem, "it is awful", 1).status.unwrap();
    assert_eq!(status.conditions[0].status, ConditionStatus::True);
}

/// In `generateStatus` each result of a rule sets the condition, so one failing and one passing rule flip it every interval.
#[test]
fn rules_of_one_condition_never_take_turns() {
    let mut monitor = monitor_with(
        r#""enable_message_change_based_condition_update": true"#,
        &[("permanent", "IsBad"), ("permanent", "IsAwful"), ("permanent", "IsOdd")],
    );
    let mut reported = Vec::new();
    for second in 0..10 {
        for (rule, status) in [(0, Problem), (1, Problem), (2, Fine)] {
            reported.extend(events(&handle(&mut monitor, rule, status, &format!("rule {rule}"), second)));
        }
    }
    assert_eq!(reported.len(), 2, "{reported:?}");
    assert_eq!(shown(&monitor), "True/IsAwful/rule 1@0", "the one that came last");
    let update = handle(&mut monitor, 1, Fine, "", 11);
    assert_eq!(shown(&monitor), "True/IsBad/rule 0@11", "the one that is left");
    assert!(events(&update)[0].starts_with("info IsBad "), "the end of one problem is not a new problem: {update:?}");
    handle(&mut monitor, 2, Unknown, "", 12);
    assert_eq!(shown(&monitor), "True/IsBad/rule 0@11", "a problem is worse than an unknown status");
    handle(&mut monitor, 0, Fine, "", 13);
    assert_eq!(shown(&monitor), "Unknown/CheckUnknown/@13");
    handle(&mut monitor, 2, Fine, "", 14);
    assert_eq!(shown(&monitor), "False/Good/all is well@14");
}

#[test]
fn what_may_be_reported_is_declared() {
    let monitor = monitor_with("", &[("temporary", "IsBad"), ("permanent", "IsAwful")]);
    let Declared { conditions, counted, .. } = monitor.declared();
    assert_eq!(conditions, ["Bad".into()]);
    assert_eq!(counted.reasons, ["IsBad".into(), "IsAwful".into()]);
    assert_eq!(counted.conditions, [("Bad".into(), "IsAwful".into())]);
}

#[test]
fn the_number_of_reasons_of_a_check_is_bounded() {
    let mut monitor = permanent();
    for number in 0..100 {
        let outcome = Outcome { reason: Some(format!("Reason{number}")), ..Outcome::new(Problem, "") };
        monitor.handle(0, outcome, NOW);
    }
    assert_eq!(monitor.rules[0].reasons.len(), REASONS_MAX);
    assert!(shown(&monitor).starts_with("True/IsBad/"), "beyond that it is the rule's");
}

#[test]
fn an_unknown_status_never_has_the_reason_of_the_problem() {
    let mut monitor = permanent();
    monitor.handle(0, Outcome { reason: Some("IsBad".into()), ..Outcome::new(Unknown, "") }, NOW);
    assert!(shown(&monitor).starts_with("Unknown/CheckUnknown/"));
}

#[test]
fn labels_become_fields() {
    let mut monitor = permanent();
    let mut labels = Fields::none();
    labels.add("dev", "sda");
    let status = monitor.handle(0, Outcome { labels, ..Outcome::new(Problem, "") }, NOW).status.unwrap();
    assert_eq!(status.events[0].fields.get("dev"), Some("sda"));
}

/// As through the state file.
fn remembered(state: &CustomPluginState) -> CustomPluginState {
    serde_json::from_slice(&serde_json::to_vec(state).unwrap()).unwrap()
}

#[test]
fn a_restart_is_no_news() {
    let rules = [("permanent", "IsBad"), ("permanent", "IsAwful"), ("temporary", "IsOdd")];
    let mut before = monitor_with("", &rules);
    handle(&mut before, 1, Problem, "it is awful", 1);
    handle(&mut before, 0, Problem, "it is bad", 2);
    handle(&mut before, 2, Unknown, "who knows", 3);
    let mut after = monitor_with("", &rules);
    after.restore(remembered(&before.state()));
    assert_eq!(shown(&after), "True/IsBad/it is bad@2");
    for (rule, status) in [(1, Problem), (0, Problem), (2, Unknown)] {
        assert_eq!(handle(&mut after, rule, status, "again", 10), Update::default(), "{rule}");
    }
    handle(&mut after, 0, Fine, "", 11);
    assert_eq!(shown(&after), "True/IsAwful/again@11");
}

/// What npd wrote before a finding had a type of its own in the file.
#[test]
fn a_state_of_an_earlier_version_is_restored() {
    let saved = concat!(
        r#"{"conditions":[{"type":"Bad","status":"True","transition":"1970-01-01T00:16:42Z","#,
        r#""reason":"IsBad","message":"it is bad"}],"rules":[{"rule":"IsBad /bin/sh [\"0\"]","#,
        r#""status":"problem","reason":"IsBad","message":"it is bad","since":1}]}"#
    );
    let mut before = permanent();
    handle(&mut before, 0, Problem, "it is bad", 2);
    let mut after = permanent();
    after.restore(serde_json::from_str(saved).unwrap());
    assert_eq!(after.state(), before.state());
    assert_eq!(serde_json::to_string(&after.state()).unwrap(), saved, "an earlier version can read it too");
}

#[test]
fn the_problem_of_a_removed_rule_ends_once_the_others_have_run() {
    let mut before = monitor_with("", &[("permanent", "IsBad"), ("permanent", "IsAwful")]);
    handle(&mut before, 1, Problem, "it is awful", 1);
    let mut after = permanent();
    after.restore(remembered(&before.state()));
    assert_eq!(shown(&after), "True/IsAwful/it is awful@1", "no check has run yet");
    handle(&mut after, 0, Fine, "", 2);
    assert_eq!(shown(&after), "False/Good/all is well@2");

    let mut without_rules = monitor_with("", &[]);
    without_rules.restore(before.state());
    assert_eq!(shown(&without_rules), "False/Good/all is well@0", "no check ever runs");
}

proptest! {
    /// Whatever three rules say one after the other: the condition is the worst of what they said last, it changes
    /// only with an event, and a repeated finding is no news.
    #[test]
    fn the_worst_counts_and_nothing_changes_without_a_word(steps in vec((0..3_usize, select(&CheckStatus::ALL[..])), 1..60)) {
        let mut monitor = monitor_with("", &[("permanent", "A"), ("permanent", "B"), ("permanent", "C")]);
        let mut last = [None; 3];
        for (step, (rule, status)) in steps.into_iter().enumerate() {
            let before = shown(&monitor);
            let is_repeated = last[rule] == Some(status);
            last[rule] = Some(status);
            let update = handle(&mut monitor, rule, status, "text", i64::try_from(step).unwrap());
            let reported = events(&update).len();
            prop_assert_eq!(reported == 1, shown(&monitor) != before);
            prop_assert!(!is_repeated || reported == 0);
            let worst = last.iter().flatten().max().copied();
            let expected = match worst {
                Some(Problem) => ConditionStatus::True,
                Some(Unknown) => ConditionStatus::Unknown,
                // Before all rules have run it stays as it was.
                _ if last.contains(&None) => continue,
                _ => ConditionStatus::False,
            };
            prop_assert_eq!(monitor.conditions[0].state.now.status, expected);
        }
    }
}
