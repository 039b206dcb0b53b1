//! The objects of the cluster, and what the API server does to them. Pure: the edge brings time and uids.

use std::{collections::BTreeMap, ops::Bound};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    failure::{Cause, Failure},
    schema::{self, Shape},
    selector::FieldSelector,
    strategic_merge::{self, PatchError},
    validation,
};

/// The kinds of objects that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A Namespace.
    Namespaces,
    /// A Node.
    Nodes,
    /// An Event of core/v1.
    Events,
    /// A Pod.
    Pods,
}

/// Where an object is kept. A cluster-wide object has an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What it is.
    pub resource: Resource,
    /// In which namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What a new object is given.
#[derive(Clone, Debug)]
pub struct Birth {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.creationTimestamp`.
    pub at: Timestamp,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The objects, by namespace and name.
    pub items: Vec<Value>,
    /// Where the next page starts; empty at the end.
    pub next: String,
}

/// The objects and the version of the whole.
#[derive(Debug)]
pub struct Store {
    version: u64,
    objects: BTreeMap<Key, Value>,
}

// === impl Resource ===

impl Resource {
    /// As it stands in a path.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Nodes => "nodes",
            Self::Events => "events",
            Self::Pods => "pods",
        }
    }

    /// As it stands in an object.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Namespaces => "Namespace",
            Self::Nodes => "Node",
            Self::Events => "Event",
            Self::Pods => "Pod",
        }
    }

    /// From a path.
    #[must_use]
    pub fn from_plural(word: &str) -> Option<Self> {
        [Self::Namespaces, Self::Nodes, Self::Events, Self::Pods].into_iter().find(|resource| resource.plural() == word)
    }

    /// Whether its objects live in namespaces.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        matches!(self, Self::Events | Self::Pods)
    }

    /// The fields by which the API server selects, beside the name and the namespace.
    #[must_use]
    pub const fn selectable(self) -> &'static [&'static str] {
        match self {
            Self::Namespaces => &["status.phase"],
            Self::Nodes => &["spec.unschedulable"],
            Self::Events => &[
                "involvedObject.kind",
                "involvedObject.namespace",
                "involvedObject.name",
                "involvedObject.uid",
                "involvedObject.apiVersion",
                "involvedObject.resourceVersion",
                "involvedObject.fieldPath",
                "reason",
                "reportingComponent",
                "source",
                "type",
            ],
            Self::Pods => &[
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "spec.hostNetwork",
                "status.phase",
                "status.podIP",
                "status.podIPs",
                "status.nominatedNodeName",
            ],
        }
    }

    const fn shape(self) -> &'static Shape {
        match self {
            Self::Nodes => &schema::NODE,
            Self::Events => &schema::EVENT,
            Self::Namespaces | Self::Pods => &schema::OTHER,
        }
    }

    fn decode(self, value: &Value) -> Result<Value, Failure> {
        let kind = self.kind();
        self.shape().decode(value).map_err(|misfit| {
            Failure::new(400, format!("{kind} in version \"v1\" cannot be handled as a {kind}: {misfit}"))
        })
    }
}

// === impl Key ===

impl Key {
    /// A cluster-wide object.
    #[must_use]
    pub fn cluster(resource: Resource, name: &str) -> Self {
        Self::new(resource, "", name)
    }

    /// Any object.
    #[must_use]
    pub fn new(resource: Resource, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

// === impl Store ===

impl Store {
    /// A cluster with the namespaces that every cluster has.
    #[must_use]
    pub fn new(mut birth: impl FnMut() -> Birth) -> Self {
        let mut store = Self { version: 0, objects: BTreeMap::new() };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let key = Key::cluster(Resource::Namespaces, name);
            store.insert(&key, json!({"status": {"phase": "Active"}}), &birth());
        }
        store
    }

    /// The version of the newest write.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// An object, if it is there.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// All objects of a kind, by namespace and name.
    pub fn all(&self, resource: Resource) -> impl Iterator<Item = &Value> {
        let from = Key::cluster(resource, "");
        self.objects.range(from..).take_while(move |(key, _)| key.resource == resource).map(|(_, object)| object)
    }

    /// An object.
    ///
    /// # Errors
    ///
    /// 404.
    pub fn get(&self, key: &Key) -> Result<&Value, Failure> {
        self.find(key).ok_or_else(|| Failure::not_found(key.resource, &key.name))
    }

    /// The objects of a namespace (empty: of all) that are selected, at most `limit` of them, from `from` on.
    ///
    /// # Errors
    ///
    /// 400 for a place that no page ended with.
    pub fn list(
        &self,
        resource: Resource,
        namespace: &str,
        selector: &FieldSelector,
        limit: Option<usize>,
        from: &str,
    ) -> Result<Page, Failure> {
        let after = match from.split_once('/') {
            Some((namespace, name)) => Bound::Excluded(Key::new(resource, namespace, name)),
            None if from.is_empty() => Bound::Included(Key::new(resource, "", "")),
            None => return Err(Failure::new(400, format!("continue key is not valid: {from}"))),
        };
        let mut page = Page { items: Vec::new(), next: String::new() };
        let mut last = None;
        let rest = self.objects.range((after, Bound::Unbounded)).take_while(|(key, _)| key.resource == resource);
        let of_namespace = rest.filter(|(key, _)| namespace.is_empty() || key.namespace == namespace);
        for (key, object) in of_namespace.filter(|(_, object)| selector.selects(object)) {
            if limit == Some(page.items.len()) {
                page.next = last.map_or_else(String::new, |key: &Key| format!("{}/{}", key.namespace, key.name));
                break;
            }
            page.items.push(object.clone());
            last = Some(key);
        }
        Ok(page)
    }

    /// Makes an object.
    ///
    /// # Errors
    ///
    /// 400 for what cannot be decoded or is for another namespace, 404 for a namespace that is not there, 409 for a
    /// name that is taken, 422 for what is invalid.
    pub fn create(
        &mut self,
        resource: Resource,
        namespace: &str,
        object: &Value,
        birth: &Birth,
    ) -> Result<Value, Failure> {
        let mut object = resource.decode(object)?;
        let meta = |name: &str| object.pointer(&format!("/metadata/{name}")).and_then(Value::as_str);
        if meta("namespace").is_some_and(|given| given != namespace) {
            return Err(Failure::new(
                400,
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        if resource.is_namespaced() {
            self.get(&Key::cluster(Resource::Namespaces, namespace))?;
        }
        let name = match (meta("name"), meta("generateName")) {
            (Some(name), _) => name.to_owned(),
            (None, Some(prefix)) => format!("{prefix}{}", birth.uid.get(..5).unwrap_or_default()),
            (None, None) => {
                let missing = Cause {
                    message: "Required value: name or generateName is required".to_owned(),
                    ..Cause::required("metadata.name")
                };
                return Err(Failure::invalid(resource, "", &[missing]));
            }
        };
        let mut causes = validation::name(&name);
        match resource {
            Resource::Events => causes.extend(validation::event(namespace, &object)),
            Resource::Namespaces => object["status"] = json!({"phase": "Active"}),
            Resource::Nodes | Resource::Pods => {}
        }
        if !causes.is_empty() {
            return Err(Failure::invalid(resource, &name, &causes));
        }
        let key = Key::new(resource, namespace, &name);
        if self.objects.contains_key(&key) {
            return Err(Failure::already_exists(resource, &name));
        }
        Ok(self.insert(&key, object, birth))
    }

    /// Patches an object, or its status; a patch that changes nothing writes nothing.
    ///
    /// # Errors
    ///
    /// 400 for what cannot be decoded, 404, 409 when the patch names another `resourceVersion` than the current one,
    /// 422 for what is invalid, such as another uid, 500 for a list item without its key.
    pub fn patch(&mut self, key: &Key, status: bool, patch: &Value) -> Result<Value, Failure> {
        let before = self.get(key)?;
        if !patch.is_object() {
            return Err(Failure::new(400, "cannot unmarshal the patch into a map"));
        }
        let patched = strategic_merge::apply(key.resource.shape(), before, patch).map_err(|error| match error {
            PatchError::UnknownDirective(_) => Failure::new(422, error.to_string()),
            PatchError::NoListOfObjects(_) => Failure::new(400, error.to_string()),
            PatchError::NoMergeKey { .. } => Failure::new(500, error.to_string()),
        })?;
        let mut after = key.resource.decode(&patched)?;
        let stays = |pointer: &str| after.pointer(pointer) == before.pointer(pointer);
        if !stays("/metadata/resourceVersion") && after.pointer("/metadata/resourceVersion").is_some() {
            return Err(Failure::conflict(key.resource, &key.name));
        }
        let mut causes = Vec::new();
        for (field, pointer) in [
            ("metadata.name", "/metadata/name"),
            ("metadata.namespace", "/metadata/namespace"),
            ("metadata.uid", "/metadata/uid"),
        ] {
            if !stays(pointer) {
                let value = after.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                causes.push(Cause::invalid(field, value, "field is immutable"));
            }
        }
        if key.resource == Resource::Events {
            causes.extend(validation::event(&key.namespace, &after));
        }
        if !causes.is_empty() {
            return Err(Failure::invalid(key.resource, &key.name, &causes));
        }
        for kept in ["resourceVersion", "creationTimestamp"] {
            after["metadata"][kept] = before["metadata"][kept].clone();
        }
        // As Kubernetes' strategies: the status goes only through the subresource, and all else but the metadata not.
        if key.resource != Resource::Events {
            let from_before = if status { "spec" } else { "status" };
            if let Some(object) = after.as_object_mut() {
                match before.get(from_before) {
                    Some(value) => object.insert(from_before.to_owned(), value.clone()),
                    None => object.remove(from_before),
                };
            }
        }
        if after == *before {
            return Ok(after);
        }
        self.version += 1;
        after["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(key.clone(), after.clone());
        Ok(after)
    }

    /// Removes an object, and with a namespace all that is in it.
    ///
    /// # Errors
    ///
    /// 404, and 403 for the namespaces that every cluster has.
    pub fn delete(&mut self, key: &Key) -> Result<Value, Failure> {
        self.get(key)?;
        if key.resource == Resource::Namespaces {
            if ["default", "kube-public", "kube-system"].contains(&key.name.as_str()) {
                return Err(Failure::forbidden("namespaces", &key.name, "this namespace may not be deleted"));
            }
            self.objects.retain(|other, _| other.namespace != key.name);
        }
        self.version += 1;
        self.objects.remove(key).ok_or_else(|| Failure::not_found(key.resource, &key.name))
    }

    fn insert(&mut self, key: &Key, mut object: Value, birth: &Birth) -> Value {
        self.version += 1;
        object["apiVersion"] = "v1".into();
        object["kind"] = key.resource.kind().into();
        let meta = &mut object["metadata"];
        if !meta.is_object() {
            *meta = Value::Object(Map::new());
        }
        meta["name"] = key.name.clone().into();
        if !key.namespace.is_empty() {
            meta["namespace"] = key.namespace.clone().into();
        }
        meta["uid"] = birth.uid.clone().into();
        meta["creationTimestamp"] = schema::time(birth.at);
        meta["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(key.clone(), object.clone());
        object
    }
}

#[cfg(test)]
mod tests;
