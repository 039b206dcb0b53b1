use super::*;
use crate::{
    config::{self, ConfigFile},
    metric::Section,
};

const ALERTS: &str = r#"{
    "source": "stats", "conditions": [{"type": "Full", "reason": "HasSpace", "message": "there is space"}],
    "disk": {"metricsConfigs": {
        "disk/percent_used": {"displayName": "disk/percent_used", "alert": [
            {"above": 90, "for": "1m", "type": "permanent", "condition": "Full", "reason": "DiskFull"},
            {"above": 98, "type": "permanent", "condition": "Full", "reason": "DiskVeryFull", "labels": {"device_name": "sda"}}
        ]},
        "disk/ext4_errors_total": {"displayName": "errors", "alert": {"above": 0, "type": "temporary", "reason": "Errors"}}
    }}
}"#;

fn alerts(text: &str) -> Alerts {
    let config = config::load_text(&ConfigFile::system_stats("f"), text.as_bytes()).unwrap().system_stats.remove(0);
    Alerts::new(&config, Timestamp::default())
}

fn at(seconds: u64) -> Now {
    let nanos = seconds * 1_000_000_000;
    Now { wall: Timestamp::from_unix_nanos(nanos.cast_signed()), mono: Monotonic::from_nanos(nanos) }
}

fn used(disks: &[(&'static str, f64)]) -> Samples {
    let mut samples = Samples::all_of(Section::Disk);
    for (disk, percent) in disks {
        samples.add(MetricId::DiskPercentUsed, [(*disk).into()], *percent);
    }
    samples
}

fn errors(count: u32) -> Samples {
    let mut samples = Samples::all_of(Section::Disk);
    samples.add(MetricId::DiskExt4Errors, ["sda".into()], f64::from(count));
    samples
}

/// The reasons of the events.
fn reasons(statuses: &[Status]) -> Vec<&str> {
    statuses.iter().flat_map(|status| &status.events).map(|event| &*event.reason).collect()
}

#[test]
fn a_condition_holds_when_the_bound_was_passed_for_so_long_and_ends_with_it() {
    let mut alerts = alerts(ALERTS);
    let full = used(&[("sda", 95.0), ("sdb", 10.0)]);
    assert_eq!(alerts.observe(&full, true, at(0)), []);
    assert_eq!(alerts.observe(&full, true, at(59)), []);
    let statuses = alerts.observe(&full, true, at(60));
    assert_eq!(reasons(&statuses), ["DiskFull"]);
    let event = &statuses[0].events[0];
    assert_eq!(
        event.message,
        "Node condition Full is now: True, reason: DiskFull, message: \"disk_percent_used{device_name=\\\"sda\\\"} is 95, above 90 for 1m0s\""
    );
    assert_eq!((event.severity, event.fields.get("device_name")), (Severity::Warn, Some("sda")));
    assert_eq!(statuses[0].conditions[0].transition, at(60).wall);
    assert_eq!(alerts.observe(&full, true, at(120)), [], "it goes on");

    let statuses = alerts.observe(&used(&[("sda", 90.0), ("sdb", 10.0)]), true, at(180));
    assert_eq!(reasons(&statuses), ["HasSpace"]);
    assert_eq!(statuses[0].events[0].severity, Severity::Info);
    assert_eq!(statuses[0].conditions[0].message, "there is space");
    alerts.observe(&full, true, at(240));
    assert_eq!(alerts.observe(&full, true, at(299)), [], "the time begins anew");
}

#[test]
fn the_problem_that_began_last_is_shown_and_the_last_to_end_ends_the_condition() {
    let mut alerts = alerts(ALERTS);
    alerts.observe(&used(&[("sda", 95.0), ("sdb", 95.0)]), true, at(0));
    let both = alerts.observe(&used(&[("sda", 95.0), ("sdb", 95.0)]), true, at(60));
    assert_eq!(reasons(&both), ["DiskFull", "DiskFull"], "each disk is news");
    let statuses = alerts.observe(&used(&[("sda", 99.0), ("sdb", 95.0)]), true, at(70));
    assert_eq!(reasons(&statuses), ["DiskVeryFull"]);
    let statuses = alerts.observe(&used(&[("sda", 50.0), ("sdb", 95.0)]), true, at(80));
    assert_eq!(reasons(&statuses), ["DiskFull"], "sdb still is");
    assert_eq!(statuses[0].conditions[0].status, ConditionStatus::True);
    assert_eq!(reasons(&alerts.observe(&used(&[("sda", 50.0), ("sdb", 50.0)]), true, at(90))), ["HasSpace"]);
}

#[test]
fn what_is_gone_is_over_but_what_could_not_be_read_is_not() {
    let mut alerts = alerts(ALERTS);
    for seconds in [0, 60] {
        alerts.observe(&used(&[("sdb", 95.0)]), true, at(seconds));
    }
    assert_eq!(alerts.status().conditions[0].status, ConditionStatus::True);
    assert_eq!(alerts.observe(&used(&[]), false, at(120)), [], "a failed collection says nothing");
    assert_eq!(alerts.observe(&used(&[]), false, at(60 + 86_400)), [], "for a day");
    assert_eq!(reasons(&alerts.observe(&used(&[]), false, at(61 + 86_400))), ["HasSpace"], "then it is forgotten");

    let mut alerts = self::alerts(ALERTS);
    for seconds in [0, 60] {
        alerts.observe(&used(&[("sdb", 95.0)]), true, at(seconds));
    }
    assert_eq!(reasons(&alerts.observe(&used(&[]), true, at(180))), ["HasSpace"], "the disk is gone");
}

#[test]
fn of_a_counter_its_growth_counts() {
    let mut alerts = alerts(ALERTS);
    assert_eq!(alerts.observe(&errors(3), true, at(0)), [], "nobody knows when these were");
    assert_eq!(alerts.observe(&errors(3), true, at(10)), []);
    let statuses = alerts.observe(&errors(5), true, at(20));
    assert_eq!(statuses[0].events[0].message, "errors{device_name=\"sda\"} grows by 0.2 a second, above 0");
    assert_eq!(statuses[0].events[0].condition, None);
    assert_eq!(alerts.observe(&errors(6), true, at(30)), [], "it goes on growing");
    assert_eq!(alerts.observe(&errors(6), true, at(40)), []);
    assert_eq!(alerts.observe(&errors(0), true, at(50)), [], "it began anew");
    assert_eq!(reasons(&alerts.observe(&errors(1), true, at(60))), ["Errors"]);
}

#[test]
fn what_belongs_to_alerts_that_stay_goes_on() {
    let mut before = alerts(ALERTS);
    for seconds in [0, 60] {
        before.observe(&used(&[("sda", 99.0), ("sdb", 95.0)]), true, at(seconds));
    }
    let (held, other) = (ALERTS.replace("\"sda\"", "\"sdc\""), ALERTS.replace("90", "91").replace("98", "97"));
    let mut same = alerts(&held);
    same.restore(before);
    let condition = &same.status().conditions[0];
    assert_eq!(
        (condition.status, &*condition.reason, condition.transition),
        (ConditionStatus::True, "DiskFull", at(60).wall)
    );
    assert_eq!(same.observe(&used(&[("sda", 99.0), ("sdb", 95.0)]), true, at(70)), [], "that is known");
    let mut changed = alerts(&other);
    changed.restore(same);
    assert_eq!(changed.status().conditions[0].status, ConditionStatus::False, "another bound is another alert");
}

#[test]
fn everything_that_can_be_reported_is_declared() {
    let declared = alerts(ALERTS).declared();
    assert_eq!((&*declared.monitor, declared.conditions), ("f", vec!["Full".into()]));
    let declared = declared.counted;
    assert_eq!(
        declared.reasons.iter().map(|reason| &**reason).collect::<Vec<_>>(),
        ["DiskFull", "DiskVeryFull", "Errors"]
    );
    let conditions: Vec<_> = declared.conditions.iter().map(|(kind, reason)| (&**kind, &**reason)).collect();
    assert_eq!(conditions, [("Full", "DiskFull"), ("Full", "DiskVeryFull")]);
}
