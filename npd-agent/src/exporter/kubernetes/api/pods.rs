//! Looks up pods by uid: lists the node's pods when a problem comes from a pod that is not known yet.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;
use tokio::time::Instant;

use crate::exporter::kubernetes::api::client::{ApiClient, ApiError};

/// Minimum interval between pod listings.
pub(crate) const LIST_INTERVAL: Duration = Duration::from_secs(5);
/// A static pod's cgroup has the hash of its manifest instead of the uid that the API server gave its mirror.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// The pods of this node.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    known: HashMap<String, PodName>,
    /// When they were last listed, and when that was last tried.
    listed: Option<Instant>,
    tried: Option<Instant>,
}

/// A pod's identity at the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodName {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
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

/// The result of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PodLookup {
    /// The pod is on this node.
    Pod(PodName),
    /// The pod is not in the list, and the list is not older than the problem.
    Unknown,
    /// The pod is not in the list, which may be too old; a new one can be requested at this moment.
    RetryAt(Instant),
}

// === impl Pods ===

impl Pods {
    /// The pod with the uid that its cgroup has, first seen at `seen`.
    pub(crate) async fn look_up(&mut self, uid: &str, seen: Instant, api: &ApiClient) -> Result<PodLookup, ApiError> {
        let now = Instant::now();
        if let Some(pod) = self.known.get(uid) {
            return Ok(PodLookup::Pod(pod.clone()));
        }
        if self.listed.is_some_and(|listed| listed >= seen) {
            return Ok(PodLookup::Unknown);
        }
        if let Some(next) = self.tried.map(|tried| tried + LIST_INTERVAL).filter(|next| *next > now) {
            return Ok(PodLookup::RetryAt(next));
        }
        self.tried = Some(now);
        self.known = by_uid(api.list_pods().await?);
        self.listed = Some(now);
        Ok(self.known.get(uid).cloned().map_or(PodLookup::Unknown, PodLookup::Pod))
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
