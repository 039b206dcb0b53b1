use super::*;
use crate::{
    problem::Counted,
    problem::{ConditionStatus, Event, Severity},
};

const NODE: &str = r#"{"metadata":{"uid":"u-1","annotations":{"npd-agent/condition-types":"Broken,Old"}},
    "status":{"conditions":[
        {"type":"Ready","status":"True","reason":"KubeletReady","lastTransitionTime":"2026-11-24T08:00:00Z"},
        {"type":"Broken","status":"False","reason":"Fine","lastTransitionTime":"2026-11-24T09:00:00Z"},
        {"type":"Old","status":"True","reason":"Gone","lastTransitionTime":"2026-11-24T09:00:00Z"}]}}"#;

struct Node {
    sync: ConditionSync,
    now: Instant,
}

impl Node {
    fn new(options: ConditionOptions) -> Self {
        Self { sync: ConditionSync::new(options), now: Instant::now() }
    }

    /// As it is by default, with a monitor that has one condition.
    fn with_monitor() -> Self {
        let mut node = Self::new(OPTIONS);
        node.declare(&["Broken"]);
        node.says(ConditionStatus::False, "Fine", "2026-11-24T10:00:00.9Z");
        node
    }

    fn declare(&mut self, types: &[&str]) {
        let conditions = types.iter().map(|kind| (*kind).into()).collect();
        self.sync.declare(&Declared { monitor: "a".into(), conditions, counted: Counted::default() });
    }

    fn status(status: ConditionStatus, reason: &str, at: &str) -> Status {
        let transition = serde_json::from_value(at.into()).unwrap();
        let condition =
            Condition { kind: "Broken".into(), status, transition, reason: reason.into(), message: "m".into() };
        Status {
            monitor: "a".into(),
            source: "test".into(),
            events: Vec::new(),
            conditions: vec![condition],
            metrics: true,
        }
    }

    fn says(&mut self, status: ConditionStatus, reason: &str, at: &str) {
        self.sync.update(&Self::status(status, reason, at));
    }

    /// As [`Self::says`], with the event of a change.
    fn changes(&mut self, status: ConditionStatus, reason: &str, at: &str) {
        let mut status = Self::status(status, reason, at);
        let event = Event::new(Severity::Warn, Timestamp::default(), reason.into(), String::new());
        status.events.push(Event { condition: Some("Broken".into()), ..event });
        self.sync.update(&status);
    }

    fn is_due(&self) -> bool {
        self.sync.due().is_some_and(|at| at <= Instant::now().max(self.now))
    }

    fn body(&self) -> Value {
        match self.sync.request(serde_json::from_value("2026-11-24T12:00:00.5Z".into()).unwrap()) {
            Request::Patch { body, .. } => body,
            Request::Read => panic!("it wants to read"),
        }
    }

    fn read(&mut self, node: &str) {
        assert_eq!(self.sync.request(Timestamp::default()), Request::Read);
        self.sync.read(serde_json::from_str(node).unwrap(), self.now);
    }

    fn patch(&mut self) -> Value {
        let body = self.body();
        let Request::Patch { conditions, .. } = self.sync.request(Timestamp::default()) else { panic!("no patch") };
        self.sync.patch_started(self.now);
        self.sync.patched(conditions, None, self.now);
        body
    }
}

const OPTIONS: ConditionOptions = ConditionOptions { heartbeat: Duration::from_mins(5), write: true, cleanup: true };

#[test]
fn the_node_is_read_before_it_is_written() {
    let mut node = Node::with_monitor();
    assert!(node.is_due());
    node.read(NODE);
    assert_eq!(node.sync.uid(), Some("u-1"));
    assert!(node.is_due(), "reading does not hold up writing");
}

#[test]
fn a_patch_has_the_fields_of_node_problem_detector() {
    let mut node = Node::with_monitor();
    node.read(r#"{"metadata":{"uid":"u-1"}}"#);
    assert_eq!(
        node.patch(),
        json!({
            "metadata": {"annotations": {"npd-agent/condition-types": "Broken"}},
            "status": {"conditions": [{
                "type": "Broken", "status": "False", "reason": "Fine", "message": "m",
                "lastHeartbeatTime": "2026-11-24T12:00:00Z", "lastTransitionTime": "2026-11-24T10:00:00Z",
            }]},
        })
    );
    assert!(!node.is_due());
    node.changes(ConditionStatus::True, "Torn", "2026-11-24T11:00:00Z");
    assert!(node.body().get("metadata").is_none(), "the annotation is right already");
}

#[test]
fn a_condition_that_is_as_the_node_has_it_has_been_so_since_then() {
    let mut node = Node::with_monitor();
    node.read(NODE);
    assert_eq!(node.patch()["status"]["conditions"][0]["lastTransitionTime"], "2026-11-24T09:00:00Z");
    // And it stays so when the monitor says the same again.
    node.says(ConditionStatus::False, "Fine", "2026-11-24T10:00:00Z");
    assert_eq!(node.body()["status"]["conditions"][0]["lastTransitionTime"], "2026-11-24T09:00:00Z");
}

#[test]
fn a_condition_that_has_changed_since_the_start_is_not_as_old_as_the_node_says() {
    let mut node = Node::with_monitor();
    node.changes(ConditionStatus::True, "Torn", "2026-11-24T10:30:00Z");
    node.changes(ConditionStatus::False, "Fine", "2026-11-24T10:31:00Z");
    node.read(NODE);
    assert_eq!(node.body()["status"]["conditions"][0]["lastTransitionTime"], "2026-11-24T10:31:00Z");
}

#[test]
fn another_state_than_the_node_has_is_a_transition() {
    let mut node = Node::with_monitor();
    node.says(ConditionStatus::True, "Torn", "2026-11-24T10:30:00Z");
    node.read(NODE);
    assert_eq!(node.body()["status"]["conditions"][0]["lastTransitionTime"], "2026-11-24T10:30:00Z");
}

#[test]
fn changes_are_written_at_once_but_never_twice_a_second() {
    let mut node = Node::with_monitor();
    node.read(NODE);
    node.patch();
    node.now += Duration::from_secs(10);
    node.changes(ConditionStatus::True, "Torn", "2026-11-24T11:00:00Z");
    assert!(node.sync.due().unwrap() <= node.now);
    node.patch();
    node.changes(ConditionStatus::False, "Fine", "2026-11-24T11:00:00.1Z");
    assert_eq!(node.sync.due(), Some(node.now + APART));
}

#[test]
fn a_problem_of_a_moment_leaves_its_transition() {
    let mut node = Node::with_monitor();
    node.read(NODE);
    node.patch();
    node.changes(ConditionStatus::True, "Torn", "2026-11-24T11:00:00Z");
    node.changes(ConditionStatus::False, "Fine", "2026-11-24T11:00:00.5Z");
    assert!(!node.sync.is_synced());
    assert_eq!(node.body()["status"]["conditions"][0]["lastTransitionTime"], "2026-11-24T11:00:00Z");
}

#[test]
fn without_a_change_everything_is_written_once_a_heartbeat() {
    let mut node = Node::with_monitor();
    node.read(NODE);
    node.patch();
    assert_eq!(node.sync.due(), Some(node.now + OPTIONS.heartbeat));
    node.says(ConditionStatus::False, "Fine", "2026-11-24T10:00:00Z");
    assert_eq!(node.sync.due(), Some(node.now + OPTIONS.heartbeat), "the same again is no change");
}

#[test]
fn a_type_of_ours_that_is_not_configured_is_taken_away_and_no_other() {
    let mut node = Node::with_monitor();
    node.read(NODE);
    let body = node.patch();
    assert_eq!(body["metadata"]["annotations"]["npd-agent/condition-types"], "Broken");
    assert_eq!(body["status"]["conditions"][1], json!({"$patch": "delete", "type": "Old"}));
    assert_eq!(body["status"]["conditions"].as_array().unwrap().len(), 2);
    assert!(node.body()["status"]["conditions"].as_array().unwrap().len() == 1, "it is gone");
}

#[test]
fn a_type_that_a_changed_config_has_no_more_is_taken_away() {
    let mut node = Node::with_monitor();
    node.read(NODE);
    node.patch();
    node.declare(&[]);
    assert_eq!(node.body()["status"]["conditions"], json!([{"$patch": "delete", "type": "Broken"}]));
    assert_eq!(node.patch()["metadata"]["annotations"]["npd-agent/condition-types"], "");
    assert!(node.sync.is_synced());
}

#[test]
fn without_clean_up_what_is_gone_stays_and_nothing_is_claimed() {
    let mut node = Node::new(ConditionOptions { cleanup: false, ..OPTIONS });
    node.declare(&["Broken"]);
    node.says(ConditionStatus::False, "Fine", "2026-11-24T10:00:00Z");
    node.read(NODE);
    node.declare(&[]);
    let body = node.patch();
    assert_eq!(body.get("metadata"), None);
    assert_eq!(body["status"]["conditions"].as_array().unwrap().len(), 1);
}

#[test]
fn where_there_is_nothing_to_say_nothing_is_patched() {
    let mut node = Node::new(OPTIONS);
    node.read(r#"{"metadata":{"uid":"u-1"}}"#);
    assert_eq!(node.sync.request(Timestamp::default()), Request::Read);
    assert_eq!(node.sync.due(), Some(node.now + OPTIONS.heartbeat));
    let mut silent = Node::new(ConditionOptions { write: false, ..OPTIONS });
    silent.declare(&["Broken"]);
    silent.says(ConditionStatus::True, "Torn", "2026-11-24T10:00:00Z");
    silent.read(NODE);
    assert_eq!(silent.sync.due(), Some(silent.now + OPTIONS.heartbeat));
    assert!(silent.sync.is_synced());
}

#[test]
fn after_a_failure_nothing_is_asked_before_its_time() {
    let mut node = Node::with_monitor();
    node.read(NODE);
    let pause = node.sync.failed(Some(Duration::from_secs(20)), 0.0, node.now);
    assert_eq!(pause, Duration::from_secs(20));
    node.changes(ConditionStatus::True, "Torn", "2026-11-24T11:00:00Z");
    assert_eq!(node.sync.due(), Some(node.now + pause), "not for a change either");
    node.sync.retry_now();
    assert!(!node.is_due(), "it has said when itself");
    node.sync.failed(None, 0.0, node.now);
    assert!(!node.is_due());
    node.sync.retry_now();
    assert!(node.is_due());
}

#[test]
fn a_node_that_may_not_be_read_is_written_all_the_same() {
    let mut node = Node::with_monitor();
    node.sync.give_up_reading();
    assert_eq!(node.body()["status"]["conditions"][0]["type"], "Broken");
}

#[test]
fn an_endless_message_is_cut() {
    let mut node = Node::with_monitor();
    node.read(NODE);
    let mut status = Node::status(ConditionStatus::True, "Torn", "2026-11-24T11:00:00Z");
    status.conditions[0].message = "ä".repeat(5000);
    node.sync.update(&status);
    let body = node.body();
    let message = body["status"]["conditions"][0]["message"].as_str().unwrap();
    assert!(message.len() <= MESSAGE_MAX && message.ends_with('…'), "{}", message.len());
}
