//! The shapes of the objects, as far as they decide what is stored.
//!
//! Kubernetes decodes JSON into Go structs: fields it does not know are dropped, wrong types are refused, `null` is
//! the same as absent, and a `metav1.Time` keeps no fractions of a second. The same shapes say which lists a strategic
//! merge patch merges by key: `patchStrategy` and `patchMergeKey` in the Go types.

use jiff::{Timestamp, TimestampRound, Unit, fmt::temporal::DateTimePrinter};
use serde_json::{Map, Value};
use thiserror::Error;

/// What may stand at a place.
#[derive(Debug)]
pub(super) enum Shape {
    /// Anything; merged as maps, and lists are replaced.
    Any,
    /// A text.
    Text,
    /// A whole number of 32 bits.
    Whole,
    /// RFC 3339, kept with whole seconds.
    Time,
    /// RFC 3339, kept with microseconds.
    MicroTime,
    /// An object of which other fields are dropped.
    Closed(&'static [(&'static str, Shape)]),
    /// An object of which other fields are kept as they are.
    Open(&'static [(&'static str, Shape)]),
    /// A list of objects that are known by this field and merged by it.
    Keyed(&'static str, &'static Shape),
    /// An object of texts.
    Texts,
}

/// Why a value does not fit.
#[derive(Debug, Error)]
#[error("{pointer}: this is {found}, it must be {wanted}")]
pub(super) struct Misfit {
    pointer: String,
    found: String,
    wanted: &'static str,
}

const META: Shape = Shape::Open(&[
    ("name", Shape::Text),
    ("namespace", Shape::Text),
    ("uid", Shape::Text),
    ("resourceVersion", Shape::Text),
    ("creationTimestamp", Shape::Time),
    ("labels", Shape::Texts),
    ("annotations", Shape::Texts),
    ("ownerReferences", Shape::Keyed("uid", &Shape::Any)),
]);

const CONDITION: Shape = Shape::Closed(&[
    ("type", Shape::Text),
    ("status", Shape::Text),
    ("lastHeartbeatTime", Shape::Time),
    ("lastTransitionTime", Shape::Time),
    ("reason", Shape::Text),
    ("message", Shape::Text),
]);

const REFERENCE: Shape = Shape::Closed(&[
    ("kind", Shape::Text),
    ("namespace", Shape::Text),
    ("name", Shape::Text),
    ("uid", Shape::Text),
    ("apiVersion", Shape::Text),
    ("resourceVersion", Shape::Text),
    ("fieldPath", Shape::Text),
]);

/// A Node.
pub(super) const NODE: Shape = Shape::Closed(&[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("metadata", META),
    ("spec", Shape::Any),
    (
        "status",
        Shape::Open(&[
            ("conditions", Shape::Keyed("type", &CONDITION)),
            ("addresses", Shape::Keyed("type", &Shape::Any)),
        ]),
    ),
]);

/// An Event of core/v1.
pub(super) const EVENT: Shape = Shape::Closed(&[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("metadata", META),
    ("involvedObject", REFERENCE),
    ("reason", Shape::Text),
    ("message", Shape::Text),
    ("source", Shape::Closed(&[("component", Shape::Text), ("host", Shape::Text)])),
    ("firstTimestamp", Shape::Time),
    ("lastTimestamp", Shape::Time),
    ("count", Shape::Whole),
    ("type", Shape::Text),
    ("eventTime", Shape::MicroTime),
    ("series", Shape::Closed(&[("count", Shape::Whole), ("lastObservedTime", Shape::MicroTime)])),
    ("action", Shape::Text),
    ("related", REFERENCE),
    ("reportingComponent", Shape::Text),
    ("reportingInstance", Shape::Text),
]);

/// A Namespace or a Pod: of these only the names and places matter here.
pub(super) const OTHER: Shape = Shape::Open(&[("metadata", META)]);

// === impl Shape ===

impl Shape {
    /// What Kubernetes keeps of a value.
    ///
    /// # Errors
    ///
    /// When a type or a time is wrong.
    pub(super) fn decode(&self, value: &Value) -> Result<Value, Misfit> {
        self.decode_at("", value)
    }

    /// The shape of a field.
    #[must_use]
    pub(super) fn field(&self, name: &str) -> &Self {
        match self {
            Self::Closed(fields) | Self::Open(fields) => {
                fields.iter().find(|(known, _)| *known == name).map_or(&Self::Any, |(_, shape)| shape)
            }
            _ => &Self::Any,
        }
    }

    fn decode_at(&self, pointer: &str, value: &Value) -> Result<Value, Misfit> {
        let misfit = |wanted| Err(Misfit { pointer: pointer.to_owned(), found: value.to_string(), wanted });
        match (self, value) {
            (Self::Any, _) | (Self::Text, Value::String(_)) => Ok(value.clone()),
            (Self::Whole, Value::Number(number)) => {
                if number.as_i64().and_then(|number| i32::try_from(number).ok()).is_some() {
                    Ok(value.clone())
                } else {
                    misfit("a whole number of 32 bits")
                }
            }
            (Self::Time, Value::String(text)) => match rounded(text, Unit::Second) {
                Some(time) => Ok(print(time, 0)),
                None => misfit("a time such as 2026-11-24T12:00:00Z"),
            },
            (Self::MicroTime, Value::String(text)) => match rounded(text, Unit::Microsecond) {
                Some(time) => Ok(print(time, 6)),
                None => misfit("a time such as 2026-11-24T12:00:00.000000Z"),
            },
            (Self::Closed(_) | Self::Open(_) | Self::Texts, Value::Object(object)) => {
                self.decode_object(pointer, object)
            }
            (Self::Keyed(_, item), Value::Array(items)) => {
                let items = items.iter().enumerate();
                items.map(|(index, value)| item.decode_at(&format!("{pointer}/{index}"), value)).collect()
            }
            (Self::Text, _) => misfit("a string"),
            (Self::Whole, _) => misfit("a number"),
            (Self::Time | Self::MicroTime, _) => misfit("a string with a time"),
            (Self::Closed(_) | Self::Open(_) | Self::Texts, _) => misfit("an object"),
            (Self::Keyed(..), _) => misfit("a list"),
        }
    }

    fn decode_object(&self, pointer: &str, object: &Map<String, Value>) -> Result<Value, Misfit> {
        let mut kept = Map::new();
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            let shape = match self {
                Self::Closed(fields) if !fields.iter().any(|(known, _)| known == name) => continue,
                Self::Texts => &Self::Text,
                _ => self.field(name),
            };
            kept.insert(name.clone(), shape.decode_at(&format!("{pointer}/{name}"), value)?);
        }
        Ok(Value::Object(kept))
    }
}

/// A time as Kubernetes writes it: whole seconds, UTC.
#[must_use]
pub(super) fn time(at: Timestamp) -> Value {
    print(at, 0)
}

fn rounded(text: &str, unit: Unit) -> Option<Timestamp> {
    let time: Timestamp = text.parse().ok()?;
    time.round(TimestampRound::new().smallest(unit).mode(jiff::RoundMode::Trunc)).ok()
}

fn print(at: Timestamp, digits: u8) -> Value {
    DateTimePrinter::new().precision(Some(digits)).timestamp_to_string(&at).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_and_fractions_of_seconds_are_not_kept() {
        let condition = json!({"type": "Ready", "severity": "high", "lastHeartbeatTime": "2026-11-24T13:00:00.9+01:00", "reason": null});
        assert_eq!(
            CONDITION.decode(&condition).unwrap(),
            json!({"type": "Ready", "lastHeartbeatTime": "2026-11-24T12:00:00Z"})
        );
        let event = json!({"eventTime": "2026-11-24T12:00:00.1234567Z"});
        assert_eq!(EVENT.decode(&event).unwrap(), json!({"eventTime": "2026-11-24T12:00:00.123456Z"}));
    }

    #[test]
    fn a_wrong_type_is_told_with_its_place() {
        let node = json!({"status": {"conditions": [{"type": "Ready"}, {"message": 7}]}});
        assert_eq!(
            NODE.decode(&node).unwrap_err().to_string(),
            "/status/conditions/1/message: this is 7, it must be a string"
        );
    }
}
