//! What makes an object invalid: 422 with every cause.

use serde_json::Value;

use super::failure::Cause;

/// The longest name of an object.
const NAME_LIMIT: usize = 253;
/// `NoteLengthLimit` of Kubernetes.
const MESSAGE_LIMIT: usize = 1024;
/// `ReasonLengthLimit`, `ActionLengthLimit` and `ReportingInstanceLengthLimit` of Kubernetes.
const WORD_LIMIT: usize = 128;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                         and must start and end with an alphanumeric character";

/// The name of any object: a DNS-1123 subdomain. (Of an event of core/v1 Kubernetes asks only that it can stand in a
/// path; `events.k8s.io` asks for this.)
#[must_use]
pub(super) fn name(name: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if name.len() > NAME_LIMIT {
        causes.push(Cause::invalid("metadata.name", name, "must be no more than 253 characters"));
    }
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = |label: &str| {
        label.bytes().all(|byte| alphanumeric(byte) || byte == b'-')
            && label.bytes().next().is_some_and(alphanumeric)
            && label.bytes().next_back().is_some_and(alphanumeric)
    };
    if !name.split('.').all(label) {
        causes.push(Cause::invalid("metadata.name", name, SUBDOMAIN));
    }
    causes
}

/// An event in a namespace.
#[must_use]
pub(super) fn event(namespace: &str, event: &Value) -> Vec<Cause> {
    let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut causes = Vec::new();
    if event.get("involvedObject").is_none() {
        causes.push(Cause::required("involvedObject"));
    }
    let involved = text("/involvedObject/namespace");
    let new = event.get("eventTime").is_some();
    let fits = match involved {
        "" => namespace == "default" || (new && namespace == "kube-system"),
        _ => new || involved == namespace,
    };
    if !fits {
        causes.push(Cause::invalid("involvedObject.namespace", involved, "does not match event.namespace"));
    }
    if new {
        for field in ["reportingComponent", "reportingInstance", "action", "reason"] {
            if event.get(field).and_then(Value::as_str).unwrap_or_default().is_empty() {
                causes.push(Cause::required(field));
            }
        }
    }
    causes.extend(stricter(event));
    causes
}

/// The limits of events with an `eventTime`, held for all events. Kubernetes lets core/v1 events without one pass
/// whatever their length; `events.k8s.io/v1`, into which they may be converted, does not, and nobody wants to read
/// more. So an agent that is tested here keeps the limits anywhere.
fn stricter(event: &Value) -> Vec<Cause> {
    let text = |field| event.get(field).and_then(Value::as_str).unwrap_or_default();
    let mut causes = Vec::new();
    for (field, limit, why) in [
        ("message", MESSAGE_LIMIT, "can have at most 1024 characters"),
        ("reason", WORD_LIMIT, "can have at most 128 characters"),
        ("action", WORD_LIMIT, "can have at most 128 characters"),
        ("reportingInstance", WORD_LIMIT, "can have at most 128 characters"),
    ] {
        if text(field).len() > limit {
            causes.push(Cause::invalid(field, "", why));
        }
    }
    if event.get("eventTime").is_none()
        && !text("reportingComponent").is_empty()
        && text("reportingInstance").is_empty()
    {
        causes.push(Cause::required("reportingInstance"));
    }
    if let Some(count) = event.get("count").and_then(Value::as_i64).filter(|count| *count < 0) {
        causes.push(Cause::invalid("count", &count.to_string(), "must be greater than or equal to 0"));
    }
    causes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(namespace: &str, change: impl FnOnce(&mut Value)) -> Vec<&'static str> {
        let mut value = json!({"involvedObject": {"kind": "Node", "name": "node-a"}, "reason": "TaskHung"});
        change(&mut value);
        event(namespace, &value).iter().map(|cause| cause.field).collect()
    }

    #[test]
    fn a_node_event_belongs_into_default_or_names_its_namespace() {
        assert!(fields("default", |_| ()).is_empty());
        assert_eq!(fields("kube-system", |_| ()), ["involvedObject.namespace"]);
        let placed = |event: &mut Value| event["involvedObject"]["namespace"] = "kube-system".into();
        assert!(fields("kube-system", placed).is_empty());
        assert_eq!(fields("default", placed), ["involvedObject.namespace"]);
    }

    #[test]
    fn an_event_names_what_it_is_about() {
        assert_eq!(fields("default", |event| *event = json!({})), ["involvedObject"]);
    }

    #[test]
    fn texts_are_limited_in_bytes() {
        for (field, limit) in [("message", 1024), ("reason", 128)] {
            assert!(fields("default", |event| event[field] = "x".repeat(limit).into()).is_empty());
            assert_eq!(fields("default", |event| event[field] = "x".repeat(limit + 1).into()), [field]);
            // 2 bytes each
            assert_eq!(fields("default", |event| event[field] = "ä".repeat(limit / 2 + 1).into()), [field]);
        }
    }

    #[test]
    fn a_reporting_component_has_an_instance_and_a_count_is_not_negative() {
        assert_eq!(
            fields("default", |event| event["reportingComponent"] = "kernel-monitor".into()),
            ["reportingInstance"]
        );
        assert_eq!(fields("default", |event| event["count"] = (-1).into()), ["count"]);
    }

    #[test]
    fn an_event_with_an_event_time_needs_an_action_and_who_reports() {
        let causes = fields("default", |event| event["eventTime"] = "2026-11-24T12:00:00.000000Z".into());
        assert_eq!(causes, ["reportingComponent", "reportingInstance", "action"]);
    }

    #[test]
    fn a_name_is_a_subdomain() {
        for good in ["node-a", "node-a.18eaafc6cb314ab2", "1.2.3", &"x".repeat(253)] {
            assert!(name(good).is_empty(), "{good}");
        }
        for bad in ["", "Node", "a_b", "-a", "a-", "a..b", "a.", "a/b", "ä", &"x".repeat(254)] {
            assert!(!name(bad).is_empty(), "{bad}");
        }
    }
}
