//! Which pod has which uid: asked of the API server when a problem comes from a pod that is not known yet.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;
use tokio::time::Instant;

use super::api::{Api, ApiError};

/// A pod that is not in the list is not looked for again so soon.
const PAUSE: Duration = Duration::from_secs(5);
/// A static pod's cgroup has the hash of its manifest instead of the uid that the API server gave its mirror.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// The pods of this node.
#[derive(Debug, Default)]
pub(super) struct Pods {
    known: HashMap<String, PodName>,
    listed: Option<Instant>,
}

/// How the API server calls a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodName {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

#[derive(Deserialize)]
struct PodList {
    items: Vec<PodObject>,
}

#[derive(Deserialize)]
struct PodObject {
    metadata: PodMetadata,
}

#[derive(Deserialize)]
struct PodMetadata {
    name: String,
    namespace: String,
    uid: String,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

// === impl Pods ===

impl Pods {
    /// The pod with the uid that its cgroup has; nothing when it is not on this node, or not any more.
    pub(super) async fn find(&mut self, uid: &str, api: &Api) -> Result<Option<PodName>, ApiError> {
        let now = Instant::now();
        let was_listed = self.listed.is_some_and(|at| now.saturating_duration_since(at) < PAUSE);
        if !self.known.contains_key(uid) && !was_listed {
            self.listed = Some(now);
            self.known = by_uid(api.list_pods().await?);
        }
        Ok(self.known.get(uid).cloned())
    }
}

fn by_uid(list: PodList) -> HashMap<String, PodName> {
    let mut pods = HashMap::new();
    for PodObject { metadata } in list.items {
        let PodMetadata { name, namespace, uid, mut annotations } = metadata;
        let pod = PodName { namespace, name, uid };
        if let Some(hash) = annotations.remove(CONFIG_HASH) {
            pods.insert(hash, pod.clone());
        }
        pods.insert(pod.uid.clone(), pod);
    }
    pods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_pod_is_found_by_its_hash_and_by_its_uid() {
        let list = serde_json::from_str(
            r#"{"kind":"PartialObjectMetadataList","metadata":{},"items":[
                {"metadata":{"name":"etcd","namespace":"kube-system","uid":"u-1",
                  "annotations":{"kubernetes.io/config.hash":"9f86","kubernetes.io/config.mirror":"9f86"}}},
                {"metadata":{"name":"web","namespace":"default","uid":"u-2"}}]}"#,
        )
        .unwrap();
        let pods = by_uid(list);
        assert_eq!(pods["9f86"], pods["u-1"]);
        assert_eq!(pods["u-2"].name, "web");
        assert_eq!(pods.len(), 3);
    }
}
