//! The parts of the Node object that the agent reads.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::time::Timestamp;

/// The annotation that names npd's condition types, separated by commas: a type that it names and that is no longer
/// configured can be removed.
pub(crate) const OWNED: &str = "npd-agent/condition-types";

/// What is read from a Node; everything else, such as its list of images, is skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct NodeObject {
    pub(crate) metadata: NodeMetadata,
    pub(crate) status: NodeStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct NodeMetadata {
    pub(crate) uid: String,
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct NodeStatus {
    pub(crate) conditions: Vec<KnownCondition>,
}

/// A condition as the Node has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct KnownCondition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) last_transition_time: Option<Timestamp>,
}

// === impl NodeObject ===

impl NodeObject {
    /// The condition types that are npd's.
    pub(crate) fn owned(&self) -> impl Iterator<Item = &str> {
        let types = self.metadata.annotations.get(OWNED).map(String::as_str).unwrap_or_default();
        types.split(',').filter(|kind| !kind.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read_with_all_that_it_lacks() {
        let node: NodeObject = serde_json::from_str(
            r#"{"kind":"Node","metadata":{"uid":"u","annotations":{"npd-agent/condition-types":"A,B"}},
                "spec":{},"status":{"images":[{"names":["x"]}],"conditions":[
                  {"type":"A","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-11-24T10:00:00Z"},
                  {"type":"B","status":"False","lastTransitionTime":null}]}}"#,
        )
        .unwrap();
        assert_eq!(node.owned().collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(node.status.conditions[0].last_transition_time.unwrap().to_string(), "2026-11-24T10:00:00Z");
        assert_eq!(node.status.conditions[1].last_transition_time, None);
        assert_eq!(serde_json::from_str::<NodeObject>("{}").unwrap().owned().count(), 0);
    }
}
