//! Conditions: what the Node says, and how often it is told.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use npd_tests::{
    cluster::apiserver::{ApiServer, Key, Request, Resource, conditions},
    driver::{
        agent::Setup,
        monitor::Monitor,
        poll::{self, SOON},
        suite::Suite,
    },
};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{App, NODE, NODE_PATH, OWNED, STATUS_PATH, World, died, expect_apart, monitor, seconds};

/// The shortest heartbeat there is.
const HEARTBEAT: &str = "--k8s-exporter-heartbeat-period=1s";

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("conditions: {claim}"), run);
    test("all of them are one strategic merge patch with node-problem-detector's fields", fields);
    test("a change is sent at once, and no two patches within a second", at_once);
    test("a True of a moment leaves its events and its transition time", moment);
    test("since when they are so is known after a kill, with the state", || kept(true));
    test("since when they are so is known after a kill, without the state", || kept(false));
    test("what the Node has already stays as long as it has been so", taken_up);
    test("a node at rest costs one request a heartbeat", rest);
    test("a monitor that sees nothing does not hide what another sees of the same type", shared_type);
    test("a type that is no longer configured is removed when the agent starts", || removed_at_start(true));
    test("--cleanup-stale-conditions=false leaves a type that is no longer configured", || removed_at_start(false));
    test("a type that is no longer configured is removed when the file changes", removed_at_reload);
    test("--k8s-exporter-update-node-conditions=false patches nothing", off);
    test("a config without conditions patches nothing", none);
}

fn fields() -> Result<()> {
    let world = World::new()?;
    let ready = conditions(&world.server.node(NODE)?)["Ready"].clone();
    let _agent = world.start()?;
    let at = seconds(world.app.say_at(Timestamp::now() - jiff::SignedDuration::from_mins(2), &["died of something"])?)?;
    let before = seconds(Timestamp::now())?;
    world.condition("True")?;
    let patch = world.requests("PATCH", STATUS_PATH).pop().context("no patch")?;
    ensure!(patch.header("content-type") == "application/strategic-merge-patch+json", "{:?}", patch.headers);
    let sent = patch.json();
    let heartbeat = &sent["status"]["conditions"][0]["lastHeartbeatTime"];
    let expected = json!({"status": {"conditions": [{
        "type": "AppBroken", "status": "True", "reason": "AppDied", "message": "died of something",
        "lastTransitionTime": at, "lastHeartbeatTime": heartbeat,
    }]}});
    ensure!(sent == expected, "expected {expected}, sent {sent}");
    let after = seconds(Timestamp::now())?;
    let heartbeat = heartbeat.as_str().unwrap_or_default();
    ensure!((before.as_str()..=after.as_str()).contains(&heartbeat), "{heartbeat} is not now");
    ensure!(conditions(&world.server.node(NODE)?)["Ready"] == ready, "a foreign condition was touched");
    Ok(())
}

fn at_once() -> Result<()> {
    let world = World::new()?;
    let _agent = world.start()?;
    // The patch of the start is long ago.
    let patches = || world.requests("PATCH", STATUS_PATH);
    poll::wait_until("a quiet second", SOON, || patches().last().is_some_and(|last| last.at.elapsed().as_secs() >= 1))?;
    let written = Instant::now();
    world.app.say(&["died of something"])?;
    world.condition("True")?;
    let took = patches().last().context("no patch")?.at - written;
    ensure!(took < Duration::from_millis(500), "the change came after {took:?}");
    for turn in 0..12 {
        world.app.say(&[if turn % 2 == 0 { "lives" } else { "died of something" }])?;
        poll::pause(Duration::from_millis(100));
    }
    world.app.say(&["lives"])?;
    poll::wait_until("the last word", SOON, || {
        patches().last().is_some_and(|last| last.json()["status"]["conditions"][0]["status"] == "False")
    })?;
    ensure!(patches().len() >= 3, "{}", patches().len());
    expect_apart(&patches(), Duration::from_secs(1))
}

fn moment() -> Result<()> {
    let world = World::new()?;
    let _agent = world.start()?;
    let ago = |minutes| Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
    world.app.say_at(ago(2), &["died of something"])?;
    let at = seconds(world.app.say_at(ago(1), &["lives"])?)?;
    world.event(&died("died of something"))?;
    world.server.wait_for_event("the recovery", SOON, |event| event["reason"] == "AppWorks")?;
    world.server.wait_for("the transition time", SOON, |cluster| {
        let node = cluster.store.find(&Key::cluster(Resource::Nodes, NODE))?;
        (conditions(node)["AppBroken"]["lastTransitionTime"] == at.as_str()).then_some(())
    })?;
    let patches = world.requests("PATCH", STATUS_PATH);
    let is_true = |patch: &Request| patch.json()["status"]["conditions"][0]["status"] == "True";
    ensure!(!patches.iter().any(is_true), "it was no moment: {patches:?}");
    Ok(())
}

fn kept(with_state: bool) -> Result<()> {
    let mut world = World::new()?;
    if with_state {
        world.setup = world.setup.stateful();
    }
    let agent = world.start()?;
    let at = world.app.say_at(Timestamp::now() - jiff::SignedDuration::from_mins(5), &["died of something"])?;
    let before = world.condition("True")?;
    agent.stop_with(Signal::KILL)?;
    let count = world.server.requests().len() as u64;
    let _agent = world.setup.clone().arg(HEARTBEAT).start()?;
    world.server.wait_for_request("a patch of the second agent", SOON, |request| {
        request.number >= count && request.path == STATUS_PATH && request.status.is_some()
    })?;
    let after = world.condition("True")?;
    ensure!(after["lastTransitionTime"] == seconds(at)?, "before {before}, after {after}");
    ensure!(after["reason"] == before["reason"] && after["message"] == before["message"], "{before}, {after}");
    Ok(())
}

/// As an agent finds it whose state is gone, and whose log says nothing of the time before.
fn taken_up() -> Result<()> {
    const SINCE: &str = "2026-01-02T03:04:05Z";
    let world = World::on(ApiServer::builder().start()?)?;
    let condition = json!({
        "type": "AppBroken", "status": "False", "reason": "AppWorks", "message": "the app works",
        "lastTransitionTime": SINCE, "lastHeartbeatTime": SINCE,
    });
    let node = json!({"metadata": {"name": NODE}, "status": {"conditions": [condition]}});
    world.server.create(Resource::Nodes, "", &node)?;
    let _agent = world.setup.clone().start()?;
    world
        .server
        .wait_for_request("a patch", SOON, |request| request.path == STATUS_PATH && request.status.is_some())?;
    let now = world.condition("False")?;
    ensure!(now["lastHeartbeatTime"] != SINCE && now["lastTransitionTime"] == SINCE, "{now}");
    Ok(())
}

fn rest() -> Result<()> {
    let world = World::new()?.arg(HEARTBEAT);
    let _agent = world.start()?;
    let first = world.server.requests().len() as u64;
    let requests = world.server.wait_for("three heartbeats", SOON, |cluster| {
        let requests: Vec<_> = cluster.requests.since(first.saturating_sub(1)).cloned().collect();
        (requests.len() >= 4).then_some(requests)
    })?;
    expect_apart(&requests, Duration::from_secs(1))?;
    let took = requests[requests.len() - 1].at - requests[0].at;
    ensure!(took < Duration::from_secs(5), "three heartbeats took {took:?}");
    let told: Vec<_> =
        requests.iter().map(|request| request.json()["status"]["conditions"][0]["type"].clone()).collect();
    ensure!(told.iter().all(|kind| kind == "AppBroken"), "{told:?}");
    Ok(())
}

fn shared_type() -> Result<()> {
    let mut world = World::new()?.arg(HEARTBEAT);
    let other = App::new(&world.setup, "other.log")?;
    world.setup = world.setup.monitor(&monitor(&other).with("source", "other-monitor"))?;
    let _agent = world.start()?;
    world.app.say(&["died of something"])?;
    world.condition("True")?;
    // The other one had a problem of its own, and has none any more.
    other.say(&["died as well", "lives"])?;
    world.server.wait_for_event("the recovery", SOON, |event| {
        event["reason"] == "AppWorks" && event["source"]["component"] == "other-monitor"
    })?;
    let first = world.server.requests().len() as u64;
    world.server.wait_for_request("a heartbeat", SOON, |request| {
        request.number >= first && request.path == STATUS_PATH && request.status.is_some()
    })?;
    ensure!(world.condition("True")?["message"] == "died of something", "{:?}", world.condition("True")?);
    world.app.say(&["lives"])?;
    world.condition("False")?;
    Ok(())
}

/// The config of a second agent lacks a type that the first had.
fn removed_at_start(cleanup: bool) -> Result<()> {
    let server = ApiServer::with_node(NODE)?;
    let setup =
        Setup::new()?.cluster(&server, NODE).arg(HEARTBEAT).arg(format!("--cleanup-stale-conditions={cleanup}"));
    let app = App::new(&setup, "app.log")?;
    let both = monitor(&app).condition("Other", "OtherWorks", "it works");
    let first = setup.clone().file("both.json", &both.to_json())?.start()?;
    server.wait_for_condition(NODE, "Other", "False", SOON)?;
    first.stop()?;
    let count = server.requests().len() as u64;
    let _second = setup.file("one.json", &monitor(&app).to_json())?.start()?;
    server.wait_for("two patches", SOON, |cluster| {
        let patches =
            cluster.requests.since(count).filter(|request| request.path == STATUS_PATH && request.status.is_some());
        (patches.count() >= 2).then_some(())
    })?;
    expect_types(&server, if cleanup { &["AppBroken", "Ready"] } else { &["AppBroken", "Other", "Ready"] })?;
    let owned = server.node(NODE)?.pointer(OWNED).cloned();
    ensure!(owned == cleanup.then(|| Value::from("AppBroken")), "the annotation is {owned:?}");
    Ok(())
}

fn removed_at_reload() -> Result<()> {
    let server = ApiServer::with_node(NODE)?;
    let setup = Setup::new()?.cluster(&server, NODE);
    let app = App::new(&setup, "app.log")?;
    let config = setup.folder().join("monitor.json");
    let both = monitor(&app).condition("Other", "OtherWorks", "it works");
    let _agent = setup.file("monitor.json", &both.to_json())?.start()?;
    server.wait_for_condition(NODE, "Other", "False", SOON)?;
    fs::write(&config, monitor(&app).to_json()).context("cannot change the config")?;
    server.wait_for_request("a removal", SOON, |request| {
        request.status == Some(200) && request.json()["status"]["conditions"].to_string().contains("$patch")
    })?;
    expect_types(&server, &["AppBroken", "Ready"])?;
    let owned = server.node(NODE)?.pointer(OWNED).cloned();
    ensure!(owned == Some(Value::from("AppBroken")), "the annotation is {owned:?}");
    Ok(())
}

fn expect_types(server: &ApiServer, expected: &[&str]) -> Result<()> {
    let node = server.node(NODE)?;
    let conditions = conditions(&node);
    let types: Vec<_> = conditions.keys().map(String::as_str).collect();
    ensure!(types == expected, "expected {expected:?}, the Node has {types:?}");
    Ok(())
}

fn off() -> Result<()> {
    let world = World::new()?.arg("--k8s-exporter-update-node-conditions=false").arg(HEARTBEAT);
    let _agent = world.setup.clone().start()?;
    world.app.say(&["died of something"])?;
    let event = world.event(&died("died of something"))?;
    ensure!(event["involvedObject"]["uid"] == world.server.node(NODE)?["metadata"]["uid"], "{event}");
    only_read(&world.server)
}

fn none() -> Result<()> {
    let server = ApiServer::with_node(NODE)?;
    let setup = Setup::new()?.cluster(&server, NODE).arg(HEARTBEAT);
    let app = App::new(&setup, "app.log")?;
    let _agent = setup.monitor(&Monitor::file("app-monitor", &app.path).rule("Bad", "bad .*"))?.start()?;
    app.say(&["bad thing"])?;
    server.wait_for_event("the problem", SOON, |event| event["message"] == "bad thing")?;
    only_read(&server)
}

/// Over some heartbeats the Node is read, and never patched.
fn only_read(server: &ApiServer) -> Result<()> {
    server.wait_for("three reads", SOON, |cluster| {
        let reads = cluster.requests.iter().filter(|request| request.method == "GET" && request.path == NODE_PATH);
        (reads.count() >= 3).then_some(())
    })?;
    let patches: Vec<_> = server.requests().into_iter().filter(|request| request.path == STATUS_PATH).collect();
    ensure!(patches.is_empty(), "{patches:?}");
    ensure!(conditions(&server.node(NODE)?).len() == 1, "{}", server.node(NODE)?);
    Ok(())
}
