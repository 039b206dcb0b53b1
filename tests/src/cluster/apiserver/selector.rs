//! `fieldSelector`: comparisons of single fields, all of which must hold.

use serde_json::Value;

use super::{failure::Failure, store::Resource};

/// A selector of one resource; without comparisons it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    comparisons: Vec<Comparison>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    field: String,
    equal: bool,
    value: String,
}

// === impl FieldSelector ===

impl FieldSelector {
    /// Reads `a=b,c==d,e!=f`.
    ///
    /// # Errors
    ///
    /// 400 for no comparison, and for a field by which the API server does not select this resource.
    pub fn parse(resource: Resource, text: &str) -> Result<Self, Failure> {
        let mut comparisons = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let split = [("!=", false), ("==", true), ("=", true)];
            let found = split.iter().find_map(|(sign, equal)| Some((part.split_once(sign)?, *equal)));
            let Some(((field, value), equal)) = found else {
                return Err(Failure::new(400, format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            let by_name = field == "metadata.name" || (field == "metadata.namespace" && resource.is_namespaced());
            if !by_name && !resource.selectable().contains(&field) {
                let plural = resource.plural();
                return Err(Failure::new(
                    400,
                    format!(
                        "Unable to find \"/v1, Resource={plural}\" that match label selector \"\", field selector \
                         \"{text}\": field label not supported: {field}"
                    ),
                ));
            }
            comparisons.push(Comparison { field: field.to_owned(), equal, value: value.to_owned() });
        }
        Ok(Self { comparisons })
    }

    /// Whether all comparisons hold.
    #[must_use]
    pub fn selects(&self, object: &Value) -> bool {
        self.comparisons.iter().all(|comparison| {
            // An Event's `source` is its component.
            let pointer = match comparison.field.as_str() {
                "source" => "/source/component".to_owned(),
                field => format!("/{}", field.replace('.', "/")),
            };
            let is = match object.pointer(&pointer) {
                Some(Value::String(text)) => *text == comparison.value,
                Some(other) => *other == comparison.value,
                None => comparison.value.is_empty(),
            };
            is == comparison.equal
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_comparisons_must_hold() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "node-a"}, "status": {"phase": "Running"}});
        let selects = |text| FieldSelector::parse(Resource::Pods, text).unwrap().selects(&pod);
        assert!(selects(""));
        assert!(selects("spec.nodeName=node-a"));
        assert!(selects("spec.nodeName==node-a,status.phase!=Failed"));
        assert!(selects("status.podIP="));
        assert!(!selects("spec.nodeName=node-a,status.phase!=Running"));
        assert!(!selects("spec.nodeName=node-b"));
    }

    #[test]
    fn pods_are_not_selected_by_uid() {
        let failure = FieldSelector::parse(Resource::Pods, "metadata.uid=x").unwrap_err();
        assert_eq!(failure.code, 400);
        assert!(failure.message.ends_with("field label not supported: metadata.uid"), "{}", failure.message);
        assert_eq!(FieldSelector::parse(Resource::Pods, "spec.nodeName").unwrap_err().code, 400);
    }

    #[test]
    fn an_event_is_selected_by_its_component() {
        let event = json!({"source": {"component": "kernel-monitor"}});
        assert!(FieldSelector::parse(Resource::Events, "source=kernel-monitor").unwrap().selects(&event));
    }
}
