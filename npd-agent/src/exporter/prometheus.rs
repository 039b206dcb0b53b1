//! The Prometheus exporter: node-problem-detector's two problem metrics, and the metrics page.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use bytes::Bytes;
use prometheus::{Encoder, Registry, TextEncoder};

use super::Exporter;
use crate::{
    metric::own::ProblemMetrics,
    problem::{ConditionStatus, Declared, Severity, Status},
};

/// node-problem-detector's content type, to the letter.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// Counts problems.
pub(crate) struct PrometheusExporter {
    metrics: ProblemMetrics,
    /// The reason with which each condition type was last True. One map for all monitors: at most one reason of a type
    /// is 1.
    last_reason: BTreeMap<Arc<str>, Arc<str>>,
}

// === impl PrometheusExporter ===

impl PrometheusExporter {
    /// Registers `problem_counter` and `problem_gauge`.
    ///
    /// # Errors
    ///
    /// If the registry already has metrics of these names.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self { metrics: ProblemMetrics::register(registry)?, last_reason: BTreeMap::new() })
    }
}

impl Exporter for PrometheusExporter {
    /// Everything that can be reported is shown with a zero from the start.
    fn declare(&mut self, declared: &Declared) {
        for reason in &declared.counted.reasons {
            self.metrics.problems(reason).inc_by(0);
        }
        for (kind, reason) in &declared.counted.conditions {
            self.metrics.affected(kind, reason).add(0);
        }
    }

    fn export(&mut self, status: &Status) {
        if !status.metrics {
            return;
        }
        for event in &status.events {
            // A recovery is not a problem.
            if event.severity == Severity::Warn {
                self.metrics.problems(&event.reason).inc_by(event.count);
            }
        }
        for condition in &status.conditions {
            let last = self.last_reason.get(&condition.kind);
            let now = (condition.status == ConditionStatus::True).then_some(&condition.reason);
            if last == now {
                continue;
            }
            if let Some(last) = last {
                self.metrics.affected(&condition.kind, last).set(0);
            }
            match now {
                Some(reason) => {
                    self.metrics.affected(&condition.kind, reason).set(1);
                    self.last_reason.insert(condition.kind.clone(), reason.clone());
                }
                None => {
                    self.last_reason.remove(&condition.kind);
                }
            }
        }
    }
}

/// The page `/metrics`.
pub(crate) fn router(registry: Registry) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(registry)
}

async fn metrics(State(registry): State<Registry>) -> impl IntoResponse {
    let mut page = Vec::new();
    // Writing to a Vec cannot fail, and the registry has refused whatever cannot be encoded.
    match TextEncoder::new().encode(&registry.gather(), &mut page) {
        Ok(()) => ([(CONTENT_TYPE, TEXT)], Bytes::from(page)).into_response(),
        Err(error) => {
            tracing::error!(%error, "failed to encode the metrics page");
            axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        problem::{Condition, Counted, Event},
        time::Timestamp,
    };

    fn status(reason: &str, condition: Option<(&str, ConditionStatus)>, severity: Severity) -> Status {
        Status {
            monitor: "test.json".into(),
            source: "test".into(),
            events: vec![Event::new(severity, Timestamp::default(), reason.into(), String::new())],
            conditions: condition
                .map(|(kind, status)| Condition {
                    kind: kind.into(),
                    status,
                    transition: Timestamp::default(),
                    reason: reason.into(),
                    message: String::new(),
                })
                .into_iter()
                .collect(),
            metrics: true,
        }
    }

    fn page(registry: &Registry) -> String {
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        text.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect()
    }

    #[test]
    fn of_the_reasons_of_a_condition_at_most_one_is_set() {
        let registry = Registry::new();
        let counted = Counted {
            reasons: ["DockerHung", "AufsHung", "TaskHung"].map(Into::into).to_vec(),
            conditions: ["DockerHung", "AufsHung"].map(|reason| ("KernelDeadlock".into(), reason.into())).to_vec(),
        };
        let declared = Declared { monitor: "test.json".into(), conditions: vec!["KernelDeadlock".into()], counted };
        let mut exporter = PrometheusExporter::register(&registry).unwrap();
        exporter.declare(&declared);
        assert_eq!(
            page(&registry),
            "problem_counter{reason=\"AufsHung\"} 0\nproblem_counter{reason=\"DockerHung\"} 0\nproblem_counter{reason=\"TaskHung\"} 0\n\
             problem_gauge{reason=\"AufsHung\",type=\"KernelDeadlock\"} 0\nproblem_gauge{reason=\"DockerHung\",type=\"KernelDeadlock\"} 0\n"
        );
        let deadlock = |status| Some(("KernelDeadlock", status));
        exporter.export(&status("DockerHung", deadlock(ConditionStatus::True), Severity::Warn));
        exporter.export(&status("AufsHung", deadlock(ConditionStatus::True), Severity::Warn));
        assert!(page(&registry).contains("problem_gauge{reason=\"AufsHung\",type=\"KernelDeadlock\"} 1\n"));
        assert!(page(&registry).contains("problem_gauge{reason=\"DockerHung\",type=\"KernelDeadlock\"} 0\n"));
        exporter.export(&status("KernelHasNoDeadlock", deadlock(ConditionStatus::False), Severity::Info));
        assert!(page(&registry).contains("problem_gauge{reason=\"AufsHung\",type=\"KernelDeadlock\"} 0\n"));
        assert!(!page(&registry).contains("KernelHasNoDeadlock"), "getting better is no problem");
    }

    #[test]
    fn a_monitor_without_metrics_is_not_counted() {
        let registry = Registry::new();
        let mut exporter = PrometheusExporter::register(&registry).unwrap();
        exporter.export(&Status { metrics: false, ..status("A", None, Severity::Warn) });
        assert_eq!(page(&registry), "");
        exporter.export(&status("A", None, Severity::Warn));
        assert_eq!(page(&registry), "problem_counter{reason=\"A\"} 1\n");
    }
}
