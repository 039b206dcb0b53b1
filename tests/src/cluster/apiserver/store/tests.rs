use super::*;

fn birth() -> Birth {
    Birth { uid: "0f3c1a52-0000-4000-8000-000000000001".to_owned(), at: "2026-11-24T12:00:00Z".parse().unwrap() }
}

fn store() -> Store {
    let mut store = Store::new(birth);
    let node = json!({
        "metadata": {"name": "node-a", "labels": {"zone": "a"}},
        "spec": {"podCIDR": "10.0.0.0/24"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    store.create(Resource::Nodes, "", &node, &birth()).unwrap();
    store
}

fn node() -> Key {
    Key::cluster(Resource::Nodes, "node-a")
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

fn event(name: &str) -> Value {
    json!({"metadata": {"name": name}, "involvedObject": {"kind": "Node", "name": "node-a"}, "count": 1})
}

#[test]
fn a_status_patch_changes_status_and_metadata_but_not_the_spec() {
    let mut store = store();
    let patch = json!({
        "metadata": {"annotations": {"a": "b"}, "labels": {"zone": "b"}},
        "spec": {"podCIDR": "10.9.0.0/24"},
        "status": {"conditions": [{"type": "KernelDeadlock", "status": "False"}]},
    });
    let after = store.patch(&node(), true, &patch).unwrap();
    assert_eq!(after["spec"], json!({"podCIDR": "10.0.0.0/24"}));
    assert_eq!(after["metadata"]["annotations"], json!({"a": "b"}));
    assert_eq!(after["metadata"]["labels"], json!({"zone": "b"}));
    let types: Vec<_> = after["status"]["conditions"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(types, ["KernelDeadlock", "Ready"]);
}

#[test]
fn the_version_grows_only_with_a_change() {
    let mut store = store();
    let patch = json!({"status": {"conditions": [{"type": "X", "status": "True"}]}});
    let before = version(store.get(&node()).unwrap()).to_owned();
    let first = store.patch(&node(), true, &patch).unwrap();
    assert_ne!(version(&first), before);
    let second = store.patch(&node(), true, &patch).unwrap();
    assert_eq!(version(&second), version(&first));
}

#[test]
fn a_patch_of_another_version_or_uid_is_refused() {
    let mut store = store();
    let mut code = |meta: Value| store.patch(&node(), true, &json!({"metadata": meta})).map_err(|failure| failure.code);
    assert_eq!(code(json!({"resourceVersion": "1"})), Err(409));
    assert_eq!(code(json!({"uid": "another"})), Err(422));
    assert!(code(json!({"uid": birth().uid})).is_ok());
    let current = version(store.get(&node()).unwrap()).to_owned();
    assert!(store.patch(&node(), true, &json!({"metadata": {"resourceVersion": current}})).is_ok());
}

#[test]
fn a_patch_cannot_change_what_the_server_gives() {
    let mut store = store();
    let patch = json!({"metadata": {"creationTimestamp": "1970-01-01T00:00:00Z"}});
    let after = store.patch(&node(), true, &patch).unwrap();
    assert_eq!(after["metadata"]["creationTimestamp"], "2026-11-24T12:00:00Z");
}

#[test]
fn an_event_needs_its_namespace_and_a_free_name() {
    let mut store = store();
    let mut code = |namespace, name| {
        store
            .create(Resource::Events, namespace, &event(name), &birth())
            .map_err(|failure| (failure.code, failure.reason))
    };
    assert!(code("default", "a").is_ok());
    assert_eq!(code("default", "a").unwrap_err(), (409, "AlreadyExists"));
    assert_eq!(code("default", "A").unwrap_err(), (422, "Invalid"));
    assert_eq!(code("nowhere", "a").unwrap_err(), (404, "NotFound"));
}

#[test]
fn an_expired_event_cannot_be_patched() {
    let mut store = store();
    let key = Key::new(Resource::Events, "default", "a");
    store.create(Resource::Events, "default", &event("a"), &birth()).unwrap();
    assert_eq!(store.patch(&key, false, &json!({"count": 2})).unwrap()["count"], 2);
    assert_eq!(store.patch(&key, false, &json!({"count": -2})).unwrap_err().code, 422);
    store.delete(&key).unwrap();
    assert_eq!(store.patch(&key, false, &json!({"count": 3})).unwrap_err().code, 404);
}

#[test]
fn a_namespace_takes_its_events_with_it() {
    let mut store = store();
    store.create(Resource::Namespaces, "", &json!({"metadata": {"name": "mine"}}), &birth()).unwrap();
    let mut mine = event("a");
    mine["involvedObject"]["namespace"] = "mine".into();
    store.create(Resource::Events, "mine", &mine, &birth()).unwrap();
    store.delete(&Key::cluster(Resource::Namespaces, "mine")).unwrap();
    assert_eq!(store.all(Resource::Events).count(), 0);
    assert_eq!(store.delete(&Key::cluster(Resource::Namespaces, "default")).unwrap_err().code, 403);
}

#[test]
fn a_list_comes_in_pages() {
    let mut store = store();
    for name in ["a", "b", "c"] {
        store.create(Resource::Events, "default", &event(name), &birth()).unwrap();
    }
    let all = FieldSelector::default();
    let mut names = Vec::new();
    let mut from = String::new();
    let mut pages = 0;
    loop {
        let page = store.list(Resource::Events, "", &all, Some(2), &from).unwrap();
        names.extend(page.items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()));
        pages += 1;
        if page.next.is_empty() {
            break;
        }
        from = page.next;
    }
    assert_eq!((names.concat().as_str(), pages), ("abc", 2));
    assert_eq!(store.list(Resource::Events, "", &all, None, "garbage").unwrap_err().code, 400);
}
