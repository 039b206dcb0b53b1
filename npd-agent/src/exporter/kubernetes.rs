//! The Kubernetes exporter: node conditions and events that the cluster can trust.
//!
//! A status is taken on the thread that found it: its conditions go into [`conditions::sync`], its events into
//! [`events::queue`], both pure and bounded. Two tasks write them to the API server, each one request at a time, and
//! nothing in the agent waits for them. While the API server is unreachable, the newest conditions are kept and events
//! wait.

pub(crate) mod api;
pub(crate) mod conditions;
pub(crate) mod events;
mod shared;
mod timer;
mod token_bucket;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use futures_util::FutureExt as _;
use kube::Client;
use tokio::{
    sync::{Notify, SetOnce},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub use self::api::server::{ApiServer, ConnectError, OverrideError};

use self::shared::Shared;
use super::Exporter;
use crate::{
    component::Component,
    exporter::kubernetes::{
        api::{
            client::{ApiClient, Connect},
            pods::Pods,
        },
        conditions::{
            sync::{ConditionOptions, ConditionSync},
            task::Wait,
        },
        events::{
            outbox::Outbox,
            queue::{EventQueue, Object},
        },
    },
    metric::own::{EventOutcome, KubernetesMetrics},
    problem::{Declared, Event, Status},
    state::StateFile,
    time::Now,
};

/// What the flags say about the exporter.
#[expect(clippy::struct_excessive_bools, reason = "flags are what users set one by one")]
#[derive(Clone, Debug)]
pub struct KubernetesOptions {
    /// The node's name.
    pub node: Arc<str>,
    /// How long to wait for the API server at the start, and how often to try meanwhile.
    pub wait_timeout: Duration,
    /// See `wait_timeout`.
    pub wait_interval: Duration,
    /// How often all conditions are sent even if none has changed.
    pub heartbeat: Duration,
    /// Whether events are sent.
    pub write_events: bool,
    /// Whether conditions are sent.
    pub update_conditions: bool,
    /// Whether condition types of npd's that are no longer configured are removed.
    pub cleanup_conditions: bool,
    /// Whether a problem that comes from a pod also becomes an event at the pod.
    pub pod_events: bool,
    /// The namespace of events about the node; `None` means `default`.
    pub event_namespace: Option<String>,
    /// Maximum number of requests per second; 0 is client-go's default of 5, a negative number sets no limit.
    pub qps: f32,
    /// Maximum number of requests at once; 0 is client-go's default of 10.
    pub burst: u32,
}

/// The end of the exporter that takes statuses.
pub struct KubernetesExporter {
    shared: Arc<Shared>,
    write_events: bool,
    pod_events: bool,
}

/// The end of the exporter that talks to the API server.
#[derive(Debug)]
pub struct KubernetesTasks {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// Starts the exporter. Credentials that cannot be used at all are an error; an unreachable API server is not.
pub async fn start(
    options: KubernetesOptions,
    server: ApiServer,
    outbox: Option<StateFile>,
    metrics: KubernetesMetrics,
    component: Component,
) -> Result<(KubernetesExporter, KubernetesTasks), ConnectError> {
    let client = server.connect().await?;
    let connect: Connect = Box::new(move || {
        let server = server.clone();
        async move { server.connect().await }.boxed()
    });
    Ok(start_with(options, connect, Some(client), outbox, metrics, component))
}

fn start_with(
    options: KubernetesOptions,
    connect: Connect,
    client: Option<Client>,
    outbox: Option<StateFile>,
    metrics: KubernetesMetrics,
    component: Component,
) -> (KubernetesExporter, KubernetesTasks) {
    let conditions = ConditionSync::new(ConditionOptions {
        heartbeat: options.heartbeat,
        write: options.update_conditions,
        cleanup: options.cleanup_conditions,
    });
    let mut events = EventQueue::new(Now::read().wall.unix_nanos().cast_unsigned());
    for outcome in EventOutcome::ALL {
        // Shown from the start.
        metrics.events(*outcome).inc_by(0);
    }
    let (outbox, left) = Outbox::open(outbox);
    if options.write_events {
        events.restore(left, Instant::now());
    }
    let shared = Arc::new(Shared {
        conditions: Mutex::new(conditions),
        conditions_changed: Notify::new(),
        events: Mutex::new(events),
        outbox: Mutex::new(outbox),
        events_added: Notify::new(),
        may_send: SetOnce::new(),
        reached_again: Notify::new(),
        metrics: metrics.clone(),
        component,
    });
    let api = Arc::new(ApiClient::new(options.node, connect, client, (options.qps, options.burst), metrics));
    let stop = CancellationToken::new();
    let wait = Wait { timeout: options.wait_timeout, interval: options.wait_interval };
    let pods = options.pod_events.then(Pods::default);
    let mut tasks = JoinSet::new();
    let keep = conditions::task::keep(Arc::clone(&shared), Arc::clone(&api), wait, stop.clone());
    tasks.spawn(keep.instrument(tracing::info_span!("kubernetes_conditions")));
    let send = events::task::send(Arc::clone(&shared), api, options.event_namespace, pods, stop.clone());
    tasks.spawn(send.instrument(tracing::info_span!("kubernetes_events")));
    let exporter = KubernetesExporter {
        shared: Arc::clone(&shared),
        write_events: options.write_events,
        pod_events: options.pod_events,
    };
    (exporter, KubernetesTasks { shared, tasks, stop })
}

// === impl KubernetesExporter ===

impl KubernetesExporter {
    fn add(&self, source: &Arc<str>, event: &Event) {
        let mut events = self.shared.events.lock();
        let now = Instant::now();
        let mut dropped = events.add(source, event, Object::Node, now);
        if self.pod_events && event.fields.get("pod_uid").is_some() {
            dropped += events.add(source, event, Object::Pod, now);
        }
        drop(events);
        self.shared.metrics.events(EventOutcome::Dropped).inc_by(dropped);
    }
}

impl Exporter for KubernetesExporter {
    fn declare(&mut self, declared: &Declared) {
        self.shared.conditions.lock().declare(declared);
        self.shared.conditions_changed.notify_one();
    }

    fn export(&mut self, status: &Status) {
        let has_changed = {
            let mut conditions = self.shared.conditions.lock();
            conditions.update(status);
            !conditions.is_synced()
        };
        if self.write_events && !status.events.is_empty() {
            for event in &status.events {
                self.add(&status.source, event);
            }
            self.shared.save_events();
            self.shared.events_added.notify_one();
        }
        if has_changed {
            self.shared.conditions_changed.notify_one();
        }
    }
}

// === impl KubernetesTasks ===

impl KubernetesTasks {
    /// Waits until one of the tasks ends, which is always a failure.
    pub async fn broken(&mut self) {
        if let Some(Err(error)) = self.tasks.join_next().await {
            tracing::error!(%error, "a task of the Kubernetes exporter failed");
        }
    }

    /// Sends what is left, within `limit`. What is not sent by then is counted and logged.
    pub async fn stop(mut self, limit: Duration) {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, ended).await.is_err() {
            self.tasks.shutdown().await;
        }
        let events = self.shared.events.lock();
        let is_kept = self.shared.outbox.lock().flush(&events, Instant::now());
        let unsent = events.unsent();
        if unsent > 0 {
            self.shared.metrics.events(EventOutcome::Unsent).inc_by(unsent);
            tracing::warn!(problems = unsent, is_kept, "the agent stops before all events are sent");
        }
    }
}

#[cfg(test)]
mod tests;
