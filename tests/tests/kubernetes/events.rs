//! Events: what is in them, and what is counted in one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use npd_tests::{
    cluster::apiserver::{ApiServer, Resource},
    driver::{
        agent::Setup,
        monitor::Monitor,
        poll::{self, SOON},
        suite::{Suite, need},
    },
    host::kmsg,
    nonce,
};
use serde_json::{Value, json};

use super::{EVENTS_PATH, NODE, STATUS_PATH, World, died, seconds};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("events: {claim}"), run);
    test("a problem is an Event with node-problem-detector's fields and the time of its record", fields);
    test("a change of a condition is an Event, a warning only when it is for the worse", transition);
    test("a line of the kernel log is an Event", kernel_line);
    test("a problem that comes again is a count in its Event", counted);
    test("a message that is too long for an Event is cut", long);
    test("an Event that has expired is made anew", expired);
    test("--event-namespace puts them elsewhere", namespace);
    test("--k8s-exporter-write-events=false sends none, and conditions all the same", off);
    test("a noisy reason takes nothing from another reason nor from a condition", noisy);
}

fn fields() -> Result<()> {
    const MESSAGE: &str = "bad disk 100% d %s %!d(MISSING)";
    let world = World::new()?;
    let _agent = world.start()?;
    let at = seconds(world.app.say_at(Timestamp::now() - jiff::SignedDuration::from_mins(2), &[MESSAGE])?)?;
    world.event(MESSAGE)?;
    let sent = world.requests("POST", EVENTS_PATH).pop().context("nothing was sent")?.json();
    let name = sent["metadata"]["name"].as_str().unwrap_or_default();
    let digits = name.strip_prefix("node-a.").unwrap_or_default();
    ensure!(digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "the name is {name:?}");
    let expected = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {
            "apiVersion": "v1", "kind": "Node", "name": NODE, "uid": world.server.node(NODE)?["metadata"]["uid"],
        },
        "reason": "Bad", "message": MESSAGE, "type": "Warning", "count": 1,
        "source": {"component": "app-monitor", "host": NODE},
        "reportingComponent": "app-monitor", "reportingInstance": NODE,
        "firstTimestamp": at, "lastTimestamp": at,
    });
    ensure!(sent == expected, "expected {expected}, sent {sent}");
    Ok(())
}

fn transition() -> Result<()> {
    let world = World::new()?;
    let _agent = world.start()?;
    world.app.say(&["died of something", "lives"])?;
    let worse = world.event(&died("died of something"))?;
    let better = "Node condition AppBroken is now: False, reason: AppWorks, message: \"the app works\"";
    let better = world.event(better)?;
    ensure!(worse["type"] == "Warning" && worse["reason"] == "AppDied", "{worse}");
    ensure!(better["type"] == "Normal" && better["reason"] == "AppWorks", "{better}");
    Ok(())
}

fn kernel_line() -> Result<()> {
    need::root()?;
    let server = ApiServer::with_node(NODE)?;
    let word = nonce();
    let monitor = Monitor::kernel("line-monitor").rule("Line", &format!("npd-line {word}"));
    let _agent = Setup::new()?.monitor(&monitor)?.cluster(&server, NODE).start()?;
    let before = seconds(Timestamp::now())?;
    kmsg::write(&format!("npd-line {word}"))?;
    let event = server.wait_for_event("the line", SOON, |event| event["reason"] == "Line")?;
    let after = seconds(Timestamp::now())?;
    ensure!(
        event["message"] == format!("npd-line {word}") && event["source"]["component"] == "line-monitor",
        "{event}"
    );
    let at = event["firstTimestamp"].as_str().unwrap_or_default();
    // /dev/kmsg has a clock of its own, and a second is cut off.
    let is_now = |at: &str| (before.as_str()..=after.as_str()).contains(&at);
    let next = seconds(at.parse::<Timestamp>()? + jiff::SignedDuration::from_secs(1))?;
    ensure!(is_now(at) || is_now(&next), "{at} is not between {before} and {after}");
    Ok(())
}

fn counted() -> Result<()> {
    let world = World::new()?;
    let _agent = world.start()?;
    let first = world.app.say_at(Timestamp::now() - jiff::SignedDuration::from_mins(1), &["bad thing"])?;
    world.event("bad thing")?;
    let last = world.app.say(&["bad thing", "bad thing"])?;
    let event = world.counted("bad thing", 3)?;
    ensure!(event["firstTimestamp"] == seconds(first)? && event["lastTimestamp"] == seconds(last)?, "{event}");
    ensure!(world.server.events().len() == 1, "{:?}", world.server.events());
    let name = event["metadata"]["name"].as_str().unwrap_or_default();
    let patch = world.requests("PATCH", &format!("{EVENTS_PATH}/{name}")).pop().context("nothing was patched")?;
    ensure!(patch.header("content-type") == "application/strategic-merge-patch+json", "{:?}", patch.headers);
    let expected = json!({"count": 3, "lastTimestamp": seconds(last)?, "message": "bad thing"});
    ensure!(patch.json() == expected, "{}", patch.json());
    Ok(())
}

fn long() -> Result<()> {
    let world = World::new()?;
    let _agent = world.start()?;
    let text = format!("bad {}", "ä".repeat(1000));
    world.app.say(&[&text])?;
    let event = world.server.wait_for_event("the long one", SOON, |event| event["reason"] == "Bad")?;
    let message = event["message"].as_str().unwrap_or_default();
    let start = message.strip_suffix('…').context("it does not show that it was cut")?;
    ensure!((1020..=1024).contains(&message.len()) && text.starts_with(start), "{} bytes: {message}", message.len());
    Ok(())
}

fn expired() -> Result<()> {
    let world = World::new()?;
    let _agent = world.start()?;
    world.app.say(&["bad thing"])?;
    let first = world.event("bad thing")?;
    let name = first["metadata"]["name"].as_str().unwrap_or_default();
    world.server.expire_event("default", name)?;
    world.app.say(&["bad thing"])?;
    let second = world.event("bad thing")?;
    ensure!(second["metadata"]["name"] != name && second["type"] == "Warning", "{second}");
    world.app.say(&["bad thing"])?;
    let third = world.server.wait_for_event("a count", SOON, |event| event["count"] != second["count"])?;
    ensure!(third["metadata"]["name"] == second["metadata"]["name"], "{third}");
    Ok(())
}

fn namespace() -> Result<()> {
    let world = World::new()?.arg("--event-namespace=monitoring");
    world.server.create(Resource::Namespaces, "", &json!({"metadata": {"name": "monitoring"}}))?;
    let _agent = world.start()?;
    world.app.say(&["bad thing", "bad thing"])?;
    let event = world.counted("bad thing", 2)?;
    ensure!(event["metadata"]["namespace"] == "monitoring", "{event}");
    ensure!(event["involvedObject"]["namespace"] == "monitoring", "{event}");
    Ok(())
}

fn off() -> Result<()> {
    let world = World::new()?.arg("--k8s-exporter-write-events=false");
    let agent = world.start()?;
    world.app.say(&["bad thing", "died of something"])?;
    world.condition("True")?;
    // What waits would be sent at the end.
    agent.stop()?;
    let others: Vec<_> =
        world.server.requests().into_iter().filter(|request| request.path.contains("events")).collect();
    ensure!(others.is_empty(), "{others:?}");
    ensure!(!world.requests("PATCH", STATUS_PATH).is_empty(), "no condition was sent");
    Ok(())
}

fn noisy() -> Result<()> {
    let world = World::new()?;
    let _agent = world.start()?;
    let noise: Vec<_> = (0..500).map(|number| format!("bad thing {number}")).collect();
    // In so many parts that each could have a request of its own.
    for part in noise.chunks(10) {
        world.app.say(&part.iter().map(String::as_str).collect::<Vec<_>>())?;
        poll::pause(Duration::from_millis(5));
    }
    world.app.say(&["worse thing", "died of something"])?;
    world.event("worse thing")?;
    world.event(&died("died of something"))?;
    let is_noise = |event: &Value| event["reason"] == "Bad";
    let noise: Vec<_> = world.server.events().into_iter().filter(is_noise).collect();
    ensure!(noise.len() == 10, "nine of their own and one for all others: {} {noise:?}", noise.len());
    let all = noise.iter().find(|event| {
        event["message"].as_str().is_some_and(|text| text.starts_with("(combined from similar events): bad thing "))
    });
    ensure!(all.is_some(), "no Event stands for the similar ones: {noise:?}");
    let requests = world.server.requests();
    let sent = requests.iter().filter(|request| {
        let body = request.json();
        let is_noise =
            body["reason"] == "Bad" || body["message"].as_str().is_some_and(|text| text.contains("bad thing"));
        request.path.starts_with(EVENTS_PATH) && is_noise
    });
    ensure!(sent.count() <= 25, "one reason has sent more than its share");
    Ok(())
}
