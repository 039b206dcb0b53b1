//! The Node as far as the agent has to do with it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::time::Timestamp;

/// The annotation that says which condition types are ours, separated by commas: what is in it and no longer configured
/// can be removed.
pub(super) const OWNED: &str = "npd-agent/condition-types";

/// What is read of a Node; all else of it, such as its list of images, is passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct NodeObject {
    pub(super) metadata: NodeMetadata,
    pub(super) status: NodeStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct NodeMetadata {
    pub(super) uid: String,
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus {
    pub(super) conditions: Vec<KnownCondition>,
}

/// A condition as the Node has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct KnownCondition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) last_transition_time: Option<Timestamp>,
}

// === impl NodeObject ===

impl NodeObject {
    /// The condition types that are ours.
    pub(super) fn owned(&self) -> impl Iterator<Item = &str> {
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
