//! The Kubernetes exporter: node conditions and events that the cluster can trust.
//!
//! What is found is taken in on the thread that found it: conditions into [`condition_sync`], events into
//! [`event_queue`], both pure and bounded. Two tasks bring it to the API server, each one request at a time, and nothing
//! in the agent waits for them. While the API server is away, conditions stay as they are now and events wait.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};

use futures_util::FutureExt as _;
use kube::Client;
use tokio::{
    sync::{Notify, SetOnce},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use crate::exporter::kubernetes::api::server::{ApiServer, ConnectError, OverrideError};

use super::Exporter;
use crate::{
    component::Component,
    exporter::kubernetes::{
        api::{
            client::{Api, Connect},
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

/// How the cluster is told, as the flags say.
#[expect(clippy::struct_excessive_bools, reason = "flags are what users set one by one")]
#[derive(Clone, Debug)]
pub struct KubernetesOptions {
    /// The node's name.
    pub node: Arc<str>,
    /// How long the API server is waited for at the start, and how often it is asked meanwhile.
    pub wait_timeout: Duration,
    /// See `wait_timeout`.
    pub wait_interval: Duration,
    /// How often all conditions are sent without a change.
    pub heartbeat: Duration,
    /// Whether events are sent.
    pub write_events: bool,
    /// Whether conditions are sent.
    pub update_conditions: bool,
    /// Whether condition types of ours that are no longer configured are removed.
    pub cleanup_conditions: bool,
    /// Whether a problem that comes from a pod is told at the pod, too.
    pub pod_events: bool,
    /// The namespace of events about the node; `default` when it is not said.
    pub event_namespace: Option<String>,
    /// Requests a second; 0 is client-go's default of 5, a negative number no limit.
    pub qps: f32,
    /// Requests at once; 0 is client-go's default of 10.
    pub burst: u32,
}

/// The exporter's end at the monitors.
pub struct KubernetesExporter {
    shared: Arc<Shared>,
    write_events: bool,
    pod_events: bool,
}

/// The exporter's end at the API server.
#[derive(Debug)]
pub struct KubernetesTasks {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// What is between the two.
#[derive(Debug)]
pub(crate) struct Shared {
    conditions: Mutex<ConditionSync>,
    conditions_changed: Notify,
    /// Locked before the outbox, where both are.
    events: Mutex<EventQueue>,
    outbox: Mutex<Outbox>,
    events_added: Notify,
    /// The API server was reached, or is no longer waited for: events may be sent.
    may_send: SetOnce<()>,
    /// It was reached after it was not: events need not wait any longer.
    reached_again: Notify,
    metrics: KubernetesMetrics,
    component: Component,
}

/// Starts the exporter. Credentials that cannot be used at all are an error; an API server that is away is not.
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
    let api = Arc::new(Api::new(options.node, connect, client, (options.qps, options.burst), metrics));
    let stop = CancellationToken::new();
    let wait = Wait { timeout: options.wait_timeout, interval: options.wait_interval };
    let pods = options.pod_events.then(Pods::default);
    let mut tasks = JoinSet::new();
    tasks.spawn(conditions::task::keep(Arc::clone(&shared), Arc::clone(&api), wait, stop.clone()));
    tasks.spawn(events::task::send(Arc::clone(&shared), api, options.event_namespace, pods, stop.clone()));
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
        let mut events = self.shared.events();
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
        self.shared.conditions().declare(declared);
        self.shared.conditions_changed.notify_one();
    }

    fn export(&mut self, status: &Status) {
        let is_news = {
            let mut conditions = self.shared.conditions();
            conditions.update(status);
            !conditions.is_synced()
        };
        if self.write_events && !status.events.is_empty() {
            for event in &status.events {
                self.add(&status.source, event);
            }
            self.shared.keep();
            self.shared.events_added.notify_one();
        }
        if is_news {
            self.shared.conditions_changed.notify_one();
        }
    }
}

// === impl KubernetesTasks ===

impl KubernetesTasks {
    /// Waits until one of the tasks ends, which it never should.
    pub async fn broken(&mut self) {
        if let Some(Err(error)) = self.tasks.join_next().await {
            tracing::error!(%error, "a task of the Kubernetes exporter failed");
        }
    }

    /// Sends what is left, for at most so long. What is not sent then is counted and told.
    pub async fn stop(mut self, limit: Duration) {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, ended).await.is_err() {
            self.tasks.shutdown().await;
        }
        let events = self.shared.events();
        let is_kept = self.shared.outbox().flush(&events, Instant::now());
        let unsent = events.unsent();
        if unsent > 0 {
            self.shared.metrics.events(EventOutcome::Unsent).inc_by(unsent);
            tracing::warn!(problems = unsent, is_kept, "the agent ends before all events are sent");
        }
    }
}

// === impl Shared ===

impl Shared {
    fn conditions(&self) -> MutexGuard<'_, ConditionSync> {
        self.conditions.lock()
    }

    fn events(&self) -> MutexGuard<'_, EventQueue> {
        self.events.lock()
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock()
    }

    /// Keeps and shows what waits, as it is now.
    fn keep(&self) {
        let events = self.events();
        self.outbox().changed(&events, Instant::now());
        self.metrics.events_waiting().set(i64::try_from(events.waiting()).unwrap_or(i64::MAX));
    }

    /// There is no reason to wait any longer: the API server was reached, or there is no patience left.
    fn allow_sending(&self) {
        // It may have been set before.
        drop(self.may_send.set(()));
    }

    /// The API server has taken conditions after it had not.
    fn on_conditions_written(&self) {
        self.reached_again.notify_one();
    }

    /// The API server has taken events after it had not.
    fn on_events_written(&self) {
        self.conditions().retry_now();
        self.conditions_changed.notify_one();
    }
}

pub mod api;
pub mod conditions;
pub mod events;
#[cfg(test)]
mod tests;
