//! Keeps the Node object's conditions in sync with the agent's view.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    back_off::random,
    error::chain,
    exporter::kubernetes::{
        api::client::{ApiClient, ApiError, Retryability},
        conditions::sync::Request,
        shared::Shared,
        timer::until,
    },
    log_once::LogOnce,
    time::Now,
};

/// How long to wait for the API server at the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) timeout: Duration,
    pub(crate) interval: Duration,
}

/// Writes all changes until `stop`, and then the last ones.
pub(crate) async fn keep(shared: Arc<Shared>, api: Arc<ApiClient>, wait: Wait, stop: CancellationToken) {
    let patience = Some(Instant::now() + wait.timeout);
    let mut task = Task { patience, was_reached: false, wait, shared, api, failure: LogOnce::default() };
    while !stop.is_cancelled() {
        let due = task.shared.conditions.lock().due();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = until(task.patience) => task.start_without(),
            () = until(due) => drop(task.step().await),
            () = task.shared.conditions_changed.notified() => {}
        }
    }
    // There may be two requests left: before the first patch the Node has to be read.
    while !task.shared.conditions.lock().is_synced() && task.step().await {}
}

struct Task {
    shared: Arc<Shared>,
    api: Arc<ApiClient>,
    wait: Wait,
    /// Until when to wait for the API server; `None` once that is over.
    patience: Option<Instant>,
    was_reached: bool,
    failure: LogOnce,
}

// === impl Task ===

impl Task {
    /// Makes the next request. Returns whether it succeeded.
    async fn step(&mut self) -> bool {
        let request = self.shared.conditions.lock().request(Now::read().wall);
        let outcome = match request {
            Request::Read => {
                let read = self.api.read_node().await;
                read.map(|node| self.shared.conditions.lock().read(node, Instant::now()))
            }
            Request::Patch { body, conditions } => {
                self.shared.conditions.lock().patch_started(Instant::now());
                let patched = self.api.patch_node_status(&body).await;
                patched.map(|node| {
                    self.shared.conditions.lock().patched(conditions, node, Instant::now());
                    self.shared.metrics.conditions_written().set(Now::read().wall.unix_seconds());
                })
            }
        };
        match outcome {
            Ok(()) => {
                if self.failure.clear() {
                    tracing::info!("the API server accepts conditions again");
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
        let mut conditions = self.shared.conditions.lock();
        let pause = match (retryability, self.patience) {
            // A Node that the agent is not allowed to read can be written all the same.
            (Retryability::Never, _) => {
                conditions.give_up_reading();
                conditions.failed(None, random(), now)
            }
            (Retryability::Later(asked), None) => conditions.failed(asked, random(), now),
            (_, None) => conditions.failed(None, random(), now),
            (Retryability::Later(asked), Some(_)) => {
                conditions.wait(asked.unwrap_or_default().max(self.wait.interval), now)
            }
            // The kubelet may not have created its Node yet.
            (_, Some(_)) => conditions.wait(self.wait.interval, now),
        };
        drop(conditions);
        let is_waiting = self.patience.is_some();
        self.failure.error(error, |error| {
            let (node, again_in_seconds) = (&**self.api.node(), pause.as_secs_f64());
            if is_waiting {
                tracing::warn!(error, node, again_in_seconds, "waiting for the API server");
            } else {
                tracing::warn!(error, node, again_in_seconds, "conditions cannot be written; retrying");
            }
        });
        if retryability == Retryability::Never {
            // It has responded.
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

    /// Everything else starts without the API server. The first words of the message are node-problem-detector's.
    fn start_without(&mut self) {
        self.patience = None;
        tracing::warn!(waited = ?self.wait.timeout, "kube-apiserver did not become ready: retrying in the background");
        self.shared.allow_sending();
    }
}
