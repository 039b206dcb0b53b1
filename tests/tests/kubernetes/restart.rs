//! The agent ends, in one way or the other, and starts again.

use std::time::Duration;

use anyhow::{Result, ensure};
use npd_tests::{
    cluster::apiserver::Fault,
    driver::{agent::Stopped, suite::Suite},
};
use rustix::process::Signal;

use super::{EVENTS_PATH, World, seconds};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("restart: {claim}"), run);
    test("a problem before a kill has one Event, with the state", || killed(true));
    test("a problem before a kill has one Event, without the state", || killed(false));
    test("what a kill kept from being sent is sent by the next agent, with the state", || unsent_before_kill(true));
    test("what a kill kept from being sent is sent by the next agent, without the state", || unsent_before_kill(false));
    test("what waits is sent at the end", flushed);
    test("what the API server does not take any more at the end is told, and does not hold it up", || away(true));
    test("an API server that gives no answer holds up the end for three seconds at most", || away(false));
}

/// The agent is killed before it knows that its Event is there.
fn killed(with_state: bool) -> Result<()> {
    let mut world = World::new()?;
    if with_state {
        world.setup = world.setup.stateful();
    }
    let agent = world.start()?;
    world.server.fault(Fault::on("POST", EVENTS_PATH).times(1).applied().silence());
    world.app.say(&["bad thing"])?;
    world.event("bad thing")?;
    agent.stop_with(Signal::KILL)?;
    let agent = world.setup.clone().start()?;
    world.app.say(&["worse thing"])?;
    world.event("worse thing")?;
    if !with_state {
        agent.wait_for_metrics("the known one", |metrics| {
            (metrics.value("npd_k8s_events_total", &[("outcome", "known")]) == Some(1.0)).then_some(())
        })?;
    }
    // What came before the last one was sent before it.
    let counts: Vec<_> = world.server.events().iter().map(|event| event["count"].clone()).collect();
    ensure!(counts == [1, 1], "{:?}", world.server.events());
    // It goes on counting, in the Event that it knows.
    world.app.say(&["worse thing"])?;
    world.counted("worse thing", 2)?;
    Ok(())
}

/// The API server is away until after the kill.
fn unsent_before_kill(with_state: bool) -> Result<()> {
    let mut world = World::new()?;
    if with_state {
        world.setup = world.setup.stateful();
    }
    let agent = world.start()?;
    world.server.stop();
    let at = world.app.say(&["bad thing"])?;
    agent.wait_for_reports("Bad", 1)?;
    agent.stop_with(Signal::KILL)?;
    world.server.restart()?;
    let _agent = world.setup.clone().start()?;
    let event = world.event("bad thing")?;
    ensure!(event["count"] == 1 && event["firstTimestamp"] == seconds(at)?, "{event}");
    Ok(())
}

fn flushed() -> Result<()> {
    let world = World::new()?;
    let agent = world.start()?;
    world.server.fault(Fault::on("POST", EVENTS_PATH).delay(Duration::from_millis(100)));
    let texts: Vec<_> = (0..8).map(|number| format!("bad thing {number}")).collect();
    world.app.say(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
    // The patch of the start is less than a second ago, so this waits as well.
    world.app.say(&["died of something"])?;
    agent.wait_for_reports("AppDied", 1)?;
    let stopped = agent.stop_with(Signal::TERM)?;
    ensure!(stopped.code == 0 && stopped.took < Duration::from_secs(2), "{} after {:?}", stopped.code, stopped.took);
    ensure!(world.server.events().len() == 9, "{:?}", world.server.events());
    ensure!(unsent(&stopped).is_none(), "it says that something was not sent");
    let node = world.server.node(super::NODE)?;
    ensure!(npd_tests::cluster::apiserver::conditions(&node)["AppBroken"]["status"] == "True", "{node}");
    Ok(())
}

fn away(refuses: bool) -> Result<()> {
    let world = World::new()?;
    let agent = world.start()?;
    if refuses {
        world.server.stop();
    } else {
        world.server.fault(Fault::on("*", "/**").silence());
    }
    world.app.say(&["bad thing", "bad thing", "worse thing"])?;
    agent.wait_for_reports("Worse", 1)?;
    let stopped = agent.stop_with(Signal::TERM)?;
    let limit = Duration::from_millis(if refuses { 1000 } else { 3900 });
    ensure!(stopped.code == 0 && stopped.took < limit, "{} after {:?}", stopped.code, stopped.took);
    ensure!(unsent(&stopped) == Some(3), "it says {:?}", unsent(&stopped));
    Ok(())
}

/// How many problems it says it has not sent.
fn unsent(stopped: &Stopped) -> Option<u64> {
    let mut lines = stopped.log.iter();
    lines.find(|line| line.message() == "the agent stops before all events are sent")?.number("problems")
}
