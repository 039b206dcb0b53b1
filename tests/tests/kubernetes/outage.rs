//! The API server is not there: from the start, or for a while.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use npd_tests::{
    cluster::apiserver::{ApiServer, Resource, conditions},
    driver::{agent::Setup, monitor::Monitor, poll::SOON, suite::Suite},
};

use super::{App, EVENTS_PATH, NODE, OWNED, World, died, seconds};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("outage: {claim}"), run);
    test("what is found before the API server is there arrives later, with the time it was found", before);
    test("/readyz says why it waits for the API server, and /healthz that all is well", not_ready);
    test("after --apiserver-wait-timeout the agent goes on asking, and is ready when it is answered", patience_over);
    test("a Node that is registered later is told everything", registered_later);
    test("when the API server returns, transitions come first, then all other events", returns);
    test("a Node that is deleted and made again has all conditions, and later Events its new uid", made_again);
    test("memory does not grow with the problems of an outage", memory);
}

fn before() -> Result<()> {
    let world = World::new()?;
    world.server.stop();
    let agent = world.setup.clone().start()?;
    let at = |minutes| Timestamp::now() - SignedDuration::from_mins(minutes);
    let bad = seconds(world.app.say_at(at(7), &["bad thing"])?)?;
    let died_at = seconds(world.app.say_at(at(5), &["died of something"])?)?;
    agent.wait_for_reports("AppDied", 1)?;
    world.server.restart()?;
    ensure!(world.event("bad thing")?["firstTimestamp"] == bad.as_str(), "the event has another time");
    ensure!(world.event(&died("died of something"))?["firstTimestamp"] == died_at.as_str(), "the transition's event");
    ensure!(world.condition("True")?["lastTransitionTime"] == died_at.as_str(), "the condition has another time");
    Ok(())
}

fn not_ready() -> Result<()> {
    let world = World::new()?;
    world.server.stop();
    let agent = world.setup.clone().start()?;
    let page = agent.wait_for_page("/readyz", |page| page.body.contains("refused"))?;
    ensure!(page.status == 503, "{page:?}");
    ensure!(page.body.contains("[-] kubernetes: the API server cannot be reached"), "{}", page.body);
    ensure!(page.body.contains("[+] source filelog:"), "the log file is read all the same: {}", page.body);
    let health = agent.page("/healthz")?;
    ensure!((health.status, health.body.as_str()) == (200, "ok"), "{health:?}");
    world.server.restart()?;
    let page = agent.wait_for_page("/readyz", |page| page.status == 200)?;
    ensure!(page.body.contains("[+] kubernetes: ok"), "{}", page.body);
    Ok(())
}

fn patience_over() -> Result<()> {
    let world = World::new()?.arg("--apiserver-wait-timeout=300ms");
    world.server.stop();
    let agent = world.setup.clone().start()?;
    agent.log.wait("the end of its patience", SOON, |line| {
        line.message().starts_with("kube-apiserver did not become ready").then_some(())
    })?;
    let page = agent.page("/readyz")?;
    ensure!(page.status == 503 && page.body.contains("[-] kubernetes"), "{} {}", page.status, page.body);
    world.app.say(&["bad thing", "died of something"])?;
    world.server.restart()?;
    world.condition("True")?;
    world.event("bad thing")?;
    agent.wait_for_page("/readyz", |page| page.status == 200)?;
    Ok(())
}

fn registered_later() -> Result<()> {
    let world = World::on(ApiServer::builder().start()?)?;
    let agent = world.setup.clone().start()?;
    world.app.say(&["bad thing", "died of something"])?;
    let page = agent.wait_for_page("/readyz", |page| page.body.contains("404"))?;
    ensure!(page.status == 503 && page.body.contains("node-a"), "{}", page.body);
    ensure!(world.server.events().is_empty(), "an Event without the Node's uid: {:?}", world.server.events());
    let uid = world.server.add_node(NODE)?["metadata"]["uid"].clone();
    world.condition("True")?;
    ensure!(world.event("bad thing")?["involvedObject"]["uid"] == uid, "the uid is another");
    Ok(())
}

fn returns() -> Result<()> {
    let world = World::new()?;
    let agent = world.start()?;
    world.server.stop();
    let texts: Vec<_> = (0..8).map(|number| format!("bad thing {number}")).collect();
    world.app.say(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
    // One of them is on its way already and may be the first; all others wait behind it.
    agent.wait_for_reports("Bad", 8)?;
    world.app.say(&["died of something"])?;
    agent.wait_for_reports("AppDied", 1)?;
    world.server.restart()?;
    world.condition("True")?;
    for text in &texts {
        world.event(text)?;
    }
    let posts: Vec<_> = world.requests("POST", EVENTS_PATH);
    let place = posts.iter().position(|post| post.json()["reason"] == "AppDied").context("no transition")?;
    ensure!(place <= 1, "the transition was number {place}");
    ensure!(posts.iter().filter(|post| post.status == Some(201)).count() == 9, "{posts:?}");
    Ok(())
}

fn made_again() -> Result<()> {
    let world = World::new()?.arg("--k8s-exporter-heartbeat-period=1s");
    let _agent = world.start()?;
    world.app.say(&["died of something", "bad thing"])?;
    world.condition("True")?;
    let before = world.event("bad thing")?["involvedObject"]["uid"].clone();
    world.server.delete_node(NODE)?;
    world.server.wait_for_request("a refused patch", SOON, |request| request.status == Some(404))?;
    let uid = world.server.add_node(NODE)?["metadata"]["uid"].clone();
    ensure!(uid != before, "the stand-in gives a Node its old uid");
    world.condition("True")?;
    world.server.wait_for("the annotation", SOON, |cluster| {
        let node = cluster.store.all(Resource::Nodes).next()?;
        (node.pointer(OWNED)? == "AppBroken").then_some(())
    })?;
    ensure!(conditions(&world.server.node(NODE)?).contains_key("Ready"), "a foreign condition was touched");
    world.app.say(&["worse thing"])?;
    ensure!(world.event("worse thing")?["involvedObject"]["uid"] == uid, "the uid is the old one");
    Ok(())
}

/// Each message is a kilobyte, so that ten thousand that are kept would show.
fn memory() -> Result<()> {
    const REASONS: usize = 250;
    let server = ApiServer::with_node(NODE)?;
    let setup = Setup::new()?.cluster(&server, NODE);
    let app = App::new(&setup, "app.log")?;
    let monitor = (0..REASONS).fold(Monitor::file("app-monitor", &app.path), |monitor, reason| {
        monitor.rule(&format!("Bad{reason}"), &format!("bad{reason} .*"))
    });
    let agent = setup.monitor(&monitor)?.arg("--apiserver-wait-timeout=0s").start()?;
    server.stop();
    let problems = |from: usize| -> Result<()> {
        let padding = "x".repeat(1000);
        let lines: Vec<_> = (from..from + 5000).map(|n| format!("bad{} thing {n} {padding}", n % REASONS)).collect();
        for part in lines.chunks(500) {
            app.say(&part.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        agent.wait_for_metrics("all of them", |metrics| {
            let sum: f64 = metrics.series("problem_counter").iter().map(|(_, count)| count).sum();
            (sum >= (from + 5000) as f64).then_some(())
        })
    };
    problems(0)?;
    let before = agent.usage()?.resident.anonymous;
    problems(5000)?;
    let after = agent.usage()?.resident.anonymous;
    ensure!(after < before + (2 << 20), "5,000 more problems grew it from {before} to {after} bytes");
    Ok(())
}
