//! The log exporter: every event as one structured log line.

use super::Exporter;
use crate::problem::{Severity, Status};

/// Writes to the agent's own log.
#[derive(Debug, Default)]
pub(crate) struct LogExporter;

impl Exporter for LogExporter {
    fn export(&mut self, status: &Status) {
        for event in &status.events {
            let condition = event.condition.as_deref();
            let state = condition.and_then(|kind| status.conditions.iter().find(|c| &*c.kind == kind));
            let state = state.map(|condition| condition.status.as_str());
            let count = (event.count > 1).then_some(event.count);
            let again = event.again.then_some(true);
            let fields = (!event.fields.is_empty()).then(|| event.fields.to_string());
            macro_rules! line {
                ($level:ident) => {
                    tracing::$level!(
                        source = &*status.source,
                        reason = &*event.reason,
                        severity = event.severity.as_str(),
                        at = %event.timestamp,
                        condition,
                        status = state,
                        count,
                        again,
                        fields,
                        text = event.message,
                        "problem"
                    )
                };
            }
            match event.severity {
                Severity::Warn => line!(warn),
                Severity::Info => line!(info),
            }
        }
    }
}
