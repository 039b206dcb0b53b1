//! Keeps the Node's conditions as the node's are.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    back_off::random,
    error::chain,
    exporter::kubernetes::{
        Shared,
        api::client::{Api, ApiError, Retryability},
        conditions::sync::Request,
    },
    log_once::LogOnce,
    time::Now,
};

/// How long the API server is waited for at the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) timeout: Duration,
    pub(crate) interval: Duration,
}

/// Tells the Node of all changes until `stop`, and then of the last.
pub(crate) async fn keep(shared: Arc<Shared>, api: Arc<Api>, wait: Wait, stop: CancellationToken) {
    let patience = Some(Instant::now() + wait.timeout);
    let mut task = Task { patience, was_reached: false, wait, shared, api, failure: LogOnce::default() };
    while !stop.is_cancelled() {
        let due = task.shared.conditions().due();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = until(task.patience) => task.start_without(),
            () = until(due) => drop(task.step().await),
            () = task.shared.conditions_changed.notified() => {}
        }
    }
    // Before the first patch the Node has to be read.
    while !task.shared.conditions().is_synced() && task.step().await {}
}

struct Task {
    shared: Arc<Shared>,
    api: Arc<Api>,
    wait: Wait,
    /// Until when the API server is waited for; nothing once that is over.
    patience: Option<Instant>,
    was_reached: bool,
    failure: LogOnce,
}

// === impl Task ===

impl Task {
    /// Asks what is to be asked; `true` when it was answered well.
    async fn step(&mut self) -> bool {
        let request = self.shared.conditions().request(Now::read().wall);
        let outcome = match request {
            Request::Read => {
                let read = self.api.read_node().await;
                read.map(|node| self.shared.conditions().read(node, Instant::now()))
            }
            Request::Patch { body, told } => {
                self.shared.conditions().patching(Instant::now());
                let patched = self.api.patch_node_status(&body).await;
                patched.map(|node| {
                    self.shared.conditions().patched(told, node, Instant::now());
                    self.shared.metrics.conditions_written().set(Now::read().wall.unix_seconds());
                })
            }
        };
        match outcome {
            Ok(()) => {
                if self.failure.clear() {
                    tracing::info!("the API server takes conditions again");
                    self.shared.on_conditions_written();
                }
                self.on_reached();
                true
            }
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    fn failed(&mut self, error: &ApiError) {
        let retryability = error.retryability();
        let now = Instant::now();
        let mut conditions = self.shared.conditions();
        let pause = match (retryability, self.patience) {
            // A Node that may not be read can be written all the same.
            (Retryability::Never, _) => {
                conditions.give_up_reading();
                conditions.failed(None, random(), now)
            }
            (Retryability::Later(asked), None) => conditions.failed(asked, random(), now),
            (_, None) => conditions.failed(None, random(), now),
            (Retryability::Later(asked), Some(_)) => {
                conditions.wait(asked.unwrap_or_default().max(self.wait.interval), now)
            }
            // The kubelet may not have made its Node yet.
            (_, Some(_)) => conditions.wait(self.wait.interval, now),
        };
        drop(conditions);
        let is_waiting = self.patience.is_some();
        self.failure.error(error, |error| {
            let (node, again_in_seconds) = (&**self.api.node(), pause.as_secs_f64());
            if is_waiting {
                tracing::warn!(error, node, again_in_seconds, "waiting for the API server");
            } else {
                tracing::warn!(error, node, again_in_seconds, "conditions cannot be written");
            }
        });
        if retryability == Retryability::Never {
            // It has answered.
            self.on_reached();
        } else if !self.was_reached {
            self.shared.component.set_waiting(&chain(error));
        }
    }

    fn on_reached(&mut self) {
        self.patience = None;
        self.was_reached = true;
        self.shared.allow_sending();
        self.shared.component.set_ready();
    }

    /// All else is done as well as it can be without; the first words are node-problem-detector's.
    fn start_without(&mut self) {
        self.patience = None;
        tracing::warn!(waited = ?self.wait.timeout, "kube-apiserver did not become ready: it is tried further");
        self.shared.allow_sending();
    }
}

/// Until this moment, or for ever.
pub(crate) async fn until(moment: Option<Instant>) {
    match moment {
        // Timers go by milliseconds: a moment that has come would still take one.
        Some(at) if at <= Instant::now() => {}
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
