//! Far more problems than the API server wants to hear of.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    cluster::apiserver::{ApiServer, Fault, Request},
    driver::{
        agent::{Agent, Setup, metrics::Metrics},
        monitor::Monitor,
        poll::{self, SOON},
        suite::Suite,
    },
};
use rustix::process::Signal;
use serde_json::Value;

use super::{App, NODE, died};

const PROBLEMS: usize = 10_000;
/// So many reasons that neither their shares nor what is combined keeps the queue from running over.
const REASONS: usize = 400;
const QPS: u32 = 50;
const BURST: u32 = 20;

pub(crate) fn add(suite: &mut Suite) {
    suite.test(
        "flood: of 10,000 different problems each is accounted for, with no more requests than --kube-api-qps",
        flood,
    );
}

fn flood() -> Result<()> {
    let server = ApiServer::with_node(NODE)?;
    let setup = Setup::new()?.cluster(&server, NODE);
    let app = App::new(&setup, "app.log")?;
    let monitor = (0..REASONS).fold(Monitor::file("app-monitor", &app.path), |monitor, reason| {
        monitor.rule(&format!("Bad{reason}"), &format!("bad{reason} .*"))
    });
    let monitor =
        monitor.condition("AppBroken", "AppWorks", "the app works").permanent("AppBroken", "AppDied", "died .*");
    let setup = setup.monitor(&monitor)?.arg(format!("--kube-api-qps={QPS}")).arg(format!("--kube-api-burst={BURST}"));
    let agent = setup.start()?;
    server.wait_for_condition(NODE, "AppBroken", "False", SOON)?;

    let lines: Vec<_> = (0..PROBLEMS).map(|number| format!("bad{} thing {number}", number % REASONS)).collect();
    for part in lines.chunks(1000) {
        app.say(&part.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    app.say(&["died of something"])?;
    // Behind thousands that came before, and before all of them.
    server.wait_for_event("the transition", SOON, |event| event["message"] == died("died of something"))?;
    server.wait_for_condition(NODE, "AppBroken", "True", SOON)?;
    agent.wait_for_metrics("all problems", |metrics| {
        let counts = metrics.series("problem_counter");
        let sum: f64 = counts.iter().map(|(_, count)| count).sum();
        (sum >= (PROBLEMS + 1) as f64).then_some(())
    })?;
    poll::wait_until("two seconds of sending", SOON, || server.requests().len() > (2 * QPS + BURST) as usize)?;
    expect_rate(&server.requests())?;

    // From here on nothing is sent any more: what was sent and what is known of it can be compared.
    server.fault(Fault::on("*", "/api/v1/namespaces/default/**").refuse_for(503, 60));
    server.wait_for_request("a refusal", SOON, |request| request.status == Some(503))?;
    let metrics = agent.wait_for_metrics("the refusal", |metrics| {
        metrics.series("npd_k8s_requests_total").iter().any(|(found, _)| found.contains("503")).then(|| metrics.clone())
    })?;
    let told: u64 = server.events().iter().filter_map(|event| event["count"].as_u64()).sum();
    let of = |outcome: &str| count(&metrics, outcome);
    ensure!(
        of("created")? + of("counted")? == told,
        "the server has {told}: {:?}",
        metrics.series("npd_k8s_events_total")
    );
    ensure!(of("dropped")? > 0, "the queue was never full");
    ensure!(of("refused")? + of("known")? + of("unsent")? == 0, "{:?}", metrics.series("npd_k8s_events_total"));
    let unsent = unsent(agent)?;
    let all = told + of("dropped")? + unsent;
    ensure!(all == PROBLEMS as u64 + 1, "{told} told, {} dropped, {unsent} unsent: {all}", of("dropped")?);
    ensure!(names_are_unique(&server.events()), "two Events of one name");
    Ok(())
}

/// Of any requests in a row no more come than the burst and what the time between them allows.
fn expect_rate(requests: &[Request]) -> Result<()> {
    // Two tasks send, so that two requests that were let go one after the other may come in one moment.
    const SLACK: f64 = 2.0;
    for (number, first) in requests.iter().enumerate() {
        for (more, last) in requests.iter().skip(number).enumerate() {
            let allowed = f64::from(BURST) + f64::from(QPS) * (last.at - first.at).as_secs_f64() + SLACK;
            ensure!((more + 1) as f64 <= allowed, "{} requests within {:?}", more + 1, last.at - first.at);
        }
    }
    Ok(())
}

fn count(metrics: &Metrics, outcome: &str) -> Result<u64> {
    let value = metrics.value("npd_k8s_events_total", &[("outcome", outcome)]);
    let value = value.with_context(|| format!("no count of {outcome}"))?;
    value.to_string().parse().with_context(|| format!("the count of {outcome} is no whole number"))
}

/// Ends the agent, and gives how many problems it says it has not sent.
fn unsent(agent: Agent) -> Result<u64> {
    let stopped = agent.stop_with(Signal::TERM)?;
    ensure!(stopped.code == 0 && stopped.took < Duration::from_secs(4), "{} after {:?}", stopped.code, stopped.took);
    let line = stopped.log.iter().find(|line| line.message() == "the agent stops before all events are sent");
    line.and_then(|line| line.number("problems")).context("the log does not say how many were not sent")
}

fn names_are_unique(events: &[Value]) -> bool {
    let mut names = BTreeSet::new();
    events.iter().all(|event| names.insert(event["metadata"]["name"].to_string()))
}
