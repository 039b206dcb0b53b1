//! The pages of the agent, and the errors of its flags.

use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use npd_tests::driver::{
    agent::{Agent, Setup},
    suite::Suite,
};
use serde_json::{Value, json};

use super::{App, World, monitor};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("pages: {claim}"), run);
    test("health, readiness, conditions and problems are served with the Kubernetes exporter", with);
    test("health, readiness, conditions and problems are served without the Kubernetes exporter", without);
    test("--port=0 serves none of them", no_port);
    test("a port that is in use is fatal", port_in_use);
    test("outside of a cluster the Kubernetes exporter is one clear error and exit code 2", no_cluster);
    test("an --apiserver-override that is none is one clear error and exit code 2", wrong_override);
}

/// An agent that reports to nobody.
fn alone() -> Result<(App, Setup)> {
    let setup = Setup::new()?;
    let app = App::new(&setup, "app.log")?;
    let setup = setup.monitor(&monitor(&app))?;
    Ok((app, setup))
}

fn with() -> Result<()> {
    let world = World::new()?;
    let agent = world.start()?;
    let ready = agent.wait_for_page("/readyz", |page| page.status == 200)?;
    ensure!(ready.body.contains("[+] kubernetes: ok\n"), "{}", ready.body);
    pages(&world.app, &agent)
}

fn without() -> Result<()> {
    let (app, setup) = alone()?;
    let agent = setup.start()?;
    pages(&app, &agent)?;
    let ready = agent.page("/readyz")?;
    ensure!(ready.status == 200 && !ready.body.contains("kubernetes"), "{ready:?}");
    Ok(())
}

fn pages(app: &App, agent: &Agent) -> Result<()> {
    let health = agent.page("/healthz")?;
    ensure!((health.status, health.body.as_str()) == (200, "ok"), "{health:?}");
    let ready = agent.page("/readyz")?;
    ensure!(ready.body.contains(&format!("[+] source filelog:{}: ok\n", app.path.display())), "{}", ready.body);
    let at = app.say(&["bad thing", "died of something"])?;
    agent.wait_for_reports("AppDied", 1)?;
    let conditions = agent.wait_for_page("/conditions", |page| page.body.contains("True"))?;
    ensure!(conditions.head.to_ascii_lowercase().contains("content-type: application/json"), "{}", conditions.head);
    let [found] = <[Value; 1]>::try_from(list(&conditions.body)?).map_err(|all| anyhow::anyhow!("{all:?}"))?;
    let transition: Timestamp = found["transition"].as_str().unwrap_or_default().parse().context("no transition")?;
    ensure!(transition == at, "{transition} is not {at}");
    let expected = json!({
        "type": "AppBroken", "status": "True", "reason": "AppDied", "message": "died of something",
        "transition": found["transition"],
    });
    ensure!(found == expected, "{found}");
    let problems = list(&agent.page("/api/v1/problems")?.body)?;
    let reasons: Vec<_> = problems.iter().map(|problem| &problem["reason"]).collect();
    ensure!(reasons == ["AppDied", "Bad"], "the newest comes first: {reasons:?}");
    ensure!(problems[0]["condition"] == "AppBroken" && problems[0]["rule"] == "/rules/2", "{}", problems[0]);
    ensure!(problems[1]["message"] == "bad thing" && problems[1]["source"] == "app-monitor", "{}", problems[1]);
    ensure!(
        problems[1]["timestamp"]
            .as_str()
            .is_some_and(|text| text.parse::<Timestamp>().is_ok_and(|parsed| parsed == at)),
        "{}",
        problems[1]
    );
    Ok(())
}

fn list(body: &str) -> Result<Vec<Value>> {
    serde_json::from_str(body).with_context(|| format!("no list: {body}"))
}

fn no_port() -> Result<()> {
    let (_app, setup) = alone()?;
    let agent = setup.arg("--port=0").start()?;
    let lines = agent.log_lines();
    let ready = lines.iter().find(|line| line.message() == "ready").context("it is not ready")?;
    ensure!(ready.text("metrics").is_some() && ready.text("health").is_none(), "{}", ready.raw);
    ensure!(agent.page("/healthz").is_err(), "it serves all the same");
    // Whoever has asked can ask this one.
    ensure!(TcpStream::connect(("127.0.0.1", agent.port()?)).is_ok(), "the metrics are gone as well");
    Ok(())
}

fn port_in_use() -> Result<()> {
    let (_app, setup) = alone()?;
    let taken = TcpListener::bind("127.0.0.1:0").context("cannot bind")?;
    let address = taken.local_addr().context("no address")?;
    let error = fails(setup.arg(format!("--port={}", address.port())), 255)?;
    ensure!(error.contains(&format!("Failed to start health endpoint: listen tcp {address}")), "{error}");
    Ok(())
}

fn no_cluster() -> Result<()> {
    let (_app, setup) = alone()?;
    let error = fails(setup.arg("--enable-k8s-exporter"), 2)?;
    ensure!(error.contains("this is not a pod with a service account"), "{error}");
    ensure!(error.contains("--enable-k8s-exporter=false"), "it does not say what to do: {error}");
    Ok(())
}

fn wrong_override() -> Result<()> {
    for (value, wrong) in [
        ("localhost:8080", "\\\"localhost:8080\\\" is not the address of an API server"),
        ("?inClusterConfig=false", "invalid kubernetes master url specified"),
        ("http://a?insecure=perhaps", "it must be true or false"),
    ] {
        let (_app, setup) = alone()?;
        let error = fails(setup.arg("--enable-k8s-exporter").arg(format!("--apiserver-override={value}")), 2)?;
        ensure!(error.contains(wrong), "{value}: {error}");
    }
    Ok(())
}

/// Runs an agent that cannot start, and gives its one error.
fn fails(setup: Setup, code: i32) -> Result<String> {
    let output = setup.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(code), "{:?}: {said}", output.status);
    let errors: Vec<_> = said.lines().filter(|line| line.contains("\"level\":\"ERROR\"")).collect();
    ensure!(errors.len() == 1, "{said}");
    Ok(errors.concat())
}
