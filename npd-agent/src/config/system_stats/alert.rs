//! One alert of a file, checked.

use super::{Alert, Bound, Effect, raw::RawAlert};
use crate::{
    config::{
        decode::Field,
        report::{Findings, KnownNames, Problem},
        system_log::{
            Conditions,
            rule::{check_label, check_span},
        },
    },
    go::json::Value,
    metric::Metric,
};

/// What an alert is checked against.
pub(super) struct Context<'a, 'd> {
    pub(super) conditions: &'a Conditions<'d>,
    pub(super) metrics_reporting: bool,
}

pub(super) fn check<'d>(
    metric: &Metric,
    at: Value<'d>,
    raw: &RawAlert<'d>,
    context: &Context<'_, 'd>,
    findings: &mut Findings,
) -> Option<Alert> {
    let bound = match (&raw.above.0, &raw.below.0) {
        (Field::Present { value, .. }, Field::Absent) => Some(Bound::Above(*value)),
        (Field::Absent, Field::Present { value, .. }) => Some(Bound::Below(*value)),
        (Field::Refused, _) | (_, Field::Refused) => None,
        _ => {
            findings.error(at, Problem::AlertBound);
            None
        }
    };
    if context.metrics_reporting {
        check_label(&raw.reason, at, findings);
        check_label(&raw.condition, at, findings);
    }
    if raw.reason.get() == Some("") {
        findings.error(raw.reason.at(at), Problem::AlertReason);
    }
    let effect = effect(raw, at, context.conditions, findings);
    let hold = check_span(&raw.hold, at, findings).unwrap_or_default();
    let mut labels = Vec::new();
    for (name, (value, at)) in &raw.labels.entries {
        match metric.labels.iter().position(|label| label == name) {
            Some(index) => labels.push((index, Box::from(*value))),
            None => findings.error(
                *at,
                Problem::UnknownLabel {
                    name: (*name).to_owned(),
                    metric: metric.id,
                    known: KnownNames::new(metric.labels.iter().copied()),
                },
            ),
        }
    }
    labels.sort_unstable();
    let pointer = at.pointer().into();
    Some(Alert { bound: bound?, hold, labels, effect: effect?, reason: raw.reason.get()?.into(), pointer })
}

fn effect<'d>(
    raw: &RawAlert<'d>,
    at: Value<'d>,
    conditions: &Conditions<'_>,
    findings: &mut Findings,
) -> Option<Effect> {
    match raw.kind.get()? {
        "temporary" => Some(Effect::Temporary),
        "permanent" => {
            let condition = raw.condition.get()?;
            if let Some(declaration) = conditions.by_kind.get(condition) {
                return Some(Effect::Permanent { condition: declaration.index });
            }
            if conditions.complete {
                let declared = KnownNames::new(conditions.definitions.iter().map(|definition| &*definition.kind));
                let (rule, condition) = ("permanent".to_owned(), condition.to_owned());
                findings.error(raw.condition.at(at), Problem::ConditionUndeclared { rule, condition, declared });
            }
            None
        }
        other => {
            let problem = Problem::value(format!("type \"{other}\""), "\"temporary\" and \"permanent\"");
            findings.error(raw.kind.at(at), problem);
            None
        }
    }
}
