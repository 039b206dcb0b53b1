//! Which pod has which uid: asked of the API server when a problem comes from a pod that is not known yet.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;
use tokio::time::Instant;

use crate::exporter::kubernetes::api::client::{Api, ApiError};

/// Pods are not listed more often.
pub(crate) const PAUSE: Duration = Duration::from_secs(5);
/// A static pod's cgroup has the hash of its manifest instead of the uid that the API server gave its mirror.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// The pods of this node.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    known: HashMap<String, PodName>,
    /// When they were listed last, and when that was tried last.
    listed: Option<Instant>,
    tried: Option<Instant>,
}

/// How the API server calls a pod.
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

/// What is known of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is on this node.
    Pod(PodName),
    /// It is not in the list, which is not older than the question.
    Unknown,
    /// It is not in the list; a new one can be had then.
    NotYet(Instant),
}

// === impl Pods ===

impl Pods {
    /// The pod with the uid that its cgroup has, of which it is known since `asked`.
    pub(crate) async fn find(&mut self, uid: &str, asked: Instant, api: &Api) -> Result<Found, ApiError> {
        let now = Instant::now();
        if let Some(pod) = self.known.get(uid) {
            return Ok(Found::Pod(pod.clone()));
        }
        if self.listed.is_some_and(|listed| listed >= asked) {
            return Ok(Found::Unknown);
        }
        if let Some(next) = self.tried.map(|tried| tried + PAUSE).filter(|next| *next > now) {
            return Ok(Found::NotYet(next));
        }
        self.tried = Some(now);
        self.known = by_uid(api.list_pods().await?);
        self.listed = Some(now);
        Ok(self.known.get(uid).cloned().map_or(Found::Unknown, Found::Pod))
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
