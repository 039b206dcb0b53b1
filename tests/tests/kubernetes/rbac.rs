//! The rights that deploy/ grants are those that the agent needs: none is missing, none is left over. The part of the
//! pods is with [`pods`](super::pods).

use std::fs;

use anyhow::{Context, Result, ensure};
use npd_tests::{
    cluster::apiserver::{ApiServer, conditions},
    driver::{agent::Setup, binary::shipped_manifest, poll::SOON, suite::Suite},
};

use super::{App, NODE, monitor};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("rbac: {claim}"), run);
    test("events and conditions need what the base grants, and all of it", all_used);
}

/// The rights of deploy/kustomize/base.
pub(crate) fn manifest() -> Result<String> {
    let path = shipped_manifest("kustomize/base/rbac.yaml");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Checks that every grant was needed and that nothing was asked for beyond them.
pub(crate) fn expect_all_used(server: &ApiServer) -> Result<()> {
    let refused: Vec<_> = server.requests().into_iter().filter(|request| request.status == Some(403)).collect();
    ensure!(refused.is_empty(), "{refused:?}");
    let unused = server.unused_grants();
    ensure!(unused.is_empty(), "granted and not needed: {unused:?}");
    Ok(())
}

fn all_used() -> Result<()> {
    let server = ApiServer::with_node(NODE)?;
    server.enforce(&manifest()?)?;
    let setup = Setup::new()?.cluster(&server, NODE);
    let app = App::new(&setup, "app.log")?;
    let both = monitor(&app).condition("Other", "OtherWorks", "it works");
    let agent = setup.clone().file("both.json", &both.to_json())?.start()?;
    app.say(&["bad thing", "died of something"])?;
    server.wait_for_event("the problem", SOON, |event| event["message"] == "bad thing")?;
    app.say(&["bad thing"])?;
    server.wait_for_event("its count", SOON, |event| event["count"] == 2)?;
    server.wait_for_condition(NODE, "AppBroken", "True", SOON)?;
    agent.stop()?;
    let _agent = setup.file("one.json", &monitor(&app).to_json())?.start()?;
    let gone = |request: &npd_tests::cluster::apiserver::Request| request.json().to_string().contains("$patch");
    server.wait_for_request("a removal", SOON, |request| request.status.is_some() && gone(request))?;
    ensure!(!conditions(&server.node(NODE)?).contains_key("Other"), "{}", server.node(NODE)?);
    expect_all_used(&server)
}
