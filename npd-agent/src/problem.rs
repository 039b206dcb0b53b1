//! What npd reports about a node: statuses, events and conditions, as plain data.
//!
//! The shapes and their JSON names are node-problem-detector's. A [`Status`] is what a monitor hands to the
//! exporters; nothing in here knows where it came from or where it goes.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What a monitor reports at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Which monitor it is from: the path of its config file, since names need not be unique.
    #[serde(skip)]
    pub monitor: Arc<str>,
    /// The monitor's name, for example `kernel-monitor`; used as the component of its events.
    pub source: Arc<str>,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// All conditions of the monitor as they are now, not only the changed ones.
    pub conditions: Vec<Condition>,
    /// Whether `problem_counter` and `problem_gauge` count it (`metricsReporting` of the monitor's config).
    #[serde(skip)]
    pub metrics: bool,
}

/// One occurrence of a problem or of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// How bad it is.
    pub severity: Severity,
    /// When it happened: the time of the first log record of the match, not of its report.
    pub timestamp: Timestamp,
    /// The rule's reason, a CamelCase word such as `OOMKilling`.
    pub reason: Arc<str>,
    /// The text for people.
    pub message: String,
    /// The number of occurrences it reports; more than one if repeats were folded.
    #[serde(skip_serializing_if = "is_one")]
    pub count: u64,
    /// Whether it may have been reported before: the agent was killed while reporting it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// Identifies the occurrence, also if it is reported again after a restart; `None` if the record cannot be read
    /// again.
    #[serde(skip)]
    pub id: Option<u64>,
    /// The rule that matched, as a JSON pointer into the monitor's config.
    #[serde(skip)]
    pub rule: Option<Arc<str>>,
    /// The type of the condition whose change this event announces, if any.
    #[serde(skip)]
    pub condition: Option<Arc<str>>,
    /// Structured facts beyond the text, such as `pid`, `comm` or `dev`; empty for plain log lines.
    #[serde(skip_serializing_if = "Fields::is_empty")]
    pub fields: Fields,
}

/// The severity of an [`Event`]: Kubernetes' Normal and Warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something got better or is merely worth knowing.
    Info,
    /// Something is wrong.
    Warn,
}

/// A lasting state of the node, such as `KernelDeadlock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The NodeCondition's type.
    #[serde(rename = "type")]
    pub kind: Arc<str>,
    /// Whether the node has the problem.
    pub status: ConditionStatus,
    /// When `status` or `reason` last changed.
    pub transition: Timestamp,
    /// Why, in one CamelCase word.
    pub reason: Arc<str>,
    /// Why, for people.
    pub message: String,
}

/// Whether a condition holds. `True` means that the node has the problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// The node has the problem.
    True,
    /// The node does not have the problem.
    False,
    /// Whether the node has the problem is unknown.
    Unknown,
}

/// Structured facts that accompany a text: a short list of `name=value`, names unique, in the order in which they were
/// added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(Cow<'static, str>, String)>);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(count: &u64) -> bool {
    *count == 1
}

/// What a monitor can report, known before it reports anything. A later declaration of the same monitor replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Which monitor it is, as in its [`Status`].
    pub monitor: Arc<str>,
    /// The types of its conditions.
    pub conditions: Vec<Arc<str>>,
    /// What metrics count for it. Each metric starts at zero.
    pub counted: Counted,
}

/// What metrics count for a monitor; empty if its config disables that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// All reasons.
    pub reasons: Vec<Arc<str>>,
    /// Condition types with the reasons that make them True.
    pub conditions: Vec<(Arc<str>, Arc<str>)>,
}

// === impl Status ===

impl Status {
    /// The conditions of this status that a later one of the same monitor no longer has, because its config was
    /// changed: they are Unknown now. `None` if there are none.
    #[must_use]
    pub fn no_longer_watched(self, now: &Self) -> Option<Self> {
        let mut conditions = self.conditions;
        conditions.retain(|old| !now.conditions.iter().any(|new| new.kind == old.kind));
        for condition in &mut conditions {
            condition.status = ConditionStatus::Unknown;
        }
        (!conditions.is_empty()).then_some(Self { conditions, ..self })
    }
}

// === impl Event ===

impl Event {
    /// An event without further details.
    #[must_use]
    pub fn new(severity: Severity, timestamp: Timestamp, reason: Arc<str>, message: String) -> Self {
        Self {
            severity,
            timestamp,
            reason,
            message,
            count: 1,
            again: false,
            id: None,
            rule: None,
            condition: None,
            fields: Fields::none(),
        }
    }
}

// === impl ConditionStatus ===

impl ConditionStatus {
    /// The word the Kubernetes API uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl std::fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Severity ===

impl Severity {
    /// node-problem-detector's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
        }
    }
}

// === impl Fields ===

impl Fields {
    /// No facts.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds a fact. If the name exists already, its first value is kept.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let name = name.into();
        if self.get(&name).is_none() {
            self.0.push((name, value.into()));
        }
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Whether there are no facts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All facts, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (&**n, v.as_str()))
    }

    /// Adds those facts of `other` whose names are new.
    pub fn merge(&mut self, other: Fields) {
        for (name, value) in other.0 {
            self.add(name, value);
        }
    }
}

impl std::fmt::Display for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{name}={value}")?;
        }
        Ok(())
    }
}

impl Serialize for Fields {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_has_the_json_names_of_node_problem_detector() {
        let condition = Condition {
            kind: "KernelDeadlock".into(),
            status: ConditionStatus::True,
            transition: Timestamp::from_unix_nanos(1_764_000_000_123_456_789),
            reason: "DockerHung".into(),
            message: "task docker:7".into(),
        };
        assert_eq!(
            serde_json::to_string(&condition).unwrap(),
            r#"{"type":"KernelDeadlock","status":"True","transition":"2025-11-24T16:00:00.123456789Z","reason":"DockerHung","message":"task docker:7"}"#
        );
    }

    #[test]
    fn the_first_value_of_a_field_stays() {
        let mut fields = Fields::default();
        fields.add("pid", "7");
        fields.add("pid", "8");
        fields.add("comm", "x");
        assert_eq!(fields.to_string(), "pid=7 comm=x");
    }
}
