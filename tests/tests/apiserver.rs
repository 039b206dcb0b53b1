//! The stand-in API server, as a client sees it.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use npd_tests::{
    cluster::apiserver::{ApiServer, Cut, Fault, conditions},
    driver::{binary::shipped_manifest, poll::SOON},
};
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use ureq::{
    http,
    tls::{Certificate, RootCerts, TlsConfig},
};

const NODE: &str = "/api/v1/nodes/node-a";
const STATUS: &str = "/api/v1/nodes/node-a/status";
const EVENTS: &str = "/api/v1/namespaces/default/events";
const JSON: &str = "application/json";
const PATCH: &str = "application/strategic-merge-patch+json";

/// A client of one server.
struct Client {
    agent: ureq::Agent,
    url: String,
    token: Option<String>,
}

/// What was answered.
#[derive(Debug)]
struct Reply {
    code: u16,
    headers: http::HeaderMap,
    text: String,
}

impl Client {
    fn new(server: &ApiServer) -> Self {
        Self::trusting(server.url(), &[])
    }

    fn trusting(url: String, authorities: &[Certificate<'static>]) -> Self {
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(authorities));
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(SOON))
            .tls_config(tls.build());
        Self { agent: config.build().into(), url, token: None }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Reply> {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = self.agent.run(request.body(body.to_owned())?)?;
        let text = response.body_mut().read_to_string()?;
        Ok(Reply { code: response.status().as_u16(), headers: response.headers().clone(), text })
    }

    fn get(&self, path: &str) -> Result<Reply> {
        self.send("GET", path, &[], "")
    }

    fn post(&self, path: &str, object: &Value) -> Result<Reply> {
        self.send("POST", path, &[("content-type", JSON)], &object.to_string())
    }

    fn patch(&self, path: &str, change: &Value) -> Result<Reply> {
        self.send("PATCH", path, &[("content-type", PATCH)], &change.to_string())
    }
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

fn event(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "involvedObject": {"kind": "Node", "name": "node-a", "uid": "u"},
        "reason": "TaskHung", "message": "task docker:7 blocked", "type": "Warning", "count": 1,
        "source": {"component": "kernel-monitor", "host": "node-a"},
        "firstTimestamp": "2026-11-24T12:00:00Z", "lastTimestamp": "2026-11-24T12:00:00Z",
        "reportingComponent": "kernel-monitor", "reportingInstance": "node-a",
    })
}

fn condition(kind: &str, status: &str) -> Value {
    json!({"status": {"conditions": [{"type": kind, "status": status}]}})
}

#[test]
fn a_node_is_read_and_its_conditions_are_patched() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    let before = client.get(&format!("{NODE}?resourceVersion=0"))?;
    assert_eq!((before.code, &before.json()["kind"]), (200, &json!("Node")));
    let after = client.patch(STATUS, &condition("KernelDeadlock", "True"))?;
    assert_eq!(after.code, 200, "{}", after.text);
    assert_ne!(after.json()["metadata"]["resourceVersion"], before.json()["metadata"]["resourceVersion"]);
    assert_eq!(conditions(&server.node("node-a")?).into_keys().collect::<Vec<_>>(), ["KernelDeadlock", "Ready"]);
    assert_eq!(server.wait_for_condition("node-a", "KernelDeadlock", "True", SOON)?["type"], "KernelDeadlock");
    Ok(())
}

#[test]
fn an_unknown_node_is_told_by_a_status() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    for reply in [
        Client::new(&server).get("/api/v1/nodes/node-b")?,
        Client::new(&server).patch("/api/v1/nodes/node-b/status", &condition("X", "True"))?,
    ] {
        assert_eq!(reply.code, 404);
        assert_eq!(
            reply.json(),
            json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound",
                "message": "nodes \"node-b\" not found", "code": 404, "details": {"name": "node-b", "kind": "nodes"},
            })
        );
    }
    Ok(())
}

#[test]
fn a_node_made_anew_has_another_uid() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    let uid = client.get(NODE)?.json()["metadata"]["uid"].clone();
    let deleted = client.send("DELETE", NODE, &[], "")?;
    assert_eq!((deleted.code, &deleted.json()["details"]["uid"]), (200, &uid));
    assert_eq!(client.post("/api/v1/nodes", &json!({"metadata": {"name": "node-a"}}))?.code, 201);
    let new = client.get(NODE)?.json()["metadata"]["uid"].clone();
    assert!(new.is_string() && new != uid, "{uid} {new}");
    Ok(())
}

#[test]
fn only_the_right_content_type_is_taken() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    let merge = [("content-type", "application/merge-patch+json")];
    assert_eq!(client.send("PATCH", STATUS, &merge, "{}")?.code, 415);
    let protobuf = [("content-type", "application/vnd.kubernetes.protobuf")];
    assert_eq!(client.send("POST", EVENTS, &protobuf, "k8s")?.code, 415);
    assert_eq!(client.send("POST", EVENTS, &[("content-type", JSON)], "{")?.code, 400);
    let charset = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(client.send("POST", EVENTS, &charset, &event("a").to_string())?.code, 201);
    Ok(())
}

#[test]
fn what_is_not_served_is_refused_and_not_done() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    assert_eq!(client.post(&format!("{EVENTS}?dryRun=All"), &event("a"))?.code, 400);
    assert!(server.events().is_empty());
    assert_eq!(client.get("/api/v1/nodes?watch=true")?.code, 405);
    assert_eq!(client.get("/api/v1/secrets")?.code, 404);
    assert_eq!(client.send("PUT", NODE, &[("content-type", JSON)], "{}")?.code, 405);
    Ok(())
}

#[test]
fn an_event_is_made_once_patched_selected_and_expired() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    assert_eq!(client.post(EVENTS, &event("node-a.1"))?.code, 201);
    let again = client.post(EVENTS, &event("node-a.1"))?;
    assert_eq!((again.code, &again.json()["reason"]), (409, &json!("AlreadyExists")));
    let path = format!("{EVENTS}/node-a.1");
    let change = json!({"count": 2, "lastTimestamp": "2026-11-24T12:01:00Z"});
    assert_eq!(client.patch(&path, &change)?.json()["count"], 2);
    let count = |selector: &str| -> Result<_> {
        let list = client.get(&format!("{EVENTS}?fieldSelector={selector}"))?.json();
        Ok(list["items"].as_array().context("no list")?.len())
    };
    assert_eq!(count("involvedObject.uid=u,reason=TaskHung")?, 1);
    assert_eq!(count("involvedObject.name=node-b")?, 0);
    server.expire_event("default", "node-a.1")?;
    assert_eq!(client.patch(&path, &change)?.code, 404);
    assert!(server.events().is_empty());
    Ok(())
}

#[test]
fn an_invalid_event_is_refused_with_all_its_causes() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let mut bad = event("a");
    bad["message"] = "x".repeat(1025).into();
    bad["count"] = (-1).into();
    let reply = Client::new(&server).post(EVENTS, &bad)?;
    let status = reply.json();
    assert_eq!((reply.code, &status["reason"], &status["details"]["kind"]), (422, &json!("Invalid"), &json!("Event")));
    let causes = status["details"]["causes"].as_array().context("no causes")?;
    assert_eq!(causes.iter().map(|cause| &cause["field"]).collect::<Vec<_>>(), ["message", "count"]);
    Ok(())
}

#[test]
fn an_event_for_a_namespace_that_is_not_there_is_not_found() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    let path = "/api/v1/namespaces/mine/events";
    let mut mine = event("a");
    mine["involvedObject"]["namespace"] = "mine".into();
    assert_eq!(client.post(path, &mine)?.code, 404);
    assert_eq!(client.post("/api/v1/namespaces", &json!({"metadata": {"name": "mine"}}))?.code, 201);
    assert_eq!(client.post(path, &mine)?.code, 201);
    assert_eq!(client.send("DELETE", "/api/v1/namespaces/mine", &[], "")?.code, 200);
    assert!(server.events().is_empty());
    Ok(())
}

#[test]
fn pods_are_listed_by_node_in_pages_and_as_metadata_only() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    let uid = server.add_pod("default", "a", "node-a")?["metadata"]["uid"].clone();
    server.add_pod("default", "b", "node-b")?;
    server.add_pod("kube-system", "c", "node-a")?;
    let first = client.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-a&limit=1")?.json();
    assert_eq!(first["items"][0]["metadata"]["uid"], uid);
    let next = first["metadata"]["continue"].as_str().context("no next page")?;
    let second = client.get(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-a&limit=1&continue={next}"))?;
    assert_eq!(second.json()["items"][0]["metadata"]["name"], "c");
    assert!(second.json()["metadata"].get("continue").is_none());
    assert_eq!(client.get("/api/v1/pods?fieldSelector=metadata.uid%3Dx")?.code, 400);
    let accept = [("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")];
    let partial = client.send("GET", "/api/v1/pods", &accept, "")?.json();
    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert!(partial["items"].as_array().is_some_and(|items| items.len() == 3 && items[0].get("spec").is_none()));
    Ok(())
}

#[test]
fn requests_are_kept_with_their_time_headers_body_and_answer() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let before = Instant::now();
    Client::new(&server).send("PATCH", &format!("{STATUS}?fieldManager=npd"), &[("content-type", PATCH)], "{}")?;
    let after = Instant::now();
    let request = server.wait_for_request("the patch", SOON, |request| request.status.is_some())?;
    assert!(before <= request.at && request.at <= after);
    assert_eq!(
        (request.method.as_str(), request.path.as_str(), request.query("fieldManager")),
        ("PATCH", STATUS, "npd")
    );
    assert_eq!((request.header("content-type"), request.json(), request.status), (PATCH, json!({}), Some(200)));
    Ok(())
}

#[test]
fn a_wait_in_vain_tells_what_came() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    Client::new(&server).get("/version")?;
    let error = server.wait_for_event("an event", Duration::from_millis(10), |_| true).unwrap_err().to_string();
    assert!(error.contains("an event") && error.contains("GET /version 200"), "{error}");
    Ok(())
}

#[test]
fn a_stopped_server_refuses_connections_and_forgets_nothing() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    client.patch(STATUS, &condition("KernelDeadlock", "True"))?;
    server.stop();
    let address = server.url().trim_start_matches("http://").to_owned();
    let refused = TcpStream::connect(&address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    server.restart()?;
    assert!(conditions(&client.get(NODE)?.json()).contains_key("KernelDeadlock"));
    Ok(())
}

#[test]
fn a_stopped_server_cuts_the_request_that_waits() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    server.fault(Fault::on("GET", "/**").silence());
    std::thread::scope(|scope| {
        let client = scope.spawn(|| Client::new(&server).get(NODE));
        server.wait_for_request("the request", SOON, |_| true)?;
        server.stop();
        let reply = client.join().map_err(|_| anyhow::anyhow!("the client panicked"))?;
        assert!(reply.is_err(), "{reply:?}");
        Ok(())
    })
}

#[test]
fn only_the_tokens_of_the_moment_are_let_in() -> Result<()> {
    let server = ApiServer::builder().node("node-a").token("old").start()?;
    let mut client = Client::new(&server);
    assert_eq!(client.get(NODE)?.code, 401);
    client.token = Some("old".to_owned());
    assert_eq!(client.get(NODE)?.code, 200);
    server.set_tokens(["new"]);
    let expired = client.get(NODE)?;
    assert_eq!((expired.code, &expired.json()["reason"]), (401, &json!("Unauthorized")));
    client.token = Some("new".to_owned());
    assert_eq!(client.get(NODE)?.code, 200);
    assert_eq!(server.kubeconfig()["users"][0]["user"]["token"], "new");
    Ok(())
}

#[test]
fn a_fault_refuses_as_often_as_it_is_told_to() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    for code in [401, 403, 404, 409, 422, 500, 503] {
        server.fault(Fault::on("GET", "/api/v1/nodes/*").times(1).refuse(code));
        let reply = client.get(NODE)?;
        assert_eq!((reply.code, &reply.json()["code"]), (code, &json!(code)));
    }
    assert_eq!(client.get(NODE)?.code, 200);
    server.fault(Fault::on("*", "/**").refuse(500));
    assert_eq!((client.get(NODE)?.code, client.get(NODE)?.code), (500, 500));
    server.clear_faults();
    assert_eq!(client.get(NODE)?.code, 200);
    Ok(())
}

#[test]
fn too_many_requests_come_as_a_status_and_as_text() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    server.fault(Fault::on("GET", NODE).times(1).refuse_for(429, 7));
    server.fault(Fault::on("GET", NODE).times(1).overloaded(3));
    let status = client.get(NODE)?;
    assert_eq!((status.code, &status.headers["retry-after"]), (429, &http::HeaderValue::from_static("7")));
    assert_eq!(status.json()["details"]["retryAfterSeconds"], 7);
    let text = client.get(NODE)?;
    assert_eq!((text.code, &text.headers["retry-after"]), (429, &http::HeaderValue::from_static("3")));
    assert_eq!(text.text, "Too many requests, please try again later.\n");
    Ok(())
}

#[test]
fn a_write_may_be_done_although_its_answer_is_lost() -> Result<()> {
    for (fault, done) in [
        (Fault::on("POST", EVENTS).cut(Cut::BeforeHead), false),
        (Fault::on("POST", EVENTS).applied().cut(Cut::BeforeHead), true),
        (Fault::on("POST", EVENTS).cut(Cut::AfterHead), true),
        (Fault::on("POST", EVENTS).cut(Cut::InBody), true),
    ] {
        let server = ApiServer::with_node("node-a")?;
        server.fault(fault.clone());
        let reply = Client::new(&server).post(EVENTS, &event("a"));
        assert!(reply.is_err(), "{fault:?}: {reply:?}");
        assert_eq!(server.events().len(), usize::from(done), "{fault:?}");
    }
    Ok(())
}

#[test]
fn a_cut_answer_shows_the_part_that_was_sent() -> Result<()> {
    use std::io::{Read, Write};

    let server = ApiServer::with_node("node-a")?;
    for (cut, body) in [(Cut::BeforeHead, None), (Cut::AfterHead, Some(false)), (Cut::InBody, Some(true))] {
        server.fault(Fault::on("GET", NODE).times(1).cut(cut));
        let mut stream = TcpStream::connect(server.url().trim_start_matches("http://"))?;
        stream.set_read_timeout(Some(SOON))?;
        write!(stream, "GET {NODE} HTTP/1.1\r\nhost: x\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let seen = text.split_once("\r\n\r\n").map(|(_, body)| !body.is_empty());
        assert_eq!(seen, body, "{cut:?}: {text}");
    }
    Ok(())
}

#[test]
fn a_late_answer_and_garbage_are_faults_too() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    let delay = Duration::from_millis(50);
    server.fault(Fault::on("GET", NODE).times(1).delay(delay));
    let start = Instant::now();
    assert_eq!(client.get(NODE)?.code, 200);
    assert!(start.elapsed() >= delay);
    server.fault(Fault::on("GET", NODE).times(1).garbage());
    let reply = client.get(NODE)?;
    assert_eq!(reply.code, 200);
    assert!(serde_json::from_str::<Value>(&reply.text).is_err(), "{}", reply.text);
    Ok(())
}

#[test]
fn a_client_that_gives_up_finds_its_late_request_not_served() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    server.fault(Fault::on("POST", EVENTS).times(1).delay(SOON));
    let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_millis(20))).build();
    let impatient = Client { agent: config.into(), ..Client::new(&server) };
    assert!(impatient.post(EVENTS, &event("a")).is_err());
    assert_eq!(Client::new(&server).post(EVENTS, &event("a"))?.code, 201);
    Ok(())
}

#[test]
fn tls_is_spoken_with_a_certificate_of_the_servers_own_authority() -> Result<()> {
    let server = ApiServer::builder().node("node-a").tls().start()?;
    let authority = Certificate::from_pem(server.ca_pem().context("no authority")?.as_bytes())?;
    assert!(server.url().starts_with("https://127.0.0.1:"));
    assert_eq!(Client::trusting(server.url(), &[authority]).get(NODE)?.code, 200);
    let other = ApiServer::builder().tls().start()?;
    let stranger = Certificate::from_pem(other.ca_pem().context("no authority")?.as_bytes())?;
    let reply = Client::trusting(server.url(), &[stranger]).get(NODE);
    assert!(reply.is_err(), "{reply:?}");
    let data = &server.kubeconfig()["clusters"][0]["cluster"]["certificate-authority-data"];
    let pem = BASE64_STANDARD.decode(data.as_str().context("no authority in the kubeconfig")?)?;
    assert_eq!(Some(std::str::from_utf8(&pem)?), server.ca_pem());
    Ok(())
}

#[test]
fn what_no_rule_allows_is_forbidden_to_all_but_the_administrator() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    server.enforce(&fs::read_to_string(shipped_manifest("kustomize/base/rbac.yaml"))?)?;
    let mut client = Client::new(&server);
    assert_eq!(client.get(NODE)?.code, 200);
    let refused = client.send("DELETE", NODE, &[], "")?;
    assert_eq!((refused.code, &refused.json()["reason"]), (403, &json!("Forbidden")));
    assert_eq!(client.get("/version")?.code, 200);
    client.token = Some(server.administrator_token());
    assert_eq!(client.send("DELETE", NODE, &[], "")?.code, 200);
    Ok(())
}

/// What an exporter asks for, without pods.
fn export(client: &Client) -> Result<Vec<u16>> {
    Ok(vec![
        client.get(&format!("{NODE}?resourceVersion=0"))?.code,
        client.patch(STATUS, &condition("KernelDeadlock", "True"))?.code,
        client.post(EVENTS, &event("node-a.1"))?.code,
        client.patch(&format!("{EVENTS}/node-a.1"), &json!({"count": 2}))?.code,
    ])
}

#[test]
fn the_shipped_rules_are_what_an_exporter_needs_and_no_more() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    server.enforce(&fs::read_to_string(shipped_manifest("kustomize/base/rbac.yaml"))?)?;
    assert_eq!(export(&client)?, [200, 200, 201, 200]);
    assert_eq!(server.unused_grants(), [""; 0]);
    let mut elsewhere = event("node-a.1");
    elsewhere["involvedObject"]["namespace"] = "kube-system".into();
    for forbidden in [
        client.get("/api/v1/nodes")?,
        client.patch(NODE, &json!({"spec": {"unschedulable": true}}))?,
        client.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-a")?,
        client.get(EVENTS)?,
        client.post("/api/v1/namespaces/kube-system/events", &elsewhere)?,
    ] {
        assert_eq!(forbidden.code, 403, "{}", forbidden.text);
    }
    Ok(())
}

#[test]
fn the_shipped_rules_for_pod_events_add_what_these_need_and_no_more() -> Result<()> {
    let server = ApiServer::with_node("node-a")?;
    let client = Client::new(&server);
    server.enforce(&fs::read_to_string(shipped_manifest("kustomize/components/pod-events/rbac.yaml"))?)?;
    assert_eq!(client.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-a")?.code, 200);
    let mut of_pod = event("web-0.1");
    of_pod["involvedObject"] = json!({"kind": "Pod", "name": "web-0", "namespace": "kube-system"});
    let path = "/api/v1/namespaces/kube-system/events";
    assert_eq!(client.post(path, &of_pod)?.code, 201);
    assert_eq!(client.patch(&format!("{path}/web-0.1"), &json!({"count": 2}))?.code, 200);
    assert_eq!(server.unused_grants(), [""; 0]);
    assert_eq!(client.get("/api/v1/namespaces/kube-system/pods/web-0")?.code, 403);
    Ok(())
}

#[test]
fn the_program_prints_requests_events_and_changed_conditions() -> Result<()> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_npd-apiserver")).stdout(Stdio::piped()).spawn()?;
    let told = told_by(&mut child);
    child.kill()?;
    child.wait()?;
    assert_eq!(
        told?,
        [
            "GET /api/v1/nodes/node-a?resourceVersion=0 200",
            "PATCH /api/v1/nodes/node-a/status 200",
            "    condition node-a KernelDeadlock=True - since -: -",
            "POST /api/v1/namespaces/default/events 201",
            "    event Warning TaskHung on Node/node-a from kernel-monitor: task docker:7 blocked",
            "PATCH /api/v1/namespaces/default/events/node-a.1 200",
            "    event patched: {\"count\":2}",
            "DELETE /api/v1/nodes/node-a 200",
            "    node node-a is gone",
        ]
    );
    Ok(())
}

/// What the program prints after its URL; each request waits until the one before has been told.
fn told_by(child: &mut Child) -> Result<Vec<String>> {
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
    let mut next = || lines.next().context("the program has ended")?.context("cannot read");
    let client = Client::trusting(next()?, &[]);
    let mut told = Vec::new();
    let mut tell = |count: usize| -> Result<()> {
        for _ in 0..count {
            told.push(next()?);
        }
        Ok(())
    };
    client.get(&format!("{NODE}?resourceVersion=0"))?;
    tell(1)?;
    client.patch(STATUS, &condition("KernelDeadlock", "True"))?;
    tell(2)?;
    client.post(EVENTS, &event("node-a.1"))?;
    tell(2)?;
    client.patch(&format!("{EVENTS}/node-a.1"), &json!({"count": 2}))?;
    tell(2)?;
    client.send("DELETE", NODE, &[], "")?;
    tell(2)?;
    Ok(told)
}
