//! A stand-in for the Kubernetes API server: Nodes, Events, Pods and Namespaces of core/v1, with the semantics that an
//! agent on a node meets.
//!
//! It listens on 127.0.0.1 only and runs on a thread of its own, so that a synchronous test can use it. What a client
//! can do over HTTP works against a real cluster as well; what only a test may do (faults, tokens, a look at all that
//! came) is here in [`ApiServer`]. Not in here: watches, label selectors, protobuf, admission, and controllers.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

mod access;
mod api;
mod failure;
mod faults;
mod rbac;
mod request;
mod request_info;
mod schema;
mod selector;
mod server;
mod store;
mod strategic_merge;
mod tls;
mod validation;

pub use self::{
    failure::Failure,
    faults::{Cut, Fault},
    rbac::RbacError,
    request::{Request, Requests},
    store::{Key, Resource, Store},
};

use self::{
    access::Access,
    faults::Faults,
    rbac::Policy,
    server::{Port, Serving, Shared, State, birth},
    tls::Tls,
};
use crate::nonce;

/// Who every client is that is not the administrator: the agent's service account.
pub const USER: &str = "system:serviceaccount:npd:npd";

/// How many requests the error of a wait in vain shows.
const SHOWN: usize = 15;

/// A running API server; it ends when dropped.
#[derive(Debug)]
pub struct ApiServer {
    shared: Arc<Shared>,
    port: Port,
    tls: Option<Tls>,
    serving: Mutex<Option<Serving>>,
}

/// An API server to be started.
#[derive(Debug, Default)]
pub struct Builder {
    port: u16,
    nodes: Vec<String>,
    tokens: Option<Vec<String>>,
    tls: bool,
}

/// What a waiting test looks at.
#[derive(Debug)]
pub struct Cluster {
    /// The objects.
    pub store: Store,
    /// The newest requests.
    pub requests: Requests,
}

// === impl ApiServer ===

impl ApiServer {
    /// Says what the server is to have.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts one with a single node.
    pub fn with_node(name: &str) -> Result<Self> {
        Self::builder().node(name).start()
    }

    /// Where it listens, also while it is stopped: `http://127.0.0.1:PORT`, or `https`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.port.address)
    }

    /// The certificate of its private authority as PEM, when it speaks TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.ca_pem.as_str())
    }

    /// A token that is always valid and may do everything.
    #[must_use]
    pub fn administrator_token(&self) -> String {
        self.shared.lock().access.administrator.clone()
    }

    /// A kubeconfig of this server, with the first valid token.
    #[must_use]
    pub fn kubeconfig(&self) -> Value {
        let mut cluster = json!({"server": self.url()});
        if let Some(pem) = self.ca_pem() {
            cluster["certificate-authority-data"] = BASE64_STANDARD.encode(pem).into();
        }
        let mut user = json!({});
        if let Some(token) = self.shared.lock().access.tokens.as_deref().and_then(<[String]>::first) {
            user["token"] = token.clone().into();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "stand-in", "cluster": cluster}],
            "users": [{"name": "npd", "user": user}],
            "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "npd"}}],
            "current-context": "stand-in",
        })
    }

    /// Writes [`ApiServer::kubeconfig`], as JSON, which is YAML.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<()> {
        fs::write(path, self.kubeconfig().to_string()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Ends all connections; from now on a client is refused. What is stored stays.
    pub fn stop(&self) {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(serving) = serving {
            serving.stop();
        }
    }

    /// Serves again, on the same port.
    pub fn restart(&self) -> Result<()> {
        self.stop();
        let serving = self.port.serve(&self.shared, self.tls.as_ref().map(Tls::acceptor))?;
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(serving);
        Ok(())
    }

    /// Makes a node as the kubelet would: with `Ready`.
    pub fn add_node(&self, name: &str) -> Result<Value> {
        self.create(
            Resource::Nodes,
            "",
            &json!({
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]},
            }),
        )
    }

    /// Removes a node.
    pub fn delete_node(&self, name: &str) -> Result<()> {
        self.delete(&Key::cluster(Resource::Nodes, name))
    }

    /// A node as it is now.
    pub fn node(&self, name: &str) -> Result<Value> {
        let state = self.shared.lock();
        Ok(state.cluster.store.get(&Key::cluster(Resource::Nodes, name))?.clone())
    }

    /// All events as they are now.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.shared.lock().cluster.store.all(Resource::Events).cloned().collect()
    }

    /// Removes an event, as its time to live does.
    pub fn expire_event(&self, namespace: &str, name: &str) -> Result<()> {
        self.delete(&Key::new(Resource::Events, namespace, name))
    }

    /// Makes a Pod that runs on a node; gives it as stored, with its uid.
    pub fn add_pod(&self, namespace: &str, name: &str, node: &str) -> Result<Value> {
        let pod = json!({
            "metadata": {"name": name}, "spec": {"nodeName": node}, "status": {"phase": "Running"},
        });
        self.create(Resource::Pods, namespace, &pod)
    }

    /// Makes any object.
    pub fn create(&self, resource: Resource, namespace: &str, object: &Value) -> Result<Value> {
        let birth = birth();
        Ok(self.shared.change(|state| state.cluster.store.create(resource, namespace, object, &birth))?)
    }

    /// Removes any object.
    pub fn delete(&self, key: &Key) -> Result<()> {
        self.shared.change(|state| state.cluster.store.delete(key))?;
        Ok(())
    }

    /// The newest requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().cluster.requests.iter().cloned().collect()
    }

    /// Sets the tokens that are valid from now on; a client with another one or none gets 401.
    pub fn set_tokens<T: Into<String>>(&self, tokens: impl IntoIterator<Item = T>) {
        let tokens = tokens.into_iter().map(Into::into).collect();
        self.shared.change(|state| state.access.tokens = Some(tokens));
    }

    /// Allows [`USER`] from now on only what the roles and bindings of a manifest allow it; all else is answered 403.
    pub fn enforce(&self, manifest: &str) -> Result<(), RbacError> {
        let policy = Policy::parse(USER, manifest)?;
        self.shared.change(|state| state.access.policy = Some(policy));
        Ok(())
    }

    /// What [`ApiServer::enforce`] granted and nobody has needed so far, as `ClusterRole npd: patch nodes/status`.
    #[must_use]
    pub fn unused_grants(&self) -> Vec<String> {
        self.shared.lock().access.policy.as_ref().map(Policy::unused).unwrap_or_default()
    }

    /// Adds a fault behind those that are set.
    pub fn fault(&self, fault: Fault) {
        self.shared.change(|state| state.faults.add(fault));
    }

    /// Removes all faults. A request that is not answered already stays so.
    pub fn clear_faults(&self) {
        self.shared.change(|state| state.faults.clear());
    }

    /// Looks after each change until `look` sees something, and gives that.
    ///
    /// # Errors
    ///
    /// When it sees nothing within `limit`; with the newest requests.
    pub fn wait_for<T>(&self, what: &str, limit: Duration, mut look: impl FnMut(&Cluster) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        loop {
            if let Some(found) = look(&state.cluster) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let requests = &state.cluster.requests;
                let newest: Vec<_> = requests.since(requests.count().saturating_sub(SHOWN as u64)).collect();
                let newest: Vec<_> = newest.iter().map(ToString::to_string).collect();
                bail!(
                    "waited {limit:?} for {what} in vain; {} requests came, the newest:\n{}",
                    requests.count(),
                    newest.join("\n")
                );
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a request that has been received, answered or not.
    ///
    /// # Errors
    ///
    /// As [`ApiServer::wait_for`].
    pub fn wait_for_request(
        &self,
        what: &str,
        limit: Duration,
        mut is_it: impl FnMut(&Request) -> bool,
    ) -> Result<Request> {
        self.wait_for(what, limit, |cluster| cluster.requests.iter().find(|request| is_it(request)).cloned())
    }

    /// Waits for an event.
    ///
    /// # Errors
    ///
    /// As [`ApiServer::wait_for`].
    pub fn wait_for_event(&self, what: &str, limit: Duration, mut is_it: impl FnMut(&Value) -> bool) -> Result<Value> {
        self.wait_for(what, limit, |cluster| cluster.store.all(Resource::Events).find(|event| is_it(event)).cloned())
    }

    /// Waits until a node has a condition with this status, and gives the condition.
    ///
    /// # Errors
    ///
    /// As [`ApiServer::wait_for`].
    pub fn wait_for_condition(&self, node: &str, kind: &str, status: &str, limit: Duration) -> Result<Value> {
        let key = Key::cluster(Resource::Nodes, node);
        self.wait_for(&format!("condition {kind}={status} of {node}"), limit, |cluster| {
            let node = cluster.store.find(&key)?;
            conditions(node).get(kind).filter(|condition| condition["status"] == status).cloned()
        })
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop();
    }
}

// === impl Builder ===

impl Builder {
    /// The port; without it any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Adds a node.
    #[must_use]
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.nodes.push(name.into());
        self
    }

    /// Adds a token that is valid; without any, whoever comes is let in.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.tokens.get_or_insert_default().push(token.into());
        self
    }

    /// Speaks TLS, with a certificate of a private authority.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Starts the server.
    pub fn start(self) -> Result<ApiServer> {
        let cluster = Cluster { store: Store::new(birth), requests: Requests::default() };
        let access = Access { tokens: self.tokens, policy: None, administrator: nonce() };
        let shared = Arc::new(Shared::new(State { cluster, faults: Faults::default(), access }));
        let tls = self.tls.then(Tls::generate).transpose()?;
        let server = ApiServer { shared, port: Port::take(self.port)?, tls, serving: Mutex::new(None) };
        for node in &self.nodes {
            server.add_node(node)?;
        }
        server.restart()?;
        Ok(server)
    }
}

/// The conditions of a node, by type.
#[must_use]
pub fn conditions(node: &Value) -> BTreeMap<String, Value> {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .filter_map(|condition| Some((condition.get("type")?.as_str()?.to_owned(), condition.clone())))
        .collect()
}
