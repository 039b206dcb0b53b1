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

fn take(monitor: &mut CustomPlugin, rule: usize, status: CheckStatus, message: &str, second: i64) -> News {
    monitor.take(rule, Outcome::new(status, message), NOW.shift(second * SECOND))
}

/// The condition as `Status/reason/message@transition`.
fn shown(monitor: &CustomPlugin) -> String {
    let conditions = monitor.conditions.iter().map(|condition| {
        let Condition { status, transition, reason, message, .. } = &condition.now;
        format!("{status}/{reason}/{message}@{}", (transition.unix_nanos() - NOW.unix_nanos()) / SECOND)
    });
    conditions.collect::<Vec<_>>().join(" ")
}

/// The events as `severity reason text`.
fn events(news: &News) -> Vec<String> {
    let events = news.status.iter().flat_map(|status| &status.events);
    events.map(|event| format!("{} {} {}", event.severity.as_str(), event.reason, event.message)).collect()
}

/// Brings the condition to a status, and then shows it another outcome.
fn turn(flag: bool, from: (CheckStatus, &str), to: (CheckStatus, &str)) -> (String, Vec<String>) {
    let settings = format!(r#""enable_message_change_based_condition_update": {flag}"#);
    let mut monitor = monitor_with(&settings, &[("permanent", "IsBad")]);
    take(&mut monitor, 0, from.0, from.1, 1);
    let news = take(&mut monitor, 0, to.0, to.1, 2);
    (shown(&monitor), events(&news))
}

fn told(severity: &str, status: &str, reason: &str, message: &str) -> Vec<String> {
    vec![format!("{severity} {reason} Node condition Bad is now: {status}, reason: {reason}, message: \"{message}\"")]
}

/// 4.5: "True → False | yes | default | default | info".
#[test]
fn true_to_false() {
    let expected = ("False/Good/all is well@2".to_owned(), told("info", "False", "Good", "all is well"));
    assert_eq!(turn(false, (Problem, "it is bad"), (Fine, "it is fine")), expected);
}

/// 4.5: "True → Unknown | yes | default reason | plugin output | info", but for the reason, which is one of its own.
#[test]
fn true_to_unknown() {
    let expected =
        ("Unknown/CheckUnknown/who knows@2".to_owned(), told("info", "Unknown", "CheckUnknown", "who knows"));
    assert_eq!(turn(false, (Problem, "it is bad"), (Unknown, "who knows")), expected);
}

/// 4.5: "False/Unknown → True | yes | rule.reason | output | warn".
#[test]
fn false_or_unknown_to_true() {
    let expected = ("True/IsBad/it is bad@2".to_owned(), told("warn", "True", "IsBad", "it is bad"));
    assert_eq!(turn(false, (Fine, "it is fine"), (Problem, "it is bad")), expected);
    assert_eq!(turn(false, (Unknown, "who knows"), (Problem, "it is bad")), expected);
}

/// 4.5: "False ↔ Unknown | yes | default | default (False) / output (Unknown) | info", but for the reason of Unknown.
#[test]
fn false_to_unknown_and_back() {
    let expected =
        ("Unknown/CheckUnknown/who knows@2".to_owned(), told("info", "Unknown", "CheckUnknown", "who knows"));
    assert_eq!(turn(false, (Fine, "it is fine"), (Unknown, "who knows")), expected);
    let expected = ("False/Good/all is well@2".to_owned(), told("info", "False", "Good", "all is well"));
    assert_eq!(turn(false, (Unknown, "who knows"), (Fine, "it is fine")), expected);
}

/// 4.5: "True → True, reason differs, or (flag on and message differs) | yes | rule.reason | output | warn".
#[test]
fn true_to_true() {
    let expected = ("True/IsBad/it is worse@2".to_owned(), told("warn", "True", "IsBad", "it is worse"));
    assert_eq!(turn(true, (Problem, "it is bad"), (Problem, "it is worse")), expected);
    let unchanged = ("True/IsBad/it is bad@1".to_owned(), Vec::new());
    assert_eq!(turn(false, (Problem, "it is bad"), (Problem, "it is worse")), unchanged, "without the flag");
    assert_eq!(turn(true, (Problem, "it is bad"), (Problem, "it is bad")), unchanged, "the same message");

    let mut monitor = permanent();
    take(&mut monitor, 0, Problem, "it is bad", 1);
    let other = Outcome { reason: Some("IsAwful".into()), ..Outcome::new(Problem, "it is awful") };
    let news = monitor.take(0, other, NOW.shift(2 * SECOND));
    assert_eq!(shown(&monitor), "True/IsAwful/it is awful@2");
    assert_eq!(events(&news), told("warn", "True", "IsAwful", "it is awful"));
}

/// 4.5: "otherwise | no | | | none".
#[test]
fn what_stays_as_it_is_is_no_news() {
    assert_eq!(turn(true, (Fine, "a"), (Fine, "b")), ("False/Good/all is well@0".to_owned(), Vec::new()));
    assert_eq!(turn(true, (Unknown, "a"), (Unknown, "b")), ("Unknown/CheckUnknown/a@1".to_owned(), Vec::new()));
}

/// Of two causes for an unknown status the condition says the one that is so.
#[test]
fn another_reason_of_an_unknown_status_is_news() {
    let mut monitor = permanent();
    take(&mut monitor, 0, Unknown, "who knows", 1);
    let timeout = Outcome { reason: Some("CheckTimeout".into()), ..Outcome::new(Unknown, "too slow") };
    let news = monitor.take(0, timeout, NOW.shift(2 * SECOND));
    assert_eq!(events(&news), told("info", "Unknown", "CheckTimeout", "too slow"));
}

/// 4.5: "Permanent rules (any type ≠ `temporary`)".
#[test]
fn any_type_but_temporary_is_permanent() {
    for kind in ["", "Permanent", "TEMPORARY", "else"] {
        let mut monitor = monitor_with("", &[(kind, "IsBad")]);
        take(&mut monitor, 0, Problem, "it is bad", 1);
        assert_eq!(shown(&monitor), "True/IsBad/it is bad@1", "{kind:?}");
    }
}

/// 4.4: "Event (severity warn, rule reason, message = output) … on **every** run while it persists; nothing on recovery."
#[test]
fn a_temporary_rule_tells_of_each_run_that_finds_the_problem() {
    let mut monitor = monitor_with("", &[("temporary", "IsBad")]);
    for second in 1..4 {
        assert_eq!(events(&take(&mut monitor, 0, Problem, "it is bad", second)), ["warn IsBad it is bad"]);
    }
    assert_eq!(take(&mut monitor, 0, Fine, "it is fine", 5), News { status: None, changed: true });
    assert_eq!(take(&mut monitor, 0, Fine, "it is fine", 6), News::default());
    assert_eq!(shown(&monitor), "False/Good/all is well@0");
}

/// 4.4: "for **NonOK and Unknown**": here Unknown is told of when it begins, in its own name, and not counted.
#[test]
fn an_unknown_temporary_rule_is_not_the_problem() {
    let mut monitor = monitor_with("", &[("temporary", "IsBad")]);
    let news = take(&mut monitor, 0, Unknown, "who knows", 1);
    assert_eq!(events(&news), ["info CheckUnknown nobody can tell whether there is IsBad: who knows"]);
    assert_eq!(events(&take(&mut monitor, 0, Unknown, "who knows", 2)), [""; 0]);
    take(&mut monitor, 0, Fine, "it is fine", 3);
    assert_eq!(events(&take(&mut monitor, 0, Unknown, "who knows", 4)).len(), 1, "it begins anew");
}

/// 4.6: "sent immediately unless `skip_initial_status`".
#[test]
fn conditions_are_told_of_at_once_unless_that_is_not_wanted() {
    assert_eq!(permanent().status().conditions.len(), 1);
    let mut monitor =
        monitor_with(r#""skip_initial_status": true"#, &[("permanent", "IsBad"), ("permanent", "IsAwful")]);
    assert_eq!(monitor.status().conditions, []);
    assert_eq!(take(&mut monitor, 0, Fine, "", 1).status, None, "the other rule may see a problem");
    let status = take(&mut monitor, 1, Fine, "", 2).status.unwrap();
    assert_eq!((status.conditions.len(), status.events.len()), (1, 0), "now it is known");
    assert_eq!(take(&mut monitor, 1, Fine, "", 3).status, None);
}

#[test]
fn a_condition_that_one_rule_sees_is_known_whatever_the_others_see() {
    let mut monitor =
        monitor_with(r#""skip_initial_status": true"#, &[("permanent", "IsBad"), ("permanent", "IsAwful")]);
    let status = take(&mut monitor, 1, Problem, "it is awful", 1).status.unwrap();
    assert_eq!(status.conditions[0].status, ConditionStatus::True);
}

/// Wish 7, and 4.5: "one failing and one passing rule flip the condition every interval".
#[test]
fn rules_of_one_condition_never_take_turns() {
    let mut monitor = monitor_with(
        r#""enable_message_change_based_condition_update": true"#,
        &[("permanent", "IsBad"), ("permanent", "IsAwful"), ("permanent", "IsOdd")],
    );
    let mut told = Vec::new();
    for second in 0..10 {
        for (rule, status) in [(0, Problem), (1, Problem), (2, Fine)] {
            told.extend(events(&take(&mut monitor, rule, status, &format!("rule {rule}"), second)));
        }
    }
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(shown(&monitor), "True/IsAwful/rule 1@0", "the one that came last");
    let news = take(&mut monitor, 1, Fine, "", 11);
    assert_eq!(shown(&monitor), "True/IsBad/rule 0@11", "the one that is left");
    assert!(events(&news)[0].starts_with("info IsBad "), "one problem less is no problem more: {news:?}");
    take(&mut monitor, 2, Unknown, "", 12);
    assert_eq!(shown(&monitor), "True/IsBad/rule 0@11", "a problem is worse than not to know");
    take(&mut monitor, 0, Fine, "", 13);
    assert_eq!(shown(&monitor), "Unknown/CheckUnknown/@13");
    take(&mut monitor, 2, Fine, "", 14);
    assert_eq!(shown(&monitor), "False/Good/all is well@14");
}

#[test]
fn what_may_be_reported_is_known_before() {
    let monitor = monitor_with("", &[("temporary", "IsBad"), ("permanent", "IsAwful")]);
    let Declared { conditions, counted, .. } = monitor.declared();
    assert_eq!(conditions, ["Bad".into()]);
    assert_eq!(counted.reasons, ["IsBad".into(), "IsAwful".into()]);
    assert_eq!(counted.conditions, [("Bad".into(), "IsAwful".into())]);
}

#[test]
fn a_check_cannot_make_ever_more_reasons() {
    let mut monitor = permanent();
    for number in 0..100 {
        let outcome = Outcome { reason: Some(format!("Reason{number}")), ..Outcome::new(Problem, "") };
        monitor.take(0, outcome, NOW);
    }
    assert_eq!(monitor.rules[0].reasons.len(), REASONS_MAX);
    assert!(shown(&monitor).starts_with("True/IsBad/"), "beyond that it is the rule's");
}

#[test]
fn an_unknown_status_never_has_the_reason_of_the_problem() {
    let mut monitor = permanent();
    monitor.take(0, Outcome { reason: Some("IsBad".into()), ..Outcome::new(Unknown, "") }, NOW);
    assert!(shown(&monitor).starts_with("Unknown/CheckUnknown/"));
}

#[test]
fn labels_become_fields() {
    let mut monitor = permanent();
    let mut labels = Fields::none();
    labels.add("dev", "sda");
    let status = monitor.take(0, Outcome { labels, ..Outcome::new(Problem, "") }, NOW).status.unwrap();
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
    take(&mut before, 1, Problem, "it is awful", 1);
    take(&mut before, 0, Problem, "it is bad", 2);
    take(&mut before, 2, Unknown, "who knows", 3);
    let mut after = monitor_with("", &rules);
    after.restore(remembered(&before.state()));
    assert_eq!(shown(&after), "True/IsBad/it is bad@2");
    for (rule, status) in [(1, Problem), (0, Problem), (2, Unknown)] {
        assert_eq!(take(&mut after, rule, status, "again", 10), News::default(), "{rule}");
    }
    take(&mut after, 0, Fine, "", 11);
    assert_eq!(shown(&after), "True/IsAwful/again@11");
}

#[test]
fn a_rule_that_has_gone_takes_its_problem_with_it_when_the_others_have_run() {
    let mut before = monitor_with("", &[("permanent", "IsBad"), ("permanent", "IsAwful")]);
    take(&mut before, 1, Problem, "it is awful", 1);
    let mut after = permanent();
    after.restore(remembered(&before.state()));
    assert_eq!(shown(&after), "True/IsAwful/it is awful@1", "nobody has looked yet");
    take(&mut after, 0, Fine, "", 2);
    assert_eq!(shown(&after), "False/Good/all is well@2");

    let mut without_rules = monitor_with("", &[]);
    without_rules.restore(before.state());
    assert_eq!(shown(&without_rules), "False/Good/all is well@0", "nobody ever looks");
}

proptest! {
    /// Whatever three rules say one after the other: the condition is the worst of what they said last, it changes
    /// only with an event, and who says the same again is no news.
    #[test]
    fn the_worst_counts_and_nothing_changes_without_a_word(steps in vec((0..3_usize, select(&CheckStatus::ALL[..])), 1..60)) {
        let mut monitor = monitor_with("", &[("permanent", "A"), ("permanent", "B"), ("permanent", "C")]);
        let mut last = [None; 3];
        for (step, (rule, status)) in steps.into_iter().enumerate() {
            let before = shown(&monitor);
            let is_repeated = last[rule] == Some(status);
            last[rule] = Some(status);
            let news = take(&mut monitor, rule, status, "text", i64::try_from(step).unwrap());
            let told = events(&news).len();
            prop_assert_eq!(told == 1, shown(&monitor) != before);
            prop_assert!(!is_repeated || told == 0);
            let worst = last.iter().flatten().max().copied();
            let expected = match worst {
                Some(Problem) => ConditionStatus::True,
                Some(Unknown) => ConditionStatus::Unknown,
                // Before all have said something, it stays as it was.
                _ if last.contains(&None) => continue,
                _ => ConditionStatus::False,
            };
            prop_assert_eq!(monitor.conditions[0].now.status, expected);
        }
    }
}
