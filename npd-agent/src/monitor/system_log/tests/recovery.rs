//! When a problem is over, how often a rule has to match, what it tells apart and what it says.

use super::{recheck::Holds, *};
use crate::problem::{Condition, Fields};

/// A monitor that is driven second by second.
pub(super) struct Driven {
    pub(super) monitor: SystemLog,
}

/// What came of a step: `True Reason`, `False Reason` for conditions, `Reason: message` for other events.
#[derive(Default)]
struct Reported {
    events: Vec<String>,
    matches: usize,
    suppressed: usize,
}

impl Findings for Reported {
    fn matched(&mut self, _rule: &Matched<'_>) {
        self.matches += 1;
    }

    fn status(&mut self, status: Status) {
        for event in status.events {
            let condition = event.condition.and_then(|kind| status.conditions.iter().find(|c| c.kind == kind));
            let mark = if event.severity == Severity::Info { " (better)" } else { "" };
            self.events.push(match condition {
                Some(condition) => format!("{} {}{mark}", condition.status, condition.reason),
                None => format!("{}: {}", event.reason, event.message),
            });
        }
    }

    fn suppressed(&mut self, _reason: &str) {
        self.suppressed += 1;
    }
}

pub(super) fn at(seconds: i64) -> Timestamp {
    NOW.shift(seconds * SECOND)
}

impl Driven {
    pub(super) fn new(rules: &str) -> Self {
        let json = format!(
            r#"{{"plugin": "kmsg", "source": "test", "conditions": [{{"type": "Bad", "reason": "Good", "message": "all is well"}}], "rules": [{rules}]}}"#
        );
        Self { monitor: monitor(&json) }
    }

    fn line(&mut self, seconds: i64, text: &str) -> Reported {
        let mut reported = Reported::default();
        self.monitor.advance(at(seconds), &mut reported);
        let fields = Fields::default();
        let record = Record {
            text: text.as_bytes(),
            at: at(seconds),
            priority: None,
            fields: &fields,
            known: false,
            place: Place::Nowhere,
        };
        self.monitor.record(&record, &mut reported);
        reported
    }

    pub(super) fn reported(&mut self, seconds: i64, text: &str) -> Vec<String> {
        self.line(seconds, text).events
    }

    pub(super) fn wait(&mut self, seconds: i64) -> Vec<String> {
        let mut reported = Reported::default();
        self.monitor.advance(at(seconds), &mut reported);
        reported.events
    }

    fn answer(&mut self, seconds: i64, holds: Holds) -> Vec<String> {
        let mut reported = Reported::default();
        for question in self.monitor.questions(at(seconds)) {
            let answer = Answer { holds, evidence: "seen".into() };
            self.monitor.answer(&question, answer, at(seconds), &mut reported);
        }
        reported.events
    }

    pub(super) fn condition(&self) -> Condition {
        self.monitor.initial_status().conditions.remove(0)
    }
}

const NONE: [&str; 0] = [];

#[test]
fn a_rule_without_further_keys_latches() {
    let mut driven =
        Driven::new(r#"{"type": "permanent", "condition": "Bad", "reason": "Broken", "pattern": "broken"}"#);
    assert_eq!(driven.reported(0, "broken"), ["True Broken"]);
    assert_eq!(driven.wait(1_000_000), NONE);
    assert_eq!(driven.monitor.deadline(), None);
    assert_eq!(driven.reported(1_000_000, "broken"), NONE);
    assert_eq!(driven.condition().transition, at(0));
}

#[test]
fn a_line_can_clear_a_condition() {
    let mut driven = Driven::new(
        r#"{"type": "permanent", "condition": "Bad", "reason": "Down", "pattern": "link down", "clearPattern": "link up"}"#,
    );
    assert_eq!(driven.reported(0, "link up"), NONE);
    assert_eq!(driven.reported(1, "link down"), ["True Down"]);
    assert_eq!(driven.reported(2, "link up"), ["False Good (better)"]);
    assert_eq!(driven.condition().message, "all is well");
    assert_eq!(driven.condition().transition, at(2));
    assert_eq!(driven.reported(3, "link down"), ["True Down"], "and it can come again");
}

#[test]
fn silence_can_clear_a_condition_and_every_match_breaks_it() {
    let mut driven = Driven::new(
        r#"{"type": "permanent", "condition": "Bad", "reason": "Noisy", "pattern": "noise", "clearAfter": "10s"}"#,
    );
    assert_eq!(driven.reported(0, "noise"), ["True Noisy"]);
    assert_eq!(driven.reported(9, "noise"), NONE);
    assert_eq!(driven.monitor.deadline(), Some(at(19)));
    assert_eq!(driven.wait(18), NONE);
    assert_eq!(driven.wait(30), ["False Good (better)"]);
    assert_eq!(driven.condition().transition, at(19), "it is over when the time is over, not when somebody looks");
    assert_eq!(driven.monitor.deadline(), None);
}

#[test]
fn what_is_told_apart_holds_the_condition_by_itself() {
    let mut driven = Driven::new(
        r#"{"type": "permanent", "condition": "Bad", "reason": "Down", "by": ["dev"], "message": "${dev} is down",
            "pattern": "(?P<dev>\\w+): link down", "clearPattern": "(?P<dev>\\w+): link up"}"#,
    );
    assert_eq!(driven.reported(0, "eth0: link down"), ["True Down"]);
    assert_eq!(driven.reported(1, "eth1: link down"), ["True Down"], "another device is news");
    assert_eq!(driven.condition().message, "eth1 is down");
    assert_eq!(driven.condition().transition, at(0), "neither status nor reason has changed");
    assert_eq!(driven.reported(2, "eth1: link down"), NONE);
    assert_eq!(driven.reported(3, "eth1: link up"), ["True Down (better)"]);
    assert_eq!(driven.condition().message, "eth0 is down");
    assert_eq!(driven.reported(4, "eth2: link up"), NONE);
    assert_eq!(driven.reported(5, "eth0: link up"), ["False Good (better)"]);
}

#[test]
fn several_rules_hold_one_condition_and_the_newest_names_it() {
    let rule = |word: &str| {
        format!(
            r#"{{"type": "permanent", "condition": "Bad", "reason": "{word}", "pattern": "{word} bad", "clearPattern": "{word} good"}}"#
        )
    };
    let mut driven = Driven::new(&[rule("A"), rule("B")].join(","));
    assert_eq!(driven.reported(0, "A bad"), ["True A"]);
    assert_eq!(driven.reported(1, "B bad"), ["True B"]);
    for second in 2..20 {
        assert_eq!(driven.reported(second, if second % 2 == 0 { "A bad" } else { "B bad" }), NONE, "no flapping");
    }
    assert_eq!(driven.reported(20, "B good"), ["True A (better)"]);
    assert_eq!(driven.reported(21, "A good"), ["False Good (better)"]);
}

#[test]
fn a_threshold_counts_within_its_window() {
    let mut driven = Driven::new(
        r#"{"type": "permanent", "condition": "Bad", "reason": "Often", "pattern": "restart", "threshold": {"count": 3, "window": "60s"}}"#,
    );
    assert_eq!(driven.reported(0, "restart"), NONE);
    assert_eq!(driven.reported(70, "restart"), NONE);
    assert_eq!(driven.reported(80, "restart"), NONE, "the first one is too old");
    assert_eq!(driven.reported(90, "restart"), ["True Often"]);
    assert_eq!(driven.condition().message, "restart (3 matches within 1m0s)");
    assert_eq!(driven.reported(120, "restart"), NONE);
    // 80, 90 and 120 are enough until 140.
    assert_eq!(driven.wait(139), NONE);
    assert_eq!(driven.wait(140), ["False Good (better)"]);
}

#[test]
fn an_event_with_a_threshold_starts_over_when_it_was_given() {
    let mut driven = Driven::new(
        r#"{"type": "temporary", "reason": "Often", "pattern": "x (?P<n>\\d+)", "message": "${count} in ${window}, the last is ${n}", "threshold": {"count": 3, "window": "60s"}}"#,
    );
    let reported: Vec<_> = (0..7).flat_map(|n| driven.reported(n, &format!("x {n}"))).collect();
    assert_eq!(reported, ["Often: 3 in 1m0s, the last is 2", "Often: 3 in 1m0s, the last is 5"]);
}

#[test]
fn the_first_answer_of_the_node_is_a_baseline() {
    let mut driven = Driven::new(
        r#"{"type": "permanent", "condition": "Bad", "reason": "Hung", "pattern": "task (?P<pid>\\d+) hung", "recheck": {"what": "task", "every": "30s"}}"#,
    );
    assert_eq!(driven.reported(0, "task 7 hung"), ["True Hung"]);
    let questions = driven.monitor.questions(at(0));
    assert_eq!((questions[0].subject.as_str(), questions[0].evidence.as_deref()), ("7", None));
    assert_eq!(driven.answer(0, Holds::No), NONE, "what it looks like when it is new ends nothing");
    assert_eq!(driven.monitor.questions(at(29)), []);
    assert_eq!(driven.monitor.deadline(), Some(at(30)));
    assert_eq!(driven.monitor.questions(at(30))[0].evidence.as_deref(), Some("seen"));
    assert_eq!(driven.answer(30, Holds::Yes), NONE);
    assert_eq!(driven.answer(60, Holds::No), ["False Good (better)"]);
    assert_eq!(driven.monitor.deadline(), None);
}

#[test]
fn repeats_are_folded_and_counted() {
    let mut driven =
        Driven::new(r#"{"type": "temporary", "reason": "Err", "pattern": "err \\d", "foldWithin": "60s"}"#);
    assert_eq!(driven.reported(0, "err 1"), ["Err: err 1"]);
    assert_eq!(driven.reported(1, "err 2"), ["Err: err 2"], "another message");
    let repeats: Vec<_> = (2..50).map(|second| driven.line(second, "err 1")).collect();
    assert!(
        repeats.iter().all(|reported| reported.events.is_empty() && reported.suppressed == 1 && reported.matches == 1)
    );
    assert_eq!(driven.wait(60), ["Err: err 1 (48 more within 1m0s)"]);
    assert_eq!(driven.wait(600), NONE);
    assert_eq!(driven.reported(601, "err 1"), ["Err: err 1"]);
}

#[test]
fn a_folded_event_says_how_many_it_stands_for() {
    let mut driven = Driven::new(r#"{"type": "temporary", "reason": "Err", "pattern": "err", "foldWithin": "60s"}"#);
    for second in 0..10 {
        driven.reported(second, "err");
    }
    let mut counts = Vec::new();
    driven.monitor.advance(at(60), &mut |status: Status| counts.push(status.events[0].count));
    assert_eq!(counts, [9]);
}

#[test]
fn messages_are_filled_from_groups_then_fields() {
    let mut driven = Driven::new(
        r#"{"type": "temporary", "reason": "Disk", "pattern": "(?P<dev>sd\\w) failed", "message": "disk ${dev} of ${cgroup} costs $$1", "patternGeneratedMessageSuffix": "see it"}"#,
    );
    let mut fields = Fields::default();
    fields.add("cgroup", "/pod");
    fields.add("dev", "not this");
    let record =
        Record { text: b"sda failed", at: NOW, priority: None, fields: &fields, known: false, place: Place::Nowhere };
    let mut events = Vec::new();
    driven.monitor.record(&record, &mut |status: Status| events.extend(status.events));
    assert_eq!(events[0].message, "disk sda of /pod costs $1; see it");
    assert_eq!(events[0].fields.get("cgroup"), Some("/pod"));
}
