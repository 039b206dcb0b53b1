//! The task that sends the Events.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    back_off::{BackOff, Retry, random},
    exporter::kubernetes::{
        api::{
            client::{ApiClient, ApiError, Retryability},
            pods::{LIST_INTERVAL, PodLookup, PodName, Pods},
        },
        events::{
            body::{self, Subject},
            queue::{EventRequest, Object},
        },
        shared::Shared,
        timer::until,
    },
    log_once::LogOnce,
    metric::own::EventOutcome,
};

/// Sends what waits until `stop`, and then what is left, until the API server fails.
pub(crate) async fn send(
    shared: Arc<Shared>,
    api: Arc<ApiClient>,
    namespace: Option<String>,
    pods: Option<Pods>,
    stop: CancellationToken,
) {
    let (failure, pod_failure) = (LogOnce::default(), LogOnce::default());
    let mut task = Task { shared, api, namespace, pods, back_off: BackOff::default(), failure, pod_failure };
    // No request is made before this.
    let mut retry: Option<Retry> = None;
    while !stop.is_cancelled() {
        let now = Instant::now();
        retry = retry.filter(|retry| retry.at > now);
        let may_send = task.shared.may_send.initialized();
        let (next, due) = match retry {
            _ if !may_send => (None, None),
            Some(retry) => (None, Some(retry.at)),
            None => {
                let mut events = task.shared.events.lock();
                (events.next(now), events.due())
            }
        };
        let save_due = task.shared.outbox.lock().due();
        if let Some(request) = next {
            retry = task.send(&request).await.err();
            continue;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = task.shared.may_send.wait(), if !may_send => {}
            () = task.shared.reached_again.notified() => retry = retry.filter(|retry| retry.is_asked_for),
            () = task.shared.events_added.notified() => {}
            () = until(save_due) => task.shared.save_events(),
            () = until(due) => {}
        }
    }
    task.shared.events.lock().release_deferred();
    loop {
        // Not in the condition of a `while let`: the lock would be held in its body.
        let next = task.shared.events.lock().next(Instant::now());
        let Some(request) = next else { return };
        if task.send(&request).await.is_err() {
            return;
        }
    }
}

struct Task {
    shared: Arc<Shared>,
    api: Arc<ApiClient>,
    /// The namespace of Events about the node, if the user has set one.
    namespace: Option<String>,
    /// The node's pods, if they get Events of their own.
    pods: Option<Pods>,
    back_off: BackOff,
    failure: LogOnce,
    pod_failure: LogOnce,
}

// === impl Task ===

impl Task {
    /// Makes the request, and settles what becomes of the series. The error says when to go on.
    async fn send(&mut self, request: &EventRequest) -> Result<(), Retry> {
        let pod = match self.pod(request).await {
            Ok(pod) => pod,
            Err(then) => {
                self.shared.events.lock().defer(request, then);
                return Ok(());
            }
        };
        let outcome = if let Some((namespace, subject)) = self.subject(request, pod.as_ref()) {
            self.create_or_patch(request, &namespace, subject, pod.as_ref()).await
        } else {
            self.give_up(request, EventOutcome::NoPod);
            Ok(())
        };
        let outcome = match outcome {
            Ok(()) => {
                if self.failure.clear() {
                    tracing::info!("the API server accepts events again");
                    self.shared.on_events_written();
                }
                self.back_off.succeeded();
                Ok(())
            }
            Err(error) => self.failed(request, &error),
        };
        self.shared.save_events();
        outcome
    }

    async fn create_or_patch(
        &self,
        request: &EventRequest,
        namespace: &str,
        subject: Subject,
        pod: Option<&PodName>,
    ) -> Result<(), ApiError> {
        let (node, metrics) = (self.api.node(), &self.shared.metrics);
        let message = body::message(request, pod);
        let name = body::event_name(node, request.id);
        if request.is_created {
            let patch = body::event_patch(request, &message);
            self.api.patch_event(namespace, &name, &patch).await?;
            self.shared.events.lock().acknowledged(request, Instant::now());
            metrics.events(EventOutcome::Counted).inc_by(request.count.saturating_sub(request.known));
            return Ok(());
        }
        let event = body::event(request, node, namespace, subject, message);
        match self.api.create_event(namespace, &event).await {
            Ok(()) => {
                self.shared.events.lock().acknowledged(request, Instant::now());
                metrics.events(EventOutcome::Created).inc();
                metrics.events(EventOutcome::Counted).inc_by(request.count.saturating_sub(1));
            }
            Err(error) if error.retryability() == Retryability::Exists => {
                // The response to a patch that changes nothing has its count.
                let same = serde_json::json!({ "reportingInstance": event.reporting_instance });
                let count = self.api.patch_event(namespace, &name, &same).await?.max(1);
                if self.shared.events.lock().mark_existing(request, count, Instant::now()) {
                    metrics.events(EventOutcome::Created).inc();
                    metrics.events(EventOutcome::Counted).inc_by(count - 1);
                } else {
                    metrics.events(EventOutcome::Known).inc();
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The error says when to go on; `Ok` if there is nothing to wait for.
    fn failed(&mut self, request: &EventRequest, error: &ApiError) -> Result<(), Retry> {
        let asked = match error.retryability() {
            Retryability::Later(asked) => asked,
            // A patch that conflicted with another writer's.
            Retryability::Exists => None,
            Retryability::Missing if request.is_created => {
                self.shared.events.lock().mark_missing(request);
                return Ok(());
            }
            Retryability::Missing | Retryability::Never => {
                self.failure.error(error, |error| {
                    tracing::warn!(error, reason = &*request.reason, "the API server rejects events");
                });
                self.give_up(request, EventOutcome::Refused);
                return Ok(());
            }
        };
        self.shared.events.lock().retry(request, error.may_have_succeeded(), error.is_server_error());
        let now = Instant::now();
        let retry = self.back_off.failed(asked, random(), now);
        self.failure.error(error, |error| {
            let again_in_seconds = (retry.at - now).as_secs_f64();
            tracing::warn!(error, again_in_seconds, "events cannot be sent; they are kept and retried");
        });
        Err(retry)
    }

    fn give_up(&self, request: &EventRequest, outcome: EventOutcome) {
        let problems = self.shared.events.lock().give_up(request);
        self.shared.metrics.events(outcome).inc_by(problems);
    }

    /// The pod that an event is about or comes from, as far as it is known. Only an event about the pod itself waits for
    /// it; the error says until when.
    async fn pod(&mut self, request: &EventRequest) -> Result<Option<PodName>, Instant> {
        let (Some(pods), Some(uid)) = (self.pods.as_mut(), request.pod.as_ref()) else { return Ok(None) };
        let then = match pods.look_up(uid, request.since, &self.api).await {
            Ok(PodLookup::Pod(pod)) => {
                self.pod_failure.clear();
                return Ok(Some(pod));
            }
            Ok(PodLookup::Unknown) => None,
            Ok(PodLookup::RetryAt(then)) => Some(then),
            Err(error) => {
                self.pod_failure.error(&error, |error| tracing::warn!(error, "the node's pods cannot be listed"));
                (error.retryability() != Retryability::Never).then(|| Instant::now() + LIST_INTERVAL)
            }
        };
        match (request.object, then) {
            (Object::Pod, Some(then)) => Err(then),
            _ => Ok(None),
        }
    }

    /// The object that an Event is about, and the namespace of the Event.
    fn subject(&self, request: &EventRequest, pod: Option<&PodName>) -> Option<(String, Subject)> {
        match &request.object {
            Object::Node => {
                let namespace = self.namespace.clone().unwrap_or_else(|| "default".to_owned());
                let uid = self.shared.conditions.lock().uid().unwrap_or_default().to_owned();
                let (name, within) = (self.api.node().to_string(), self.namespace.clone());
                Some((namespace, Subject { kind: "Node", name, uid, namespace: within }))
            }
            Object::Pod => {
                let PodName { namespace, name, uid } = pod?.clone();
                Some((namespace.clone(), Subject { kind: "Pod", name, uid, namespace: Some(namespace) }))
            }
        }
    }
}
