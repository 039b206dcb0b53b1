//! What makes sense on a real cluster as well: through a kubeconfig, as any client.
//!
//! `NPD_TEST_KUBECONFIG` names the kubeconfig of an administrator, with a token or a client certificate in it. Each
//! test has a Node and a namespace of its own, which no kubelet and nobody else knows of, and removes both. Without the
//! variable the same code runs against the stand-in only.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};
use npd_tests::{
    cluster::apiserver::{ApiServer, conditions},
    driver::{
        agent::{Agent, Setup},
        poll,
        suite::{Suite, skip},
    },
    nonce,
};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use ureq::{
    http,
    tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem},
};

use super::{App, OWNED, died, monitor, seconds};

/// A real one may be far away.
const LIMIT: Duration = Duration::from_mins(1);

type Scenario = fn(&Cluster) -> Result<()>;

const SCENARIOS: [(&str, Scenario); 4] = [
    ("a problem is an Event, and a condition of the Node", told),
    ("since when a condition is so is known after a kill", kept),
    ("a Node that is deleted and made again has all conditions, and later Events its new uid", made_again),
    ("a type that is no longer configured is removed, and no other", removed),
];

pub(crate) fn add(suite: &mut Suite) {
    for (claim, run) in SCENARIOS {
        suite.test(format!("cluster, stand-in: {claim}"), move || {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("kubeconfig");
            let server = ApiServer::builder().token(nonce()).tls().start()?;
            server.write_kubeconfig(&path)?;
            run(&Cluster::of(&path)?)?;
            nothing_is_left(&server)
        });
    }
    for (claim, run) in SCENARIOS {
        suite.test(format!("cluster, real: {claim}"), move || {
            let path = env::var_os("NPD_TEST_KUBECONFIG").ok_or_else(|| skip("needs NPD_TEST_KUBECONFIG"))?;
            run(&Cluster::of(Path::new(&path))?)
        });
    }
}

/// A cluster as its administrator has it.
struct Cluster {
    kubeconfig: PathBuf,
    http: ureq::Agent,
    server: String,
    token: Option<String>,
}

/// The Node and the namespace of one test, of one name; removed when dropped.
struct Place<'a> {
    cluster: &'a Cluster,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    current_context: String,
    contexts: Vec<NamedContext>,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: ContextEntry,
}

#[derive(Deserialize)]
struct ContextEntry {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: ClusterEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    server: String,
    certificate_authority_data: Option<String>,
    certificate_authority: Option<PathBuf>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: UserEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UserEntry {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_certificate: Option<PathBuf>,
    client_key_data: Option<String>,
    client_key: Option<PathBuf>,
}

// === impl Cluster ===

impl Cluster {
    /// The cluster of the kubeconfig's current context.
    fn of(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let config: Kubeconfig =
            serde_saphyr::from_str(&text).with_context(|| format!("{} is no kubeconfig", path.display()))?;
        let context = config.contexts.into_iter().find(|entry| entry.name == config.current_context);
        let context = context.context("the kubeconfig has no current context")?.context;
        let cluster = config.clusters.into_iter().find(|entry| entry.name == context.cluster);
        let cluster = cluster.context("the context's cluster is not there")?.cluster;
        let user = config.users.into_iter().find(|entry| entry.name == context.user);
        let user = user.context("the context's user is not there")?.user;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut authorities = Vec::new();
        if let Some(pem) = pem(cluster.certificate_authority_data, cluster.certificate_authority, folder)? {
            authorities.extend(certificates(&pem)?);
        }
        let chain = pem(user.client_certificate_data, user.client_certificate, folder)?;
        let key = pem(user.client_key_data, user.client_key, folder)?;
        let identity = match (chain, key) {
            (Some(chain), Some(key)) => {
                Some(ClientCert::new_with_certs(&certificates(&chain)?, PrivateKey::from_pem(&key)?))
            }
            _ => None,
        };
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&authorities))
            .client_cert(identity);
        let http = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(LIMIT))
            .tls_config(tls.build());
        let kubeconfig = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
        Ok(Self { kubeconfig, http: http.build().into(), server: cluster.server, token: user.token })
    }

    /// Asks, and gives the code and the object that is answered.
    fn send(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value)> {
        let kind = if method == "PATCH" { "application/strategic-merge-patch+json" } else { "application/json" };
        let url = format!("{}{path}", self.server.trim_end_matches('/'));
        let mut request = http::Request::builder().method(method).uri(url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = request.header("content-type", kind).body(body)?;
        let mut answer = self.http.run(request).with_context(|| format!("no answer to {method} {path}"))?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Asks for what has to work.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        match self.send(method, path, body)? {
            (200..=299, object) => Ok(object),
            (code, object) => bail!("{method} {path}: {code} {object}"),
        }
    }
}

/// What a kubeconfig has in itself, in base64, or in a file beside it.
fn pem(data: Option<String>, file: Option<PathBuf>, folder: &Path) -> Result<Option<Vec<u8>>> {
    match (data, file) {
        (Some(data), _) => Ok(Some(BASE64_STANDARD.decode(data.trim()).context("no base64 in the kubeconfig")?)),
        (None, Some(file)) => {
            let path = folder.join(file);
            Ok(Some(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?))
        }
        (None, None) => Ok(None),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item? {
            found.push(certificate);
        }
    }
    Ok(found)
}

// === impl Place ===

impl<'a> Place<'a> {
    fn new(cluster: &'a Cluster) -> Result<Self> {
        let place = Self { cluster, name: format!("npd-test-{}", nonce()) };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.name}});
        cluster.ask("POST", "/api/v1/namespaces", &namespace)?;
        place.make_node()?;
        Ok(place)
    }

    /// Gives its uid. Nothing is to be scheduled to it.
    fn make_node(&self) -> Result<String> {
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name}, "spec": {"unschedulable": true},
        });
        uid(&self.cluster.ask("POST", "/api/v1/nodes", &node)?)
    }

    fn delete_node(&self) -> Result<()> {
        self.cluster.ask("DELETE", &self.node_path(), &Value::Null).map(drop)
    }

    fn node(&self) -> Result<Value> {
        self.cluster.ask("GET", &self.node_path(), &Value::Null)
    }

    fn node_path(&self) -> String {
        format!("/api/v1/nodes/{}", self.name)
    }

    fn events(&self) -> Result<Vec<Value>> {
        let list = self.cluster.ask("GET", &format!("/api/v1/namespaces/{}/events", self.name), &Value::Null)?;
        list["items"].as_array().cloned().with_context(|| format!("no list: {list}"))
    }

    /// An agent of this Node, to be started.
    fn setup(&self) -> Result<(Setup, App)> {
        let setup = Setup::new()?;
        let app = App::new(&setup, "app.log")?;
        let address = format!("?inClusterConfig=false&auth={}", self.cluster.kubeconfig.display());
        let setup = setup
            .arg("--enable-k8s-exporter")
            .arg(format!("--apiserver-override={address}"))
            .arg(format!("--hostname-override={}", self.name))
            .arg(format!("--event-namespace={}", self.name))
            .arg("--k8s-exporter-heartbeat-period=1s");
        Ok((setup, app))
    }

    /// Starts an agent and waits until the Node knows that all is well.
    fn start(&self) -> Result<(Agent, Setup, App)> {
        let (setup, app) = self.setup()?;
        let setup = setup.monitor(&monitor(&app))?;
        let agent = setup.clone().start()?;
        self.condition("False")?;
        Ok((agent, setup, app))
    }

    fn condition(&self, status: &str) -> Result<Value> {
        let what = format!("AppBroken={status}");
        self.wait_for(&what, |node| conditions(node).remove("AppBroken").filter(|found| found["status"] == status))
    }

    /// Waits until the Node is as it is wanted.
    fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&Value) -> Option<T>) -> Result<T> {
        poll::wait_for(what, LIMIT, || Ok(look(&self.node()?)))
    }

    fn event(&self, message: &str) -> Result<Value> {
        let is_it = |event: &Value| event["message"] == message;
        poll::wait_for(message, LIMIT, || Ok(self.events()?.into_iter().find(|event| is_it(event))))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // With the namespace go its events. Where this fails the test has most likely failed before.
        for path in [self.node_path(), format!("/api/v1/namespaces/{}", self.name)] {
            drop(self.cluster.send("DELETE", &path, &Value::Null));
        }
    }
}

fn uid(object: &Value) -> Result<String> {
    let uid = object["metadata"]["uid"].as_str();
    uid.map(ToOwned::to_owned).with_context(|| format!("no uid: {object}"))
}

fn nothing_is_left(server: &ApiServer) -> Result<()> {
    use npd_tests::cluster::apiserver::Resource;
    let left = |resource| {
        server.wait_for("what is left", Duration::ZERO, |cluster| {
            Some(cluster.store.all(resource).map(|object| object["metadata"]["name"].to_string()).collect::<Vec<_>>())
        })
    };
    let namespaces = left(Resource::Namespaces)?;
    ensure!(left(Resource::Nodes)?.is_empty(), "a Node is left");
    ensure!(!namespaces.iter().any(|name| name.contains("npd-test-")), "a namespace is left: {namespaces:?}");
    Ok(())
}

fn told(cluster: &Cluster) -> Result<()> {
    let place = Place::new(cluster)?;
    let (_agent, _setup, app) = place.start()?;
    let at = app.say(&["bad thing", "died of something"])?;
    let event = place.event("bad thing")?;
    let object = json!({
        "kind": "Node", "apiVersion": "v1", "name": place.name, "namespace": place.name, "uid": uid(&place.node()?)?,
    });
    ensure!(event["involvedObject"] == object, "{event}");
    ensure!(event["firstTimestamp"] == seconds(at)? && event["count"] == 1 && event["type"] == "Warning", "{event}");
    place.event(&died("died of something"))?;
    let condition = place.condition("True")?;
    ensure!(condition["lastTransitionTime"] == seconds(at)? && condition["reason"] == "AppDied", "{condition}");
    app.say(&["bad thing"])?;
    poll::wait_for("a count", LIMIT, || Ok((place.event("bad thing")?["count"] == 2).then_some(())))
}

fn kept(cluster: &Cluster) -> Result<()> {
    let place = Place::new(cluster)?;
    let (agent, setup, app) = place.start()?;
    let at = app.say_at(Timestamp::now() - SignedDuration::from_mins(5), &["died of something"])?;
    let before = place.condition("True")?;
    agent.stop_with(Signal::KILL)?;
    let _agent = setup.start()?;
    let heartbeat = before["lastHeartbeatTime"].clone();
    let after = place.wait_for("a later heartbeat", |node| {
        conditions(node).remove("AppBroken").filter(|found| found["lastHeartbeatTime"] != heartbeat)
    })?;
    ensure!(after["status"] == "True" && after["lastTransitionTime"] == seconds(at)?, "{before}, {after}");
    Ok(())
}

fn made_again(cluster: &Cluster) -> Result<()> {
    let place = Place::new(cluster)?;
    let (_agent, _setup, app) = place.start()?;
    app.say(&["died of something"])?;
    place.condition("True")?;
    place.delete_node()?;
    let uid = place.make_node()?;
    place.condition("True")?;
    place.wait_for("the annotation", |node| (node.pointer(OWNED)? == "AppBroken").then_some(()))?;
    app.say(&["worse thing"])?;
    let event = place.event("worse thing")?;
    ensure!(event["involvedObject"]["uid"] == uid.as_str(), "the uid is not {uid}: {event}");
    Ok(())
}

fn removed(cluster: &Cluster) -> Result<()> {
    let place = Place::new(cluster)?;
    let foreign = json!({"status": {"conditions": [{"type": "Foreign", "status": "True"}]}});
    cluster.ask("PATCH", &format!("{}/status", place.node_path()), &foreign)?;
    let (setup, app) = place.setup()?;
    let both = monitor(&app).condition("Other", "OtherWorks", "it works");
    let agent = setup.clone().file("both.json", &both.to_json())?.start()?;
    place.wait_for("both types", |node| conditions(node).contains_key("Other").then_some(()))?;
    agent.stop()?;
    let _agent = setup.file("one.json", &monitor(&app).to_json())?.start()?;
    let left = place.wait_for("the removal", |node| {
        let conditions = conditions(node);
        (!conditions.contains_key("Other")).then_some(conditions)
    })?;
    ensure!(left.contains_key("AppBroken") && left.contains_key("Foreign"), "{left:?}");
    Ok(())
}
