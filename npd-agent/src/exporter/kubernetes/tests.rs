//! The exporter as a whole against an API server of a few lines, on a clock that jumps to what is due next.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use prometheus::Registry;
use serde_json::{Value, json};
use tower::BoxError;

use parking_lot::MutexGuard;

use super::*;
use crate::{
    component::{Components, Readiness},
    metric::own::LabelValue as _,
    node::Node,
    problem::{Condition, ConditionStatus, Fields, Severity},
    state::StateDir,
    time::Timestamp,
};

/// What an API server does with the requests it gets.
#[derive(Clone, Default)]
struct Server {
    shared: Arc<Mutex<Seen>>,
    connections: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Seen {
    is_away: bool,
    requests: Vec<Seen1>,
    /// What is answered next to a request whose line contains the text.
    answers: VecDeque<(&'static str, StatusCode, Option<&'static str>)>,
    pods: Value,
}

#[derive(Clone, Debug)]
struct Seen1 {
    at: Instant,
    /// `POST /api/v1/…`.
    line: String,
    body: Value,
    code: u16,
}

impl Server {
    fn client(&self) -> Client {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let server = self.clone();
        Client::new(tower::service_fn(move |request| server.clone().serve(request)), "default")
    }

    async fn serve(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let line = format!("{} {}", head.method, head.uri);
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut seen = self.seen();
        let mut code = if head.method == Method::POST { StatusCode::CREATED } else { StatusCode::OK };
        let mut answer = match &head.method {
            _ if line.contains("/pods?") => seen.pods.clone(),
            &Method::PATCH if line.contains("/events/") => body.clone(),
            _ => json!({ "metadata": { "uid": "u-1" } }),
        };
        let mut retry_after = None;
        if let Some(index) = seen.answers.iter().position(|(component, ..)| line.contains(component)) {
            (_, code, retry_after) = seen.answers.remove(index).unwrap();
            answer = json!({ "kind": "Status", "message": "as the test wants it" });
        }
        let is_away = seen.is_away;
        let number = if is_away { 0 } else { code.as_u16() };
        seen.requests.push(Seen1 { at: Instant::now(), line, body, code: number });
        if is_away {
            return Err("connection refused".into());
        }
        let mut response = Response::builder().status(code);
        if let Some(seconds) = retry_after {
            response = response.header("Retry-After", seconds);
        }
        Ok(response.body(Body::from(answer.to_string().into_bytes()))?)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.lock()
    }

    fn answer(&self, component: &'static str, code: u16, retry_after: Option<&'static str>) {
        self.seen().answers.push_back((component, StatusCode::from_u16(code).unwrap(), retry_after));
    }

    /// The requests so far whose line contains the text.
    fn requests(&self, component: &str) -> Vec<Seen1> {
        self.seen().requests.iter().filter(|request| request.line.contains(component)).cloned().collect()
    }

    /// The messages of the events that were created, in their order.
    fn created(&self) -> Vec<String> {
        let posted = self.requests("POST ").into_iter().filter(|request| request.code == 201);
        posted.map(|request| request.body["message"].as_str().unwrap().to_owned()).collect()
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_hours(1);
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what} never came: {:#?}", self.seen().requests);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

struct Running {
    exporter: KubernetesExporter,
    tasks: KubernetesTasks,
    metrics: KubernetesMetrics,
    components: Components,
}

impl Running {
    fn count(&self, outcome: &str) -> u64 {
        let outcome = EventOutcome::ALL.iter().find(|known| known.as_str() == outcome).unwrap();
        self.metrics.events(*outcome).get()
    }
}

fn options() -> KubernetesOptions {
    KubernetesOptions {
        node: "node-a".into(),
        wait_timeout: Duration::from_mins(5),
        wait_interval: Duration::from_secs(5),
        heartbeat: Duration::from_mins(5),
        write_events: true,
        update_conditions: true,
        cleanup_conditions: true,
        pod_events: false,
        event_namespace: None,
        qps: 500.0,
        burst: 500,
    }
}

fn run(server: &Server, options: KubernetesOptions) -> Running {
    run_with(server, options, None)
}

fn run_with(server: &Server, options: KubernetesOptions, outbox: Option<StateFile>) -> Running {
    let metrics = KubernetesMetrics::register(&Registry::new()).unwrap();
    let components = Components::default();
    let server = server.clone();
    let connect: Connect = Box::new(move || {
        let client = server.client();
        async { Ok(client) }.boxed()
    });
    let (mut exporter, tasks) =
        start_with(options, connect, None, outbox, metrics.clone(), components.add("kubernetes"));
    exporter.declare(&Declared {
        monitor: "a".into(),
        conditions: vec!["Broken".into()],
        counted: crate::problem::Counted::default(),
    });
    exporter.export(&status(ConditionStatus::False, Vec::new()));
    Running { exporter, tasks, metrics, components }
}

fn status(condition: ConditionStatus, events: Vec<Event>) -> Status {
    let reason = if condition == ConditionStatus::True { "Torn" } else { "Fine" };
    let condition = Condition {
        kind: "Broken".into(),
        status: condition,
        transition: Timestamp::from_unix_nanos(1_000_000_000),
        reason: reason.into(),
        message: String::new(),
    };
    Status { monitor: "a".into(), source: "test".into(), events, conditions: vec![condition], metrics: true }
}

fn problem(reason: &str, message: &str) -> Event {
    Event::new(Severity::Warn, Timestamp::from_unix_nanos(7_900_000_000), reason.into(), message.into())
}

fn change(message: &str) -> Event {
    Event { condition: Some("Broken".into()), ..problem("Torn", message) }
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_without_an_api_server_lose_nothing_and_transitions_come_first() {
    let server = Server::default();
    let mut running = run(&server, options());
    server.until("the first patch", |server| !server.requests("/status").is_empty()).await;
    server.seen().is_away = true;
    let gone = Instant::now();
    for number in 0..20 {
        running.exporter.export(&status(ConditionStatus::False, vec![problem(&format!("R{number}"), "x")]));
    }
    running.exporter.export(&status(ConditionStatus::True, vec![change("now True")]));
    running.exporter.export(&status(ConditionStatus::False, vec![change("now False")]));
    running.exporter.export(&status(ConditionStatus::True, vec![change("now True again")]));
    tokio::time::sleep(Duration::from_mins(10)).await;
    let tries = server.requests("").iter().filter(|request| request.code == 0).count();
    assert!((30..=120).contains(&tries), "two tasks, each about twice a minute: {tries}");
    assert_eq!(server.created(), [""; 0]);
    server.seen().is_away = false;
    let back = Instant::now();
    server.until("all events", |server| server.created().len() == 23).await;
    server
        .until("the condition", |server| {
            server.requests("/status").iter().any(|request| {
                request.at > back && request.code == 200 && request.body["status"]["conditions"][0]["status"] == "True"
            })
        })
        .await;
    assert!(back.elapsed() <= Duration::from_secs(31), "{:?} after {:?}", back.elapsed(), gone.elapsed());
    let created = server.created();
    // The one that was on its way when the server went was first in its line.
    let transitions: Vec<_> = created.iter().filter(|message| message.starts_with("now")).collect();
    assert_eq!(transitions, ["now True", "now False", "now True again"]);
    assert!(created.iter().position(|message| message == "now True again").unwrap() <= 3, "{created:?}");
    assert_eq!((running.count("created"), running.count("dropped")), (23, 0));
}

#[tokio::test(start_paused = true)]
async fn before_the_api_server_is_there_events_wait_and_readiness_says_why() {
    let server = Server::default();
    server.seen().is_away = true;
    let mut running = run(&server, options());
    running.exporter.export(&status(ConditionStatus::False, vec![problem("TaskHung", "task a")]));
    tokio::time::sleep(Duration::from_secs(62)).await;
    assert_eq!(server.requests("").len(), 13, "once in five seconds, and nothing but the node");
    assert_eq!(server.requests("GET /api/v1/nodes/node-a").len(), 13);
    let [(_, Readiness::Waiting(why))] = &running.components.readiness()[..] else { panic!("it is ready") };
    assert_eq!(why, "the API server cannot be reached: ServiceError: connection refused");
    server.seen().is_away = false;
    server.until("the event", |server| server.created() == ["task a"]).await;
    let event = &server.requests("POST ")[0].body;
    assert_eq!(event["involvedObject"]["uid"], "u-1", "the node was read before");
    assert_eq!(event["firstTimestamp"], "1970-01-01T00:00:07Z", "the time of the problem");
    assert_eq!(running.components.readiness()[0].1, Readiness::Ready(""));
}

#[tokio::test(start_paused = true)]
async fn when_the_wait_is_over_the_rest_goes_on_without_the_node() {
    let server = Server::default();
    for _ in 0..4 {
        server.answer("GET /api/v1/nodes/node-a", 404, None);
    }
    let mut running = run(&server, KubernetesOptions { wait_timeout: Duration::from_secs(12), ..options() });
    running.exporter.export(&status(ConditionStatus::False, vec![problem("TaskHung", "task a")]));
    let begun = Instant::now();
    server.until("the event", |server| server.created() == ["task a"]).await;
    assert_eq!(begun.elapsed().as_secs(), 12);
    assert!(server.requests("POST ")[0].body["involvedObject"].get("uid").is_none());
    server.until("the patch", |server| !server.requests("/status").is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_may_not_be_read_holds_up_nothing() {
    let server = Server::default();
    server.answer("GET /api/v1/nodes/node-a", 403, None);
    let mut running = run(&server, options());
    running.exporter.export(&status(ConditionStatus::False, vec![problem("TaskHung", "task a")]));
    let begun = Instant::now();
    server
        .until("event and patch", |server| !server.created().is_empty() && !server.requests("/status").is_empty())
        .await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_server_says_when_to_retry_and_no_request_is_made_before() {
    let server = Server::default();
    let mut running = run(&server, options());
    server.until("the first patch", |server| !server.requests("/status").is_empty()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.answer("/status", 429, Some("40"));
    server.answer("/events", 429, Some("50"));
    let begun = Instant::now();
    running.exporter.export(&status(ConditionStatus::True, vec![problem("TaskHung", "task a")]));
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.exporter.export(&status(ConditionStatus::True, vec![problem("TaskHung", "task b"), change("c")]));
    server.until("the events", |server| server.created().len() == 3).await;
    let after = |part| -> Vec<u64> {
        let times = server.requests(part).into_iter().filter(|request| request.at >= begun);
        times.map(|request| (request.at - begun).as_secs()).collect()
    };
    let patches = after("/status");
    assert!(patches.len() == 2 && patches[0] == 0 && (40..=41).contains(&patches[1]), "{patches:?}");
    let events = after("/events");
    // The patch at 40 s shows that the server is there, but not that it wants events.
    assert!(events[0] == 0 && events[1..].iter().all(|at| (50..=51).contains(at)), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_over_makes_a_new_connection_with_a_new_one() {
    let server = Server::default();
    let mut running = run(&server, options());
    server.until("the first patch", |server| !server.requests("/status").is_empty()).await;
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    server.answer("/events", 401, None);
    running.exporter.export(&status(ConditionStatus::False, vec![problem("TaskHung", "task a")]));
    server.until("the event", |server| server.created() == ["task a"]).await;
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn at_rest_there_is_one_request_a_heartbeat() {
    let server = Server::default();
    let running = run(&server, options());
    server.until("the first patch", |server| !server.requests("/status").is_empty()).await;
    let before = server.requests("").len();
    tokio::time::sleep(Duration::from_hours(1) + Duration::from_secs(1)).await;
    assert_eq!(server.requests("").len() - before, 12);
    assert_eq!(running.count("created"), 0);
}

#[tokio::test(start_paused = true)]
async fn all_requests_together_keep_to_the_limit() {
    let server = Server::default();
    let mut running = run(&server, KubernetesOptions { qps: 10.0, burst: 5, ..options() });
    for number in 0..100 {
        running.exporter.export(&status(ConditionStatus::False, vec![problem(&format!("R{number}"), "x")]));
    }
    server.until("all events", |server| server.created().len() == 100).await;
    let times: Vec<_> = server.requests("").iter().map(|request| request.at).collect();
    for window in times.windows(16) {
        assert!(window[15] - window[0] >= Duration::from_millis(995), "sixteen requests within a second");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_is_counted_and_holds_up_nothing() {
    let server = Server::default();
    let mut running = run(&server, options());
    server.answer("POST ", 422, None);
    server.answer("POST ", 404, None);
    for message in ["a", "b", "c"] {
        running.exporter.export(&status(ConditionStatus::False, vec![problem("TaskHung", message)]));
    }
    server.until("the third", |server| server.created() == ["c"]).await;
    assert_eq!((running.count("refused"), running.count("created")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_makes_trouble_inside_the_server_lets_others_pass() {
    let server = Server::default();
    let mut running = run(&server, options());
    for message in ["a", "b"] {
        running.exporter.export(&status(ConditionStatus::False, vec![problem("TaskHung", message)]));
    }
    server.answer("POST ", 500, None);
    server.until("both", |server| server.created().len() == 2).await;
    assert_eq!(server.created(), ["b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_problem_of_a_pod_becomes_an_event_at_the_pod_and_names_it() {
    let server = Server::default();
    server.seen().pods = json!({ "items": [{ "metadata": { "name": "web", "namespace": "shop", "uid": "u-9" } }] });
    let mut running = run(&server, KubernetesOptions { pod_events: true, ..options() });
    let from = |uid: &str, message: &str| {
        let mut fields = Fields::default();
        fields.add("pod_uid", uid);
        fields.add("container_id", "c0ffee");
        Event { fields, ..problem("OOMKilling", message) }
    };
    running.exporter.export(&status(ConditionStatus::False, vec![from("u-9", "killed 7"), from("u-x", "killed 8")]));
    server.until("the events", |server| server.created().len() == 3 && server.requests("/pods").len() == 1).await;
    let posted = server.requests("POST ");
    let of =
        |line: &str| posted.iter().filter(|request| request.line.contains(line)).map(|r| &r.body).collect::<Vec<_>>();
    let at_pod = of("/namespaces/shop/events");
    assert_eq!(at_pod.len(), 1);
    assert_eq!(
        at_pod[0]["involvedObject"],
        json!({ "apiVersion": "v1", "kind": "Pod", "name": "web", "namespace": "shop", "uid": "u-9" })
    );
    assert_eq!(at_pod[0]["message"], "killed 7 (container c0ffee)");
    let messages: Vec<_> = of("/namespaces/default/events").iter().map(|event| event["message"].clone()).collect();
    assert_eq!(messages, ["killed 7 (pod shop/web, container c0ffee)", "killed 8 (pod uid u-x, container c0ffee)"]);
    assert_eq!((running.count("created"), running.count("no_pod")), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_newer_than_the_list_is_waited_for() {
    let server = Server::default();
    server.seen().pods = json!({ "items": [] });
    let mut running = run(&server, KubernetesOptions { pod_events: true, ..options() });
    let from = |uid: &str| {
        let mut fields = Fields::default();
        fields.add("pod_uid", uid);
        Event { fields, ..problem("OOMKilling", uid) }
    };
    running.exporter.export(&status(ConditionStatus::False, vec![from("u-1")]));
    server.until("the first event", |server| server.created().len() == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(running.count("no_pod"), 1, "a list that was made for it has no such pod");
    server.seen().pods = json!({ "items": [{ "metadata": { "name": "web", "namespace": "shop", "uid": "u-2" } }] });
    server.answer("/pods?", 503, None);
    let begun = Instant::now();
    running.exporter.export(&status(ConditionStatus::False, vec![from("u-2")]));
    server.until("the pod's event", |server| server.requests("/shop/events").len() == 1).await;
    assert_eq!(begun.elapsed().as_secs(), 9, "4 seconds until the next list, and 5 more because it failed");
    assert_eq!(server.requests("/default/events").len(), 2, "the node's event has not waited");
    assert_eq!((running.count("created"), running.count("no_pod")), (3, 1));
}

/// The file of an outbox in a folder.
fn outbox(folder: &tempfile::TempDir) -> StateFile {
    StateDir::open(folder.path(), &Node::default()).unwrap().file("kubernetes-events").unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_agent_has_not_sent_is_sent_by_the_next_one_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::default();
    let mut killed = run_with(&server, options(), Some(outbox(&folder)));
    server.until("the first patch", |server| !server.requests("/status").is_empty()).await;
    let sent = Event { id: Some(1), ..problem("TaskHung", "sent") };
    killed.exporter.export(&status(ConditionStatus::False, vec![sent]));
    server.until("the first event", |server| server.created() == ["sent"]).await;
    server.seen().is_away = true;
    for number in 0..3 {
        let event = Event { id: Some(10 + number), ..problem("TaskHung", "waits") };
        killed.exporter.export(&status(ConditionStatus::False, vec![event]));
    }
    killed.exporter.export(&status(ConditionStatus::False, vec![change("now False")]));
    drop(killed.tasks);
    server.seen().is_away = false;

    let mut next = run_with(&server, options(), Some(outbox(&folder)));
    // The monitor was killed before it had noted its last report, and gives it again.
    let again = Event { id: Some(12), again: true, ..problem("TaskHung", "waits") };
    next.exporter.export(&status(ConditionStatus::False, vec![again]));
    server.until("what was left", |server| server.created().len() == 3).await;
    assert_eq!(server.created(), ["sent", "now False", "waits"]);
    assert_eq!(server.requests("POST ").last().unwrap().body["count"], 3);
    next.tasks.stop(Duration::from_secs(3)).await;
    let third = run_with(&server, options(), Some(outbox(&folder)));
    third.tasks.stop(Duration::from_secs(3)).await;
    assert_eq!(server.created().len(), 3, "nothing is left");
}

#[tokio::test(start_paused = true)]
async fn of_a_flood_what_waits_is_kept_once_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::default();
    server.seen().is_away = true;
    let mut running = run_with(&server, options(), Some(outbox(&folder)));
    let kept = || {
        let kept = outbox(&folder).load::<Vec<events::queue::Pending>>().unwrap();
        kept.map_or(0, |kept| kept.state.len())
    };
    for number in 0..200 {
        running.exporter.export(&status(ConditionStatus::False, vec![problem(&format!("R{number}"), "x")]));
    }
    assert!((1..=40).contains(&kept()), "{}", kept());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(kept(), 200);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_waits_is_sent_and_the_last_condition_written() {
    let server = Server::default();
    let mut running = run(&server, options());
    server.until("the first patch", |server| !server.requests("/status").is_empty()).await;
    for _ in 0..40 {
        running.exporter.export(&status(ConditionStatus::False, vec![problem("TaskHung", "task a")]));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.exporter.export(&status(ConditionStatus::True, vec![change("now True")]));
    running.tasks.stop(Duration::from_secs(3)).await;
    assert_eq!(server.requests("PATCH /api/v1/namespaces/default/events").last().unwrap().body["count"], 40);
    assert_eq!(server.requests("/status").last().unwrap().body["status"]["conditions"][0]["status"], "True");
    let metrics = running.metrics;
    assert_eq!(metrics.events(EventOutcome::Unsent).get(), 0);
    assert_eq!(metrics.events(EventOutcome::Created).get() + metrics.events(EventOutcome::Counted).get(), 41);
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_server_that_is_away_and_says_what_was_not_sent() {
    let server = Server::default();
    let mut running = run(&server, options());
    server.until("the first patch", |server| !server.requests("/status").is_empty()).await;
    server.seen().is_away = true;
    running.exporter.export(&status(ConditionStatus::False, vec![problem("TaskHung", "a"), problem("TaskHung", "b")]));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let begun = Instant::now();
    running.tasks.stop(Duration::from_secs(3)).await;
    assert!(begun.elapsed() <= Duration::from_secs(3));
    assert_eq!(running.metrics.events(EventOutcome::Unsent).get(), 2);
}
