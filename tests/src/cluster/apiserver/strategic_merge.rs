//! Kubernetes' strategic merge patch.
//!
//! It follows `k8s.io/apimachinery/pkg/util/strategicpatch`: maps merge, `null` deletes, lists with a merge key merge
//! item by item, all other lists are replaced. Not in here, because no object of ours has them: merged lists of
//! scalars (`finalizers`), `$deleteFromPrimitiveList` and `$retainKeys`.

use std::cmp::Ordering;

use serde_json::{Map, Value};
use thiserror::Error;

use super::schema::Shape;

/// Why a patch cannot be applied; the API server's words.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum PatchError {
    /// `$patch` says something that does not exist.
    #[error("unknown patch type found: {0}")]
    UnknownDirective(String),
    /// An item of a list that is merged by key has no key.
    #[error("map: {item} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The item.
        item: Value,
        /// The key.
        key: &'static str,
    },
    /// A list was to be merged with something else.
    #[error("expected a list of objects, but found {0}")]
    NoListOfObjects(Value),
}

const DIRECTIVE: &str = "$patch";
const SET_ORDER: &str = "$setElementOrder/";

/// The object after the patch.
///
/// # Errors
///
/// When the patch is no strategic merge patch; the object is as it was then.
pub(super) fn apply(shape: &Shape, original: &Value, patch: &Value) -> Result<Value, PatchError> {
    match (original, patch) {
        (Value::Object(original), Value::Object(patch)) => apply_to_object(shape, original, patch),
        (_, Value::Object(patch)) => apply_to_object(shape, &Map::new(), patch),
        _ => Ok(patch.clone()),
    }
}

fn apply_to_object(
    shape: &Shape,
    original: &Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Value, PatchError> {
    match patch.get(DIRECTIVE).map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => {
            let mut patch = patch.clone();
            patch.remove(DIRECTIVE);
            return Ok(Value::Object(patch));
        }
        Some("delete") => return Ok(Value::Object(Map::new())),
        Some(other) => return Err(PatchError::UnknownDirective(other.to_owned())),
    }
    let mut merged = original.clone();
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        let before = original.get(name);
        let after = match (shape.field(name), value) {
            (_, Value::Null) => {
                merged.remove(name);
                continue;
            }
            (Shape::Keyed(key, item), Value::Array(items)) => {
                let before = objects(before)?;
                Value::Array(merge_list(key, item, before, items, order(patch, name))?)
            }
            (Shape::Keyed(..), other) => return Err(PatchError::NoListOfObjects(other.clone())),
            (shape, value) => apply(shape, before.unwrap_or(&Value::Null), value)?,
        };
        merged.insert(name.clone(), after);
    }
    // An order alone re-orders what is there.
    for (directive, list) in patch {
        let Some(name) = directive.strip_prefix(SET_ORDER) else { continue };
        if let (Shape::Keyed(key, item), false) = (shape.field(name), patch.contains_key(name)) {
            let before = objects(original.get(name))?;
            merged.insert(name.to_owned(), Value::Array(merge_list(key, item, before, &[], list.as_array())?));
        }
    }
    Ok(Value::Object(merged))
}

fn objects(list: Option<&Value>) -> Result<&[Value], PatchError> {
    match list {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(PatchError::NoListOfObjects(other.clone())),
    }
}

fn order<'p>(patch: &'p Map<String, Value>, name: &str) -> Option<&'p Vec<Value>> {
    patch.get(&format!("{SET_ORDER}{name}"))?.as_array()
}

fn merge_list(
    key: &'static str,
    shape: &Shape,
    original: &[Value],
    patch: &[Value],
    order: Option<&Vec<Value>>,
) -> Result<Vec<Value>, PatchError> {
    let mut merged = original.to_vec();
    let mut replaced = false;
    let mut changes = Vec::new();
    for item in patch {
        match item.get(DIRECTIVE).map(|directive| directive.as_str().unwrap_or_default()) {
            None | Some("merge") => changes.push(item),
            Some("delete") => {
                let deleted = key_of(key, item)?;
                merged.retain(|item| item.get(key) != Some(deleted));
            }
            Some("replace") => replaced = true,
            Some(other) => return Err(PatchError::UnknownDirective(other.to_owned())),
        }
    }
    if replaced {
        return Ok(changes.into_iter().cloned().collect());
    }
    for change in &changes {
        let wanted = key_of(key, change)?;
        match merged.iter_mut().find(|item| item.get(key) == Some(wanted)) {
            Some(item) => *item = apply(shape, item, change)?,
            None => merged.push(apply(shape, &Value::Null, change)?),
        }
    }
    let order: Vec<&Value> = match order {
        Some(order) => order.iter().filter_map(|item| item.get(key)).collect(),
        None => changes.iter().filter_map(|item| item.get(key)).collect(),
    };
    let live: Vec<&Value> = original.iter().filter_map(|item| item.get(key)).collect();
    Ok(in_order(key, merged, &order, &live))
}

fn key_of<'v>(key: &'static str, item: &'v Value) -> Result<&'v Value, PatchError> {
    item.get(key).ok_or_else(|| PatchError::NoMergeKey { item: item.clone(), key })
}

/// What the patch names comes in the patch's order. All else keeps its order and is put before the first named item
/// that stood behind it; so a patch that names conditions in another order re-orders the Node's list.
fn in_order(key: &str, merged: Vec<Value>, order: &[&Value], live: &[&Value]) -> Vec<Value> {
    let place = |list: &[&Value], item: &Value| {
        let wanted = item.get(key)?;
        list.iter().position(|listed| *listed == wanted)
    };
    let (mut named, others): (Vec<_>, Vec<_>) = merged.into_iter().partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    let mut all = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    for other in others {
        let stands = place(live, &other);
        while let Some(next) = named.next_if(|next| {
            let behind = place(live, next).is_some_and(|next| Some(next).cmp(&stands) == Ordering::Greater);
            !behind
        }) {
            all.push(next);
        }
        all.push(other);
    }
    all.extend(named);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::schema::NODE, *};

    fn patched(conditions: &Value, patch: &Value) -> Value {
        let node = json!({"status": {"conditions": conditions}});
        apply(&NODE, &node, &json!({"status": patch})).unwrap()["status"]["conditions"].clone()
    }

    #[test]
    fn conditions_merge_by_type() {
        let before = json!([{"type": "A", "status": "True", "reason": "r"}, {"type": "B", "status": "True"}]);
        let after = patched(&before, &json!({"conditions": [{"type": "A", "status": "False"}, {"type": "C"}]}));
        assert_eq!(
            after,
            json!([{"type": "A", "status": "False", "reason": "r"}, {"type": "C"}, {"type": "B", "status": "True"}]),
            "B stood behind A, but C is in the patch's order behind A as well"
        );
    }

    #[test]
    fn a_delete_directive_removes_the_item_and_nothing_else() {
        let before = json!([{"type": "A"}, {"type": "B"}]);
        assert_eq!(
            patched(&before, &json!({"conditions": [{"$patch": "delete", "type": "A"}]})),
            json!([{"type": "B"}])
        );
        assert_eq!(patched(&before, &json!({"conditions": [{"$patch": "delete", "type": "C"}]})), before);
    }

    #[test]
    fn a_replace_directive_replaces_the_list() {
        let after = patched(&json!([{"type": "A"}]), &json!({"conditions": [{"$patch": "replace"}, {"type": "B"}]}));
        assert_eq!(after, json!([{"type": "B"}]));
    }

    #[test]
    fn the_set_order_is_the_order() {
        let before = json!([{"type": "A"}, {"type": "B"}]);
        let order = json!([{"type": "B"}, {"type": "A"}]);
        assert_eq!(
            patched(&before, &json!({"$setElementOrder/conditions": order})),
            json!([{"type": "B"}, {"type": "A"}])
        );
        let new = json!({"$setElementOrder/conditions": [{"type": "C"}, {"type": "A"}], "conditions": [{"type": "C"}]});
        assert_eq!(patched(&before, &new), json!([{"type": "C"}, {"type": "A"}, {"type": "B"}]));
    }

    #[test]
    fn what_the_patch_does_not_name_keeps_its_place() {
        let before = json!([{"type": "A"}, {"type": "B"}, {"type": "C"}]);
        assert_eq!(patched(&before, &json!({"conditions": [{"type": "B"}]})), before);
    }

    #[test]
    fn null_deletes_and_maps_merge() {
        let node = json!({"metadata": {"annotations": {"a": "1", "b": "2"}}});
        let patch = json!({"metadata": {"annotations": {"a": null, "c": "3"}, "labels": {"d": null, "e": "4"}}});
        assert_eq!(
            apply(&NODE, &node, &patch).unwrap(),
            json!({"metadata": {"annotations": {"b": "2", "c": "3"}, "labels": {"e": "4"}}})
        );
    }

    #[test]
    fn an_item_without_its_key_and_an_unknown_directive_are_refused() {
        let refused =
            |item: Value| apply(&NODE, &json!({}), &json!({"status": {"conditions": [item]}})).unwrap_err().to_string();
        assert_eq!(
            refused(json!({"status": "True"})),
            r#"map: {"status":"True"} does not contain declared merge key: type"#
        );
        assert_eq!(refused(json!({"$patch": "forget"})), "unknown patch type found: forget");
    }
}
