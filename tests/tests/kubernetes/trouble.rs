//! An API server that is there and does not do what it is asked to.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    cluster::apiserver::{Cut, Fault, Request},
    driver::{agent::Agent, poll::SOON, suite::Suite},
};

use super::{EVENTS_PATH, NODE_PATH, STATUS_PATH, World, died, expect_apart};

/// Any Event of the Node, to be patched.
const EVENT_PATH: &str = "/api/v1/namespaces/default/events/*";

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("trouble: {claim}"), run);
    test("conditions that are too many for the API server come again when it says so", conditions_later);
    test("events that are too many for the API server come again when it says so", events_later);
    test("that events are taken again is no reason to send conditions sooner", conditions_later_all_the_same);
    test("that conditions are taken again is no reason to send events sooner", events_later_all_the_same);
    test("an API server that fails is tried again", fails);
    test("an Event that the API server fails at does not keep the others", one_fails);
    test("connections that are cut are made again", cut);
    test("an API server that is slow with events is not with conditions", slow);
    test("answers that are no JSON are no answers", garbage);
    test("an Event whose answer got lost is not made twice", lost_answer);
    test("a count whose answer got lost is not counted twice", lost_count);
    test("events that are forbidden are counted as refused, and conditions go on", forbidden);
    test("conditions that are forbidden do not keep the events", conditions_forbidden);
}

/// Checks the series, which may take a moment.
fn expect_count(agent: &Agent, outcome: &str, count: u64) -> Result<()> {
    let labels = [("outcome", outcome)];
    agent.wait_for_metrics(&format!("{count} {outcome}"), |metrics| {
        (metrics.value("npd_k8s_events_total", &labels) == Some(count as f64)).then_some(())
    })
}

/// Checks that after a refusal nothing of this kind came for so many seconds.
fn expect_pause(requests: &[Request], seconds: u64) -> Result<()> {
    let refused = requests.iter().position(|request| request.status == Some(429)).context("nothing was refused")?;
    let pair = requests.get(refused..refused + 2).context("it did not come again")?;
    expect_apart(pair, Duration::from_secs(seconds))
}

fn conditions_later() -> Result<()> {
    let world = World::new()?.arg("--k8s-exporter-heartbeat-period=1s");
    let _agent = world.start()?;
    world.server.fault(Fault::on("PATCH", STATUS_PATH).times(1).overloaded(2));
    world.app.say(&["died of something"])?;
    world.server.wait_for_request("a refusal", SOON, |request| request.status == Some(429))?;
    // Not even news make it come sooner.
    world.app.say(&["lives", "died again"])?;
    world.condition("True")?;
    expect_pause(&world.requests("PATCH", STATUS_PATH), 2)
}

fn events_later() -> Result<()> {
    let world = World::new()?;
    let _agent = world.start()?;
    world.server.fault(Fault::on("POST", EVENTS_PATH).times(1).refuse_for(429, 2));
    world.app.say(&["bad thing"])?;
    world.server.wait_for_request("a refusal", SOON, |request| request.status == Some(429))?;
    world.app.say(&["worse thing"])?;
    world.event("bad thing")?;
    world.event("worse thing")?;
    expect_pause(&world.requests("POST", EVENTS_PATH), 2)
}

fn conditions_later_all_the_same() -> Result<()> {
    let world = World::new()?;
    let agent = world.start()?;
    world.server.fault(Fault::on("PATCH", STATUS_PATH).times(1).overloaded(3));
    world.app.say(&["died of something"])?;
    world.server.wait_for_request("a refusal", SOON, |request| request.status == Some(429))?;
    world.server.fault(Fault::on("POST", EVENTS_PATH).times(1).refuse(503));
    world.app.say(&["bad thing"])?;
    says(&agent, "the API server accepts events again")?;
    world.condition("True")?;
    expect_pause(&world.requests("PATCH", STATUS_PATH), 3)
}

fn events_later_all_the_same() -> Result<()> {
    let world = World::new()?;
    let agent = world.start()?;
    world.server.fault(Fault::on("POST", EVENTS_PATH).times(1).refuse_for(429, 3));
    world.server.fault(Fault::on("PATCH", STATUS_PATH).times(1).refuse(503));
    world.app.say(&["died of something"])?;
    says(&agent, "the API server accepts conditions again")?;
    world.event(&died("died of something"))?;
    expect_pause(&world.requests("POST", EVENTS_PATH), 3)
}

fn says(agent: &Agent, message: &str) -> Result<()> {
    agent.log.wait(message, SOON, |line| (line.message() == message).then_some(()))
}

fn fails() -> Result<()> {
    let world = World::new()?;
    let _agent = world.start()?;
    world.server.fault(Fault::on("PATCH", STATUS_PATH).times(1).refuse(500));
    world.server.fault(Fault::on("POST", EVENTS_PATH).times(1).refuse(503));
    world.app.say(&["bad thing", "died of something"])?;
    world.condition("True")?;
    world.event("bad thing")?;
    world.event(&died("died of something"))?;
    Ok(())
}

fn one_fails() -> Result<()> {
    let world = World::new()?;
    let _agent = world.start()?;
    world.server.fault(Fault::on("POST", EVENTS_PATH).times(1).delay(Duration::from_millis(300)).refuse(500));
    world.app.say(&["bad thing"])?;
    world.server.wait_for_request("the one", SOON, |request| request.path == EVENTS_PATH)?;
    world.app.say(&["worse thing"])?;
    world.event("bad thing")?;
    let reasons: Vec<_> =
        world.requests("POST", EVENTS_PATH).iter().map(|post| post.json()["reason"].clone()).collect();
    ensure!(reasons == ["Bad", "Worse", "Bad"], "{reasons:?}");
    Ok(())
}

fn cut() -> Result<()> {
    let world = World::new()?;
    let agent = world.start()?;
    for place in [Cut::BeforeHead, Cut::InBody] {
        world.server.fault(Fault::on("PATCH", STATUS_PATH).times(1).cut(place));
    }
    world.server.fault(Fault::on("POST", EVENTS_PATH).times(1).cut(Cut::BeforeHead));
    world.app.say(&["bad thing", "died of something"])?;
    world.condition("True")?;
    world.event("bad thing")?;
    world.event(&died("died of something"))?;
    // The agent knows that it is told, too.
    says(&agent, "the API server accepts conditions again")?;
    expect_count(&agent, "created", 2)
}

fn slow() -> Result<()> {
    let world = World::new()?;
    let _agent = world.start()?;
    world.server.fault(Fault::on("POST", EVENTS_PATH).times(1).delay(Duration::from_secs(3)));
    world.app.say(&["bad thing"])?;
    world.server.wait_for_request("the slow one", SOON, |request| request.path == EVENTS_PATH)?;
    let written = Instant::now();
    world.app.say(&["died of something"])?;
    world.condition("True")?;
    let took = written.elapsed();
    ensure!(took < Duration::from_secs(2), "the condition came after {took:?}");
    world.event("bad thing")?;
    world.event(&died("died of something"))?;
    ensure!(world.requests("POST", EVENTS_PATH).len() == 2, "{:?}", world.requests("POST", EVENTS_PATH));
    Ok(())
}

fn garbage() -> Result<()> {
    let world = World::new()?;
    world.server.fault(Fault::on("GET", NODE_PATH).times(2).garbage());
    let agent = world.start()?;
    let told = agent.log_lines().iter().any(|line| line.raw.contains("the API server's response cannot be decoded"));
    ensure!(told, "the log does not say it");
    world.app.say(&["bad thing"])?;
    let uid = world.server.node(super::NODE)?["metadata"]["uid"].clone();
    ensure!(world.event("bad thing")?["involvedObject"]["uid"] == uid, "the uid is another");
    Ok(())
}

fn lost_answer() -> Result<()> {
    let world = World::new()?;
    let agent = world.start()?;
    world.server.fault(Fault::on("POST", EVENTS_PATH).times(1).cut(Cut::AfterHead));
    world.app.say(&["bad thing"])?;
    expect_count(&agent, "created", 1)?;
    expect_count(&agent, "known", 0)?;
    let events = world.server.events();
    ensure!(events.len() == 1 && events[0]["count"] == 1, "{events:?}");
    let statuses: Vec<_> = world.requests("POST", EVENTS_PATH).iter().map(|post| post.status).collect();
    ensure!(statuses.last() == Some(&Some(409)), "it was not tried again: {statuses:?}");
    // It goes on counting in that very Event.
    world.app.say(&["bad thing", "bad thing"])?;
    world.counted("bad thing", 3)?;
    expect_count(&agent, "counted", 2)
}

fn lost_count() -> Result<()> {
    let world = World::new()?;
    let agent = world.start()?;
    world.app.say(&["bad thing"])?;
    world.event("bad thing")?;
    expect_count(&agent, "created", 1)?;
    world.server.fault(Fault::on("PATCH", EVENT_PATH).times(1).cut(Cut::InBody));
    world.app.say(&["bad thing", "bad thing"])?;
    expect_count(&agent, "counted", 2)?;
    let events = world.server.events();
    ensure!(events.len() == 1 && events[0]["count"] == 3, "{events:?}");
    Ok(())
}

fn forbidden() -> Result<()> {
    let world = World::new()?;
    let agent = world.start()?;
    world.server.fault(Fault::on("POST", EVENTS_PATH).refuse(403));
    world.app.say(&["bad thing", "bad thing", "died of something"])?;
    world.condition("True")?;
    expect_count(&agent, "refused", 3)?;
    let mut lines = agent.log_lines();
    lines.retain(|line| line.message() == "the API server rejects events");
    ensure!(lines.len() == 1 && lines[0].raw.contains("403"), "it is told once: {lines:?}");
    world.server.clear_faults();
    world.app.say(&["worse thing", "lives"])?;
    world.event("worse thing")?;
    world.condition("False")?;
    Ok(())
}

fn conditions_forbidden() -> Result<()> {
    let world = World::new()?;
    world.server.fault(Fault::on("*", NODE_PATH).refuse(403));
    world.server.fault(Fault::on("*", STATUS_PATH).refuse(403));
    let agent = world.setup.clone().start()?;
    world.app.say(&["bad thing"])?;
    let event = world.event("bad thing")?;
    ensure!(event["involvedObject"].get("uid").is_none(), "nobody has told it: {event}");
    agent.log.wait("the refusal", SOON, |line| line.raw.contains("403 Forbidden").then_some(()))
}
