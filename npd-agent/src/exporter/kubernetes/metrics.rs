//! What the Kubernetes exporter tells of itself.

use prometheus::{Gauge, IntCounterVec, IntGauge, Opts, Registry};

/// The exporter's metrics. Clones share them.
#[derive(Clone, Debug)]
pub struct KubernetesMetrics {
    /// Problems, by what became of their event.
    pub(super) events: IntCounterVec,
    /// Events that are not sent yet.
    pub(super) waiting: IntGauge,
    /// Requests, by the answer's code.
    pub(super) requests: IntCounterVec,
    /// When the node's conditions were last written.
    pub(super) conditions_written: Gauge,
}

/// What became of a problem's event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is an Event of its own.
    Created,
    /// It is in the count of an Event.
    Counted,
    /// It was there already: this agent, or one before it, had sent it.
    Known,
    /// The API server has refused it.
    Refused,
    /// Its pod is not known.
    NoPod,
    /// Too many were waiting.
    Dropped,
    /// The agent ended before it could be sent.
    Unsent,
}

// === impl Outcome ===

impl Outcome {
    const ALL: [Self; 7] =
        [Self::Created, Self::Counted, Self::Known, Self::Refused, Self::NoPod, Self::Dropped, Self::Unsent];

    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Counted => "counted",
            Self::Known => "known",
            Self::Refused => "refused",
            Self::NoPod => "no_pod",
            Self::Dropped => "dropped",
            Self::Unsent => "unsent",
        }
    }
}

// === impl KubernetesMetrics ===

impl KubernetesMetrics {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// When the registry has metrics of the same names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            events: IntCounterVec::new(
                Opts::new("npd_k8s_events_total", "Problems, by what became of their Kubernetes event"),
                &["outcome"],
            )?,
            waiting: IntGauge::new("npd_k8s_events_waiting", "Kubernetes events that are not sent yet")?,
            requests: IntCounterVec::new(
                Opts::new("npd_k8s_requests_total", "Requests to the API server, by the code of its answer"),
                &["request", "code"],
            )?,
            conditions_written: Gauge::new(
                "npd_k8s_conditions_written_timestamp_seconds",
                "When the node's conditions were last written to the API server",
            )?,
        };
        for outcome in Outcome::ALL {
            metrics.events.with_label_values(&[outcome.as_str()]);
        }
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.conditions_written.clone()))?;
        Ok(metrics)
    }

    pub(super) fn count(&self, outcome: Outcome, problems: u64) {
        self.events.with_label_values(&[outcome.as_str()]).inc_by(problems);
    }
}
