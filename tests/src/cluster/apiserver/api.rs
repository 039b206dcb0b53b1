//! From a request to the store and back: the handlers of core/v1. Pure.

use serde_json::{Value, json};

use super::{
    failure::Failure,
    request::Request,
    request_info::RequestInfo,
    selector::FieldSelector,
    store::{Birth, Key, Page, Resource, Store},
};

const PATCH_TYPE: &str = "application/strategic-merge-patch+json";
const METADATA_ONLY: &str = "as=PartialObjectMetadataList";

/// Serves a request that may be served: the status code and the object.
///
/// # Errors
///
/// As the API server.
pub(super) fn serve(
    store: &mut Store,
    info: Option<&RequestInfo>,
    request: &Request,
    birth: &Birth,
) -> Result<(u16, Value), Failure> {
    let Some(info) = info else { return outside(request) };
    if !request.query("dryRun").is_empty() {
        return Err(Failure::new(400, "the stand-in has no dry run"));
    }
    let key = Key::new(info.resource, &info.namespace, &info.name);
    match (info.verb, info.resource, info.subresource.as_str()) {
        ("get", _, "") => Ok((200, store.get(&key)?.clone())),
        ("list", resource, "") => Ok((200, list(store, resource, info, request)?)),
        ("create", resource, "") => {
            let body = body(request, "application/json")?;
            Ok((201, store.create(resource, &info.namespace, &body, birth)?))
        }
        ("patch", Resource::Nodes, "" | "status") | ("patch", Resource::Events, "") => {
            let patch = body(request, PATCH_TYPE)?;
            Ok((200, store.patch(&key, info.subresource == "status", &patch)?))
        }
        ("delete", _, "") => {
            let uid = store.delete(&key)?["metadata"]["uid"].clone();
            let details = json!({"name": info.name, "kind": info.resource.plural(), "uid": uid});
            let done = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
            });
            Ok((200, done))
        }
        (verb, ..) => Err(Failure::new(405, format!("the stand-in does not {verb} {}", info.resource_word()))),
    }
}

/// What a client may ask for before it asks for objects.
fn outside(request: &Request) -> Result<(u16, Value), Failure> {
    match request.path.as_str() {
        "/version" => {
            Ok((200, json!({"major": "1", "minor": "37", "gitVersion": "v1.37.0", "platform": "linux/amd64"})))
        }
        _ => Err(Failure::new(404, "the server could not find the requested resource")),
    }
}

fn list(store: &Store, resource: Resource, info: &RequestInfo, request: &Request) -> Result<Value, Failure> {
    if !request.query("watch").is_empty() || !request.query("labelSelector").is_empty() {
        return Err(Failure::new(405, "the stand-in neither watches nor selects by labels"));
    }
    let selector = FieldSelector::parse(resource, request.query("fieldSelector"))?;
    let limit = match request.query("limit") {
        "" | "0" => None,
        text => Some(text.parse().map_err(|error| Failure::new(400, format!("limit {text:?}: {error}")))?),
    };
    let Page { mut items, next } =
        store.list(resource, &info.namespace, &selector, limit, request.query("continue"))?;
    let metadata_only = request.header("accept").contains(METADATA_ONLY);
    let (version, kind) = if metadata_only {
        for item in &mut items {
            *item = json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": item["metadata"],
            });
        }
        ("meta.k8s.io/v1", "PartialObjectMetadataList".to_owned())
    } else {
        // The items of a list do not say what they are; the list does.
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.remove("apiVersion");
            item.remove("kind");
        }
        ("v1", format!("{}List", resource.kind()))
    };
    let mut metadata = json!({"resourceVersion": store.version().to_string()});
    if !next.is_empty() {
        metadata["continue"] = next.into();
    }
    Ok(json!({"apiVersion": version, "kind": kind, "metadata": metadata, "items": items}))
}

fn body(request: &Request, wanted: &str) -> Result<Value, Failure> {
    let given = request.header("content-type").split(';').next().unwrap_or_default().trim();
    if given != wanted {
        return Err(Failure::new(
            415,
            format!("the body of the request was in an unknown format - accepted media types include: {wanted}"),
        ));
    }
    serde_json::from_slice(&request.body)
        .map_err(|error| Failure::new(400, format!("error decoding the body of the request: {error}")))
}
