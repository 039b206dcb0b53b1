//! The built agent and the Kubernetes API: what it asks for, and what the cluster has in the end.
//!
//! The API server is the stand-in of [`npd_tests::cluster::apiserver`]; only [`cluster`] also knows real ones. Most problems are
//! lines of a log file, which needs no root and lets a test choose the time of a record.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use jiff::{Timestamp, Unit};
use npd_tests::{
    cluster::apiserver::{ApiServer, Request},
    driver::{
        agent::{Agent, Setup},
        monitor::Monitor,
        poll::SOON,
        suite::Suite,
    },
};
use serde_json::{Value, json};

mod cluster;
mod conditions;
mod credentials;
mod events;
mod flood;
mod outage;
mod pages;
mod pods;
mod rbac;
mod restart;
mod trouble;

const NODE: &str = "node-a";
const NODE_PATH: &str = "/api/v1/nodes/node-a";
const STATUS_PATH: &str = "/api/v1/nodes/node-a/status";
const EVENTS_PATH: &str = "/api/v1/namespaces/default/events";
/// The annotation with the condition types that the agent takes for its own.
const OWNED: &str = "/metadata/annotations/npd-agent~1condition-types";

fn main() -> ExitCode {
    let mut suite = Suite::default();
    events::add(&mut suite);
    flood::add(&mut suite);
    pods::add(&mut suite);
    conditions::add(&mut suite);
    trouble::add(&mut suite);
    outage::add(&mut suite);
    credentials::add(&mut suite);
    restart::add(&mut suite);
    pages::add(&mut suite);
    rbac::add(&mut suite);
    cluster::add(&mut suite);
    // They wait for heartbeats and pauses most of the time.
    suite.run_on(4)
}

/// A cluster with one node, and an agent to be started on it.
struct World {
    server: ApiServer,
    app: App,
    setup: Setup,
}

/// A log file that a monitor looks at.
struct App {
    path: PathBuf,
}

// === impl World ===

impl World {
    fn new() -> Result<Self> {
        Self::on(ApiServer::with_node(NODE)?)
    }

    /// The agent looks at one log file, with [`monitor`], and reports at once and often.
    fn on(server: ApiServer) -> Result<Self> {
        let setup = Setup::new()?;
        let app = App::new(&setup, "app.log")?;
        let setup = setup.monitor(&monitor(&app))?.cluster(&server, NODE);
        Ok(Self { server, app, setup: setup.arg("--apiserver-wait-interval=100ms") })
    }

    fn arg(mut self, argument: &str) -> Self {
        self.setup = self.setup.arg(argument);
        self
    }

    /// Starts an agent and waits until the Node knows that all is well.
    fn start(&self) -> Result<Agent> {
        let agent = self.setup.clone().start()?;
        self.condition("False")?;
        Ok(agent)
    }

    /// Waits for the status of the one condition, and gives it.
    fn condition(&self, status: &str) -> Result<Value> {
        self.server.wait_for_condition(NODE, "AppBroken", status, SOON)
    }

    /// Waits for the Event with this message.
    fn event(&self, message: &str) -> Result<Value> {
        self.server.wait_for_event(message, SOON, |event| event["message"] == message)
    }

    /// Waits for the Event with this message and this count.
    fn counted(&self, message: &str, count: u64) -> Result<Value> {
        let what = format!("{message} × {count}");
        self.server.wait_for_event(&what, SOON, |event| event["message"] == message && event["count"] == count)
    }

    /// The requests so far that are for this path.
    fn requests(&self, method: &str, path: &str) -> Vec<Request> {
        let mut requests = self.server.requests();
        requests.retain(|request| request.method == method && request.path == path);
        requests
    }
}

// === impl App ===

impl App {
    fn new(setup: &Setup, name: &str) -> Result<Self> {
        let path = setup.folder().join(name);
        File::create(&path).context("cannot make the log")?;
        Ok(Self { path })
    }

    /// Writes lines of this moment, which it gives.
    fn say(&self, texts: &[&str]) -> Result<Timestamp> {
        self.say_at(Timestamp::now(), texts)
    }

    /// Writes lines of any moment.
    fn say_at(&self, at: Timestamp, texts: &[&str]) -> Result<Timestamp> {
        let lines: Vec<_> = texts.iter().map(|text| format!("{at} node app: {text}\n")).collect();
        let mut file = OpenOptions::new().append(true).open(&self.path).context("cannot open the log")?;
        file.write_all(lines.concat().as_bytes()).context("cannot write to the log")?;
        Ok(at)
    }
}

/// Temporary problems `bad …` and `worse …`, and a condition that `died …` makes True and `lives` False again.
fn monitor(app: &App) -> Monitor {
    let monitor = Monitor::file("app-monitor", &app.path).condition("AppBroken", "AppWorks", "the app works");
    monitor.rule("Bad", "bad .*").rule("Worse", "worse .*").with_rule(json!({
        "type": "permanent", "condition": "AppBroken", "reason": "AppDied", "pattern": "died .*", "clearPattern": "lives",
    }))
}

/// What the Event of a change to True says.
fn died(message: &str) -> String {
    format!("Node condition AppBroken is now: True, reason: AppDied, message: \"{message}\"")
}

/// As the API has times: whole seconds, the rest cut off.
fn seconds(at: Timestamp) -> Result<String> {
    let rounding = jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Trunc);
    Ok(at.round(rounding).context("no such second")?.to_string())
}

/// Checks that of each two requests in a row the second came no sooner.
fn expect_apart(requests: &[Request], least: Duration) -> Result<()> {
    // The agent keeps the distance between its requests; on the way each may lose a little of it.
    let least = least.saturating_sub(Duration::from_millis(20));
    for (before, after) in requests.iter().zip(requests.iter().skip(1)) {
        let apart = after.at - before.at;
        ensure!(apart >= least, "{before} and {after} are only {apart:?} apart");
    }
    Ok(())
}
