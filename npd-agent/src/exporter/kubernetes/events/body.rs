//! The bodies of requests about Events, within the limits of the API.

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};

use super::{
    MESSAGE_MAX,
    series::{EventRequest, Object},
};
use crate::{
    exporter::kubernetes::api::{pods::PodName, seconds},
    problem::Severity,
    text::shorten,
};

/// The API's limit for the reason, component and instance of an Event, in bytes.
const WORD_MAX: usize = 128;
/// The API's limit for the name of an object.
const NAME_MAX: usize = 253;

/// The object that an Event is about, as the API server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// Empty if it is not known.
    pub(crate) uid: String,
    /// A Node has one only if the user has set one.
    pub(crate) namespace: Option<String>,
}

/// The name of an Event: `<node>.<16 hexadecimal digits>`, as client-go names them.
pub(crate) fn event_name(node: &str, id: u64) -> String {
    let end = node.floor_char_boundary(NAME_MAX - 17);
    let node = node.get(..end).unwrap_or_default().trim_end_matches(['.', '-']);
    format!("{node}.{id:016x}")
}

/// The message, followed by the pod and container that it comes from as far as they are known.
pub(crate) fn message(request: &EventRequest, pod: Option<&PodName>) -> String {
    let pod = match (request.object, pod, &request.pod) {
        // The Event is shown at the pod itself.
        (Object::Pod, ..) | (_, None, None) => None,
        (_, Some(PodName { namespace, name, .. }), _) => Some(format!("pod {namespace}/{name}")),
        (_, None, Some(uid)) => Some(format!("pod uid {uid}")),
    };
    let container = request.container.as_ref().map(|id| format!("container {id}"));
    let origin = [pod, container].into_iter().flatten().collect::<Vec<_>>().join(", ");
    if origin.is_empty() {
        return shorten(&request.message, MESSAGE_MAX).into_owned();
    }
    let room = MESSAGE_MAX.saturating_sub(origin.len() + " ()".len());
    format!("{} ({origin})", shorten(&request.message, room))
}

/// The Event to be created.
pub(crate) fn event(request: &EventRequest, node: &str, namespace: &str, subject: Subject, message: String) -> Event {
    let word = |text: &str| shorten(text, WORD_MAX).into_owned();
    Event {
        metadata: ObjectMeta {
            name: Some(event_name(node, request.id)),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(subject.kind.to_owned()),
            name: Some(subject.name),
            namespace: subject.namespace,
            uid: Some(subject.uid).filter(|uid| !uid.is_empty()),
            ..ObjectReference::default()
        },
        reason: Some(word(&request.reason)),
        message: Some(message),
        type_: Some(match request.severity {
            Severity::Info => "Normal".to_owned(),
            Severity::Warn => "Warning".to_owned(),
        }),
        source: Some(EventSource { component: Some(request.source.to_string()), host: Some(node.to_owned()) }),
        reporting_component: Some(word(&request.source)),
        reporting_instance: Some(word(node)),
        count: Some(count(request.count)),
        first_timestamp: Some(Time(seconds(request.first))),
        last_timestamp: Some(Time(seconds(request.last))),
        ..Event::default()
    }
}

/// The patch of an Event that was created before.
pub(crate) fn event_patch(request: &EventRequest, message: &str) -> serde_json::Value {
    serde_json::json!({ "count": count(request.count), "lastTimestamp": Time(seconds(request.last)), "message": message })
}

fn count(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_node_name_gives_a_name_that_is_allowed() {
        assert_eq!(event_name("node-a", 0xab), "node-a.00000000000000ab");
        let name = event_name(&format!("{}.{}", "a".repeat(235), "b".repeat(17)), u64::MAX);
        assert!(name.len() <= NAME_MAX, "{}", name.len());
        assert!(!name.contains(".."), "{name}");
    }
}
