//! Certificates and tokens, in a kubeconfig and without one.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    cluster::apiserver::ApiServer,
    driver::{
        agent::{Setup, sandbox::Sandbox},
        poll::SOON,
        suite::{Suite, need},
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{App, NODE, World, monitor};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("credentials: {claim}"), run);
    test("a token that has expired is read anew from its file", rotated);
    test("a kubeconfig's certificate authority is trusted, and its server is the one", private_authority);
    test("a server of another certificate authority is refused with a clear error", wrong_authority);
    test("?insecure=true takes any certificate", insecure);
    test("a kubeconfig that is not there is one clear error and exit code 2", no_kubeconfig);
    test("a pod's service account is used, and its token read anew when it has expired", in_cluster);
    test("a pod's service account goes to another address when that is named", in_cluster_elsewhere);
    test("?useServiceAccount=true takes a pod's token elsewhere", use_service_account);
}

/// An agent whose address and credentials are these.
fn world(server: ApiServer, address: &str) -> Result<World> {
    let setup = Setup::new()?;
    let app = App::new(&setup, "app.log")?;
    let setup = setup.monitor(&monitor(&app))?.arg("--enable-k8s-exporter").arg(format!("--hostname-override={NODE}"));
    let setup = setup.arg(format!("--apiserver-override={address}")).arg("--apiserver-wait-interval=100ms");
    Ok(World { server, app, setup })
}

fn kubeconfig(folder: &Path, kubeconfig: &Value) -> Result<String> {
    let path = folder.join("kubeconfig");
    fs::write(&path, kubeconfig.to_string()).context("cannot write the kubeconfig")?;
    Ok(format!("?inClusterConfig=false&auth={}", path.display()))
}

fn rotated() -> Result<()> {
    let server = ApiServer::builder().node(NODE).token("first").start()?;
    let folder = tempfile::tempdir()?;
    let token = folder.path().join("token");
    fs::write(&token, "first").context("cannot write the token")?;
    let mut config = server.kubeconfig();
    config["users"][0]["user"] = json!({"tokenFile": token});
    let address = kubeconfig(folder.path(), &config)?;
    let world = world(server, &address)?;
    let _agent = world.start()?;
    world.server.set_tokens(["second"]);
    world.app.say(&["died of something"])?;
    let refused = world.server.wait_for_request("a refusal", SOON, |request| request.status == Some(401))?;
    ensure!(refused.header("authorization") == "Bearer first", "{:?}", refused.headers);
    fs::write(&token, "second").context("cannot write the token")?;
    world.condition("True")?;
    world.app.say(&["bad thing"])?;
    world.event("bad thing")?;
    let last = world.server.requests().pop().context("no request")?;
    ensure!(last.header("authorization") == "Bearer second", "{:?}", last.headers);
    Ok(())
}

/// A service account as the kubelet puts it into a pod.
fn service_account(server: &ApiServer, token: &str) -> Result<TempDir> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    for (name, content) in [("token", token), ("ca.crt", server.ca_pem().unwrap_or_default()), ("namespace", "npd")] {
        fs::write(folder.path().join(name), content).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(folder)
}

/// Where a server listens.
fn address(server: &ApiServer) -> Result<SocketAddr> {
    let url = server.url();
    let (_, address) = url.split_once("//").context("no address")?;
    address.parse().with_context(|| format!("{address} is no address"))
}

/// An agent in a pod of a cluster whose API server should be at `api_server`.
fn in_pod(mut world: World, account: &TempDir, api_server: SocketAddr) -> World {
    world.setup = world.setup.sandbox(Sandbox::in_pod(account.path(), api_server));
    world
}

fn in_cluster() -> Result<()> {
    need::root()?;
    let server = ApiServer::builder().node(NODE).token("first").tls().start()?;
    let (account, at) = (service_account(&server, "first")?, address(&server)?);
    let world = in_pod(world(server, "")?, &account, at);
    let _agent = world.start()?;
    world.server.set_tokens(["second"]);
    world.app.say(&["died of something"])?;
    world.server.wait_for_request("a refusal", SOON, |request| request.status == Some(401))?;
    fs::write(account.path().join("token"), "second").context("cannot write the token")?;
    world.condition("True")?;
    Ok(())
}

fn in_cluster_elsewhere() -> Result<()> {
    need::root()?;
    let server = ApiServer::builder().node(NODE).token("secret").tls().start()?;
    let account = service_account(&server, "secret")?;
    // As node-problem-detector: what is named replaces the host, and nothing else.
    let there = server.url();
    let world = in_pod(world(server, &there)?, &account, ([127, 0, 0, 1], 1).into());
    let _agent = world.start()?;
    world.app.say(&["bad thing"])?;
    world.event("bad thing")?;
    Ok(())
}

fn use_service_account() -> Result<()> {
    need::root()?;
    let server = ApiServer::builder().node(NODE).token("secret").start()?;
    let account = service_account(&server, "secret")?;
    let there = format!("{}?inClusterConfig=false&useServiceAccount=true", server.url());
    let world = in_pod(world(server, &there)?, &account, ([127, 0, 0, 1], 1).into());
    let _agent = world.start()?;
    world.app.say(&["bad thing"])?;
    world.event("bad thing")?;
    let last = world.server.requests().pop().context("no request")?;
    ensure!(last.header("authorization") == "Bearer secret", "{:?}", last.headers);
    Ok(())
}

fn private_authority() -> Result<()> {
    let server = ApiServer::builder().node(NODE).token("secret").tls().start()?;
    let folder = tempfile::tempdir()?;
    let config = kubeconfig(folder.path(), &server.kubeconfig())?;
    // As node-problem-detector: the host beside a kubeconfig has no meaning.
    let world = world(server, &format!("https://127.0.0.1:1{config}"))?;
    let _agent = world.start()?;
    world.app.say(&["bad thing"])?;
    world.event("bad thing")?;
    Ok(())
}

fn wrong_authority() -> Result<()> {
    let server = ApiServer::builder().node(NODE).tls().start()?;
    let stranger = ApiServer::builder().tls().start()?;
    let folder = tempfile::tempdir()?;
    let mut config = server.kubeconfig();
    config["clusters"][0]["cluster"]["certificate-authority-data"] =
        stranger.kubeconfig()["clusters"][0]["cluster"]["certificate-authority-data"].clone();
    let world = world(server, &kubeconfig(folder.path(), &config)?)?;
    let agent = world.setup.clone().start()?;
    let line = agent
        .log
        .wait("the error", SOON, |line| (line.message() == "waiting for the API server").then(|| line.raw.clone()))?;
    ensure!(line.contains("certificate"), "{line}");
    ensure!(world.server.requests().is_empty(), "{:?}", world.server.requests());
    Ok(())
}

fn insecure() -> Result<()> {
    let server = ApiServer::builder().node(NODE).tls().start()?;
    let address = format!("{}?inClusterConfig=false&insecure=true", server.url());
    let world = world(server, &address)?;
    let _agent = world.start()?;
    world.app.say(&["bad thing"])?;
    world.event("bad thing")?;
    Ok(())
}

fn no_kubeconfig() -> Result<()> {
    let server = ApiServer::with_node(NODE)?;
    let world = world(server, "?inClusterConfig=false&auth=/nonexistent/kubeconfig")?;
    let output = world.setup.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> = errors.lines().filter(|line| line.contains("\"ERROR\"")).collect();
    ensure!(output.status.code() == Some(2), "{:?}: {errors:?}", output.status);
    ensure!(errors.len() == 1 && errors[0].contains("/nonexistent/kubeconfig"), "{errors:?}");
    Ok(())
}
