//! What a monitor knows after a restart, and after a change of its file.

use proptest::prelude::*;

use super::{recovery::Driven, *};

const RULES: &str = r#"
    {"type": "permanent", "condition": "Bad", "reason": "Down", "by": ["dev"], "pattern": "(?P<dev>\\w+) down", "clearPattern": "(?P<dev>\\w+) up"},
    {"type": "permanent", "condition": "Bad", "reason": "Often", "pattern": "restart", "threshold": {"count": 3, "window": "60s"}},
    {"type": "permanent", "condition": "Bad", "reason": "Noisy", "pattern": "noise", "clearAfter": "20s"},
    {"type": "temporary", "reason": "Err", "pattern": "err \\d", "foldWithin": "30s"},
    {"type": "temporary", "reason": "Pair", "pattern": "first .\\nsecond ."}"#;

/// The agent ends and starts again.
fn restarted(driven: &Driven, rules: &str) -> Driven {
    let kept = serde_json::to_string(&driven.monitor.state()).unwrap();
    let mut again = Driven::new(rules);
    again.monitor.restore(serde_json::from_str(&kept).unwrap());
    again.monitor.resume();
    again
}

#[test]
fn conditions_and_their_times_stay() {
    let mut driven = Driven::new(RULES);
    driven.reported(5, "eth0 down");
    let before = driven.condition();
    let mut again = restarted(&driven, RULES);
    assert_eq!(again.condition(), before);
    assert_eq!(again.reported(9, "eth0 down"), [""; 0], "it is known");
    assert_eq!(again.reported(10, "eth0 up"), ["False Good (better)"]);
    let cleared = again.condition();
    assert_eq!(restarted(&again, RULES).condition(), cleared, "also the time when it became good");
}

#[test]
fn a_rule_that_has_gone_takes_its_problem_with_it() {
    let mut driven = Driven::new(RULES);
    driven.reported(5, "eth0 down");
    driven.reported(6, "noise");
    let rest: Vec<_> = RULES.split(",\n").filter(|rule| !rule.contains("Noisy")).collect();
    let without_noise = restarted(&driven, &rest.join(","));
    assert_eq!(&*without_noise.condition().reason, "Down");
    let without_both: Vec<_> = rest.into_iter().filter(|rule| !rule.contains("Down")).collect();
    let neither = restarted(&driven, &without_both.join(","));
    assert_eq!(neither.condition().status, ConditionStatus::False);
}

#[test]
fn a_changed_healthy_reason_is_used() {
    let driven = Driven::new(RULES);
    let kept = driven.monitor.state();
    let json = r#"{"plugin": "kmsg", "conditions": [{"type": "Bad", "reason": "Fine", "message": "new words"}],
        "rules": [{"type": "permanent", "condition": "Bad", "reason": "X", "pattern": "x"}]}"#;
    let mut changed = monitor(json);
    changed.restore(kept);
    let condition = changed.initial_status().conditions.remove(0);
    assert_eq!((&*condition.reason, condition.message.as_str()), ("Fine", "new words"));
}

#[test]
fn after_a_reboot_conditions_are_good_and_counts_stay() {
    let mut driven = Driven::new(RULES);
    driven.reported(0, "eth0 down");
    driven.reported(1, "restart");
    driven.reported(2, "restart");
    let mut again = Driven::new(RULES);
    again.monitor.restore(driven.monitor.state().after_boot());
    assert_eq!(again.condition().status, ConditionStatus::False);
    assert_eq!(again.reported(3, "restart"), ["True Often"]);
}

fn step() -> impl Strategy<Value = (i64, &'static str)> {
    let lines =
        ["eth0 down", "eth1 down", "eth0 up", "restart", "noise", "err 1", "err 2", "first x", "second x", "nothing"];
    (0_i64..15, proptest::sample::select(lines.to_vec()))
}

proptest! {
    /// A monitor that is started anew after any record says what one says that went on.
    #[test]
    fn a_restart_changes_nothing(steps in proptest::collection::vec((step(), any::<bool>()), 1..60)) {
        let mut steady = Driven::new(RULES);
        let mut restarting = Driven::new(RULES);
        let mut now = 0;
        for ((gap, line), restart) in steps {
            now += gap;
            prop_assert_eq!(steady.reported(now, line), restarting.reported(now, line));
            prop_assert_eq!(steady.condition(), restarting.condition());
            prop_assert_eq!(steady.monitor.deadline(), restarting.monitor.deadline());
            if restart {
                restarting = restarted(&restarting, RULES);
            }
        }
        prop_assert_eq!(steady.wait(now + 1000), restarting.wait(now + 1000));
    }

    #[test]
    fn no_kept_text_panics(kept in r#"\{("conditions":\[(\{"type":"Bad","status":"(True|False)","transition":"20[0-9]{2}-01-01T00:00:00Z","reason":"[A-Z]","message":"","active":\[\]\})?\])?\}|.*"#) {
        if let Ok(state) = serde_json::from_str(&kept) {
            let mut driven = Driven::new(RULES);
            driven.monitor.restore(state);
            driven.reported(0, "eth0 down");
            driven.reported(1, "eth0 up");
            prop_assert_eq!(driven.condition().status, ConditionStatus::False);
        }
    }
}
