//! Sends the Events.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    back_off::{BackOff, Retry, random},
    exporter::kubernetes::{
        Shared,
        api::{
            body::{self, Subject},
            client::{Api, ApiError, Verdict},
            pods::{Found, PAUSE, PodName, Pods},
        },
        conditions::task::until,
        events::queue::{Object, Telling},
    },
    log_once::Complaint,
    metric::own::EventOutcome,
};

/// Sends what waits until `stop`, and then all that is left, as far as the API server takes it.
pub(crate) async fn send(
    shared: Arc<Shared>,
    api: Arc<Api>,
    namespace: Option<String>,
    pods: Option<Pods>,
    stop: CancellationToken,
) {
    let (complaint, pod_complaint) = (Complaint::default(), Complaint::default());
    let mut task = Task { shared, api, namespace, pods, back_off: BackOff::default(), complaint, pod_complaint };
    // Until when the API server is left alone.
    let mut retry: Option<Retry> = None;
    while !stop.is_cancelled() {
        let now = Instant::now();
        retry = retry.filter(|retry| retry.at > now);
        let may_send = task.shared.may_send.initialized();
        let (next, due) = match retry {
            _ if !may_send => (None, None),
            Some(retry) => (None, Some(retry.at)),
            None => {
                let mut events = task.shared.events();
                (events.next(now), events.due())
            }
        };
        let to_be_kept = task.shared.outbox().due();
        if let Some(telling) = next {
            retry = task.tell(&telling).await.err();
            continue;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = task.shared.may_send.wait(), if !may_send => {}
            () = task.shared.reached_again.notified() => retry = retry.filter(|retry| retry.is_asked_for),
            () = task.shared.events_added.notified() => {}
            () = until(to_be_kept) => task.shared.keep(),
            () = until(due) => {}
        }
    }
    task.shared.events().flush();
    loop {
        // Not in the condition of the loop: what is locked there stays locked in its body.
        let next = task.shared.events().next(Instant::now());
        let Some(telling) = next else { return };
        if task.tell(&telling).await.is_err() {
            return;
        }
    }
}

struct Task {
    shared: Arc<Shared>,
    api: Arc<Api>,
    /// Where Events about the node go, if the user has said so.
    namespace: Option<String>,
    /// Where pods are looked up, if they get Events of their own.
    pods: Option<Pods>,
    back_off: BackOff,
    complaint: Complaint,
    pod_complaint: Complaint,
}

// === impl Task ===

impl Task {
    /// Tells the API server, and settles what becomes of it. The error says when to go on.
    async fn tell(&mut self, telling: &Telling) -> Result<(), Retry> {
        let pod = match self.pod(telling).await {
            Ok(pod) => pod,
            Err(then) => {
                self.shared.events().later(telling, then);
                return Ok(());
            }
        };
        let outcome = if let Some((namespace, subject)) = self.subject(telling, pod.as_ref()) {
            self.request(telling, &namespace, subject, pod.as_ref()).await
        } else {
            self.give_up(telling, EventOutcome::NoPod);
            Ok(())
        };
        let outcome = match outcome {
            Ok(()) => {
                if self.complaint.is_over() {
                    tracing::info!("the API server takes events again");
                    self.shared.is_reached_by_events();
                }
                self.back_off.succeeded();
                Ok(())
            }
            Err(error) => self.failed(telling, &error),
        };
        self.shared.keep();
        outcome
    }

    async fn request(
        &self,
        telling: &Telling,
        namespace: &str,
        subject: Subject,
        pod: Option<&PodName>,
    ) -> Result<(), ApiError> {
        let (node, metrics) = (self.api.node(), &self.shared.metrics);
        let message = body::message(telling, pod);
        let name = body::event_name(node, telling.id);
        if telling.is_created {
            let patch = body::event_patch(telling, &message);
            self.api.patch_event(namespace, &name, &patch).await?;
            self.shared.events().told(telling, Instant::now());
            metrics.events(EventOutcome::Counted).inc_by(telling.count.saturating_sub(telling.known));
            return Ok(());
        }
        let event = body::event(telling, node, namespace, subject, message);
        match self.api.create_event(namespace, &event).await {
            Ok(()) => {
                self.shared.events().told(telling, Instant::now());
                metrics.events(EventOutcome::Created).inc();
                metrics.events(EventOutcome::Counted).inc_by(telling.count.saturating_sub(1));
            }
            Err(error) if error.verdict() == Verdict::Exists => {
                // How many it tells of is in the answer to a patch that changes nothing.
                let same = serde_json::json!({ "reportingInstance": event.reporting_instance });
                let count = self.api.patch_event(namespace, &name, &same).await?.max(1);
                if self.shared.events().exists(telling, count, Instant::now()) {
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

    /// The error says when to go on; there is none when there is nothing to wait for.
    fn failed(&mut self, telling: &Telling, error: &ApiError) -> Result<(), Retry> {
        let asked = match error.verdict() {
            Verdict::Later(asked) => asked,
            // A patch that lost a race.
            Verdict::Exists => None,
            Verdict::Missing if telling.is_created => {
                self.shared.events().is_missing(telling);
                return Ok(());
            }
            Verdict::Missing | Verdict::Never => {
                self.complaint.make(error, |error| {
                    tracing::warn!(error, reason = &*telling.reason, "the API server refuses events");
                });
                self.give_up(telling, EventOutcome::Refused);
                return Ok(());
            }
        };
        self.shared.events().again(telling, error.may_be_done(), error.is_trouble_inside());
        let now = Instant::now();
        let retry = self.back_off.failed(asked, random(), now);
        self.complaint.make(error, |error| {
            let again_in_seconds = (retry.at - now).as_secs_f64();
            tracing::warn!(error, again_in_seconds, "events cannot be sent; they wait");
        });
        Err(retry)
    }

    fn give_up(&self, telling: &Telling, outcome: EventOutcome) {
        let problems = self.shared.events().give_up(telling);
        self.shared.metrics.events(outcome).inc_by(problems);
    }

    /// The pod that an event is about or speaks of, as far as it is known. An event about a pod can wait for it; the error
    /// says until when.
    async fn pod(&mut self, telling: &Telling) -> Result<Option<PodName>, Instant> {
        let (Some(pods), Some(uid)) = (self.pods.as_mut(), telling.pod.as_ref()) else { return Ok(None) };
        let then = match pods.find(uid, telling.since, &self.api).await {
            Ok(Found::Pod(pod)) => {
                self.pod_complaint.is_over();
                return Ok(Some(pod));
            }
            Ok(Found::Unknown) => None,
            Ok(Found::NotYet(then)) => Some(then),
            Err(error) => {
                self.pod_complaint.make(&error, |error| tracing::warn!(error, "the node's pods cannot be listed"));
                (error.verdict() != Verdict::Never).then(|| Instant::now() + PAUSE)
            }
        };
        match (telling.object, then) {
            (Object::Pod, Some(then)) => Err(then),
            _ => Ok(None),
        }
    }

    /// What an Event is about, and the namespace it goes to.
    fn subject(&self, telling: &Telling, pod: Option<&PodName>) -> Option<(String, Subject)> {
        match &telling.object {
            Object::Node => {
                let namespace = self.namespace.clone().unwrap_or_else(|| "default".to_owned());
                let uid = self.shared.conditions().uid().unwrap_or_default().to_owned();
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
