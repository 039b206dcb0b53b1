use proptest::prelude::*;

use super::*;
use crate::{
    problem::{Fields, Severity},
    time::Timestamp,
};

struct Queue {
    events: EventQueue,
    now: Instant,
    dropped: u64,
}

impl Queue {
    fn new() -> Self {
        Self { events: EventQueue::new(0), now: Instant::now(), dropped: 0 }
    }

    fn add(&mut self, reason: &str, message: &str) {
        self.add_event(&event(reason, message), Object::Node);
    }

    fn add_event(&mut self, event: &Event, object: Object) {
        self.dropped += self.events.add(&"kernel-monitor".into(), event, object, self.now);
    }

    fn next(&mut self) -> Option<EventRequest> {
        self.events.next(self.now)
    }

    /// Sends all that may be sent; gives each message with its count.
    fn send(&mut self) -> Vec<(String, u64)> {
        let mut sent = Vec::new();
        while let Some(request) = self.next() {
            sent.push((request.message.to_string(), request.count));
            self.events.acknowledged(&request, self.now);
        }
        sent
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

fn event(reason: &str, message: &str) -> Event {
    let id = Some(fingerprint::extend(fingerprint::EMPTY, message.as_bytes()));
    Event { id, ..Event::new(Severity::Warn, Timestamp::from_unix_nanos(5), reason.into(), message.to_owned()) }
}

fn transition(message: &str) -> Event {
    Event { condition: Some("KernelDeadlock".into()), ..event("DockerHung", message) }
}

fn messages(sent: &[(String, u64)]) -> Vec<&str> {
    sent.iter().map(|(message, _)| message.as_str()).collect()
}

#[test]
fn what_comes_again_is_a_count_in_the_same_event() {
    let mut queue = Queue::new();
    queue.add("TaskHung", "task a");
    let first = queue.next().unwrap();
    assert!(!first.is_created && first.count == 1 && first.known == 0);
    queue.add_event(&Event { timestamp: Timestamp::from_unix_nanos(9), ..event("TaskHung", "task a") }, Object::Node);
    queue.events.acknowledged(&first, queue.now);
    let second = queue.next().unwrap();
    assert!(second.is_created && second.count == 2 && second.known == 1 && second.id == first.id);
    assert_eq!((second.first.unix_nanos(), second.last.unix_nanos()), (5, 9));
    queue.events.acknowledged(&second, queue.now);
    assert_eq!(queue.next(), None);
    assert_eq!((queue.events.waiting(), queue.events.unsent()), (0, 0));
}

#[test]
fn what_comes_again_before_it_is_sent_is_sent_once() {
    let mut queue = Queue::new();
    for _ in 0..3 {
        queue.add("TaskHung", "task a");
    }
    queue.add_event(&Event { count: 4, ..event("TaskHung", "task a") }, Object::Node);
    assert_eq!(queue.send(), [("task a".to_owned(), 7)], "an event that tells of four counts as four");
}

#[test]
fn severity_source_and_pod_make_another_event() {
    let mut queue = Queue::new();
    queue.add("TaskHung", "task a");
    queue.add_event(&Event { severity: Severity::Info, ..event("TaskHung", "task a") }, Object::Node);
    let mut fields = Fields::default();
    fields.add("pod_uid", "u-1");
    let of_pod = Event { fields, ..event("TaskHung", "task a") };
    queue.add_event(&of_pod, Object::Node);
    queue.add_event(&of_pod, Object::Pod);
    queue.events.add(&"other".into(), &event("TaskHung", "task a"), Object::Node, queue.now);
    let mut ids = BTreeSet::new();
    while let Some(request) = queue.next() {
        assert_eq!(request.count, 1);
        if request.object == Object::Pod {
            assert_eq!(request.pod.as_deref(), Some("u-1"));
            assert!(ids.insert(request.id), "the pod's event has a name of its own");
        }
        ids.insert(request.id);
        queue.events.acknowledged(&request, queue.now);
    }
    assert_eq!(queue.events.series.len(), 5);
}

#[test]
fn the_tenth_different_message_and_all_after_it_are_one_event() {
    let mut queue = Queue::new();
    for number in 0..20 {
        queue.add("TaskHung", &format!("task {number}"));
    }
    let sent = queue.send();
    assert_eq!(sent.len(), 10, "{sent:?}");
    assert!(sent[..9].iter().enumerate().all(|(number, one)| *one == (format!("task {number}"), 1)), "{sent:?}");
    assert_eq!(sent[9], ("(combined from similar events): task 19".to_owned(), 11));
    // What has an event of its own goes on with it.
    queue.add("TaskHung", "task 3");
    assert_eq!(queue.send(), [("task 3".to_owned(), 2)]);
}

#[test]
fn after_ten_quiet_minutes_messages_are_separate_again() {
    let mut queue = Queue::new();
    for number in 0..10 {
        queue.add("TaskHung", &format!("task {number}"));
    }
    queue.send();
    queue.pass(Duration::from_secs(599));
    queue.add("TaskHung", "task x");
    assert_eq!(messages(&queue.send()), ["(combined from similar events): task x"]);
    queue.pass(Duration::from_secs(601));
    queue.add("TaskHung", "task y");
    assert_eq!(messages(&queue.send()), ["task y"]);
}

#[test]
fn a_noisy_reason_waits_for_tokens_and_loses_nothing() {
    let mut queue = Queue::new();
    let mut sent = Vec::new();
    for _ in 0..40 {
        queue.add("TaskHung", "task a");
        sent.extend(queue.send());
    }
    assert_eq!(sent.len(), 25, "the burst");
    assert_eq!(queue.events.unsent(), 15);
    queue.add("OOMKilling", "killed b");
    assert_eq!(messages(&queue.send()), ["killed b"], "another reason has tokens of its own");
    queue.pass(Duration::from_secs(299));
    assert_eq!(queue.send(), []);
    assert_eq!(queue.events.due(), Some(queue.now + Duration::from_secs(1)));
    queue.pass(Duration::from_secs(1));
    assert_eq!(queue.send(), [("task a".to_owned(), 40)]);
    assert_eq!(queue.events.unsent(), 0);
}

#[test]
fn at_the_end_what_waits_for_tokens_is_sent_without_them() {
    let mut queue = Queue::new();
    for _ in 0..30 {
        queue.add("TaskHung", "task a");
        queue.send();
    }
    assert_eq!(queue.events.waiting(), 1);
    queue.events.release_deferred();
    assert_eq!(queue.send(), [("task a".to_owned(), 30)]);
}

#[test]
fn changes_of_conditions_go_first_and_are_never_combined() {
    let mut queue = Queue::new();
    queue.add("TaskHung", "task a");
    for number in 0..12 {
        queue.add_event(&transition(&format!("now {number}")), Object::Node);
    }
    let sent = queue.send();
    let expected: Vec<_> = (0..12).map(|number| format!("now {number}")).chain(["task a".to_owned()]).collect();
    assert_eq!(messages(&sent), expected);
}

#[test]
fn what_could_not_be_sent_is_sent_first_and_what_troubles_the_server_last() {
    let mut queue = Queue::new();
    for name in ["a", "b", "c"] {
        queue.add("TaskHung", name);
    }
    let a = queue.next().unwrap();
    queue.events.retry(&a, true, false);
    let again = queue.next().unwrap();
    assert_eq!(again, a);
    queue.events.retry(&again, true, true);
    assert_eq!(messages(&queue.send()), ["b", "c", "a"]);
}

#[test]
fn an_event_that_is_gone_is_created_again_under_another_name() {
    let mut queue = Queue::new();
    queue.add("TaskHung", "task a");
    queue.send();
    queue.add("TaskHung", "task a");
    let patch = queue.next().unwrap();
    queue.events.mark_missing(&patch);
    let anew = queue.next().unwrap();
    assert!(!anew.is_created && anew.count == 2 && anew.id != patch.id, "{anew:?}");
}

#[test]
fn an_event_that_another_process_made_is_counted_on() {
    let mut queue = Queue::new();
    queue.add("TaskHung", "task a");
    queue.add("TaskHung", "task a");
    let create = queue.next().unwrap();
    // It stands at 5, the first of these two problems among them.
    assert!(!queue.events.mark_existing(&create, 5, queue.now));
    let patch = queue.next().unwrap();
    assert_eq!((patch.is_created, patch.known, patch.count), (true, 5, 6));
}

#[test]
fn an_event_whose_answer_got_lost_is_this_ones_own() {
    let mut queue = Queue::new();
    queue.add("TaskHung", "task a");
    queue.add("TaskHung", "task a");
    let create = queue.next().unwrap();
    queue.events.retry(&create, true, false);
    queue.add("TaskHung", "task a");
    let again = queue.next().unwrap();
    assert!(queue.events.mark_existing(&again, 2, queue.now));
    let patch = queue.next().unwrap();
    assert_eq!((patch.is_created, patch.known, patch.count), (true, 2, 3));
}

#[test]
fn when_too_many_wait_the_newest_is_dropped_and_counted() {
    let mut queue = Queue::new();
    for number in 0..WAITING_MAX {
        queue.add(&format!("Reason{number}"), "x");
    }
    assert_eq!((queue.events.waiting(), queue.dropped), (WAITING_MAX, 0));
    queue.add("OneMore", "x");
    assert_eq!((queue.events.waiting(), queue.dropped), (WAITING_MAX, 1));
    queue.add("Reason7", "x");
    assert_eq!(queue.dropped, 1, "what waits already goes on counting");
    let folded = Event { count: 3, ..transition("now True") };
    queue.add_event(&folded, Object::Node);
    assert_eq!((queue.events.waiting(), queue.dropped), (WAITING_MAX, 2), "a change takes the place of another");
    let sent = queue.send();
    assert_eq!(sent[0], ("now True".to_owned(), 3));
    assert_eq!(sent.iter().map(|(_, count)| count).sum::<u64>() + queue.dropped, WAITING_MAX as u64 + 5);
}

#[test]
fn changes_of_conditions_never_make_room_for_each_other() {
    let mut queue = Queue::new();
    for number in 0..WAITING_MAX + 5 {
        let event = Event { reason: format!("R{number}").into(), ..transition("now True") };
        queue.add_event(&event, Object::Node);
    }
    assert_eq!((queue.events.waiting(), queue.dropped), (WAITING_MAX, 5));
    let oldest = queue.next().unwrap();
    assert_eq!(&*oldest.reason, "R0", "the oldest go first and stay");
}

#[test]
fn what_was_sent_is_remembered_within_bounds() {
    let mut queue = Queue::new();
    for number in 0..REMEMBERED_MAX * 3 {
        queue.add(&format!("Reason{number}"), "x");
        queue.send();
    }
    assert_eq!(queue.events.series.len(), REMEMBERED_MAX);
    assert_eq!(queue.events.ids.len(), REMEMBERED_MAX);
    assert!(queue.events.buckets.len() <= BUCKETS_MAX);
    queue.add(&format!("Reason{}", REMEMBERED_MAX * 3 - 1), "x");
    assert!(queue.next().unwrap().is_created, "the newest are remembered");
    queue.add("Reason0", "x");
    assert!(!queue.next().unwrap().is_created, "the oldest are not");
}

#[test]
fn an_event_that_is_refused_is_forgotten_and_counted() {
    let mut queue = Queue::new();
    queue.add("TaskHung", "task a");
    let request = queue.next().unwrap();
    queue.add("TaskHung", "task a");
    assert_eq!(queue.events.give_up(&request), 2);
    queue.add("TaskHung", "task a");
    assert_eq!(queue.next().map(|request| request.count), Some(1));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add { reason: u8, message: u8, transition: bool },
    Accept,
    Later,
    Missing,
    Refuse,
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u8, 0..20_u8, any::<bool>())
            .prop_map(|(reason, message, transition)| Step::Add { reason, message, transition }),
        3 => Just(Step::Accept),
        1 => Just(Step::Later),
        1 => Just(Step::Missing),
        1 => Just(Step::Refuse),
        1 => (0..700_u16).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever the API server does, each problem is acknowledged, given up or still waiting, and no series is lost on the way.
    #[test]
    fn every_problem_is_accounted_for(steps in prop::collection::vec(step(), 0..400)) {
        let mut queue = Queue::new();
        let (mut added, mut acknowledged, mut given_up) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Add { reason, message, transition: is_transition } => {
                    let event = if is_transition {
                        transition(&message.to_string())
                    } else {
                        event(&format!("Reason{reason}"), &message.to_string())
                    };
                    queue.add_event(&event, Object::Node);
                    added += 1;
                }
                Step::Pass(seconds) => queue.pass(Duration::from_secs(u64::from(seconds))),
                other => {
                    let Some(request) = queue.next() else { continue };
                    match other {
                        Step::Later => queue.events.retry(&request, false, request.count.is_multiple_of(2)),
                        Step::Missing if request.is_created => {
                            // A new Event stands for the whole series.
                            queue.events.mark_missing(&request);
                        }
                        Step::Refuse => given_up += queue.events.give_up(&request),
                        _ => {
                            queue.events.acknowledged(&request, queue.now);
                            acknowledged += request.count - request.known;
                        }
                    }
                }
            }
            prop_assert_eq!(added, acknowledged + given_up + queue.events.unsent() + queue.dropped);
        }
        queue.events.release_deferred();
        while let Some(request) = queue.next() {
            queue.events.acknowledged(&request, queue.now);
            queue.events.release_deferred();
            acknowledged += request.count - request.known;
        }
        prop_assert_eq!(added, acknowledged + given_up);
        prop_assert_eq!(queue.events.waiting(), 0);
    }
}
