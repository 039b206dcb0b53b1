//! The few requests to the API server, and what becomes of them.
//!
//! No request waits for ever, none is repeated here, and together they keep to `--kube-api-qps`. Whoever asks decides
//! what a failure means; [`ApiError::verdict`] says what can be done about it.

use std::{error::Error, sync::Arc, time::Duration};

use parking_lot::Mutex;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use k8s_openapi::api::core::v1::Event;
use kube::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{node::NodeObject, server::ConnectError};
use crate::{
    exporter::kubernetes::events::pacing::TokenBucket,
    metric::own::{ApiRequest, KubernetesMetrics},
};

/// The longest that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer: a node with all its images and a node's pods stay far below it.
const ANSWER_MAX: usize = 16 << 20;
/// After so many failures in a row the credentials and certificates are read anew.
const CONNECT_ANEW: u32 = 3;

/// Makes a client with the credentials as they are now.
pub(crate) type Connect = Box<dyn Fn() -> BoxFuture<'static, Result<Client, ConnectError>> + Send + Sync>;

/// The way to the API server.
pub(crate) struct Api {
    node: Arc<str>,
    connect: Connect,
    link: Mutex<Link>,
    limit: Option<Mutex<TokenBucket>>,
    metrics: KubernetesMetrics,
}

struct Link {
    client: Option<Client>,
    /// In a row.
    failures: u32,
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// There is no client.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No connection, or one that broke.
    #[error("the API server cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// No answer in time.
    #[error("the API server does not answer within {TIMEOUT:?}")]
    TimedOut,
    /// It says no.
    #[error("the API server says {0}")]
    Refused(Refusal),
    /// It says something else than what was asked for.
    #[error("the API server's answer cannot be read")]
    Unreadable(#[source] serde_json::Error),
}

/// What the API server says when it does not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: StatusCode,
    reason: String,
    message: String,
    retry_after: Option<Duration>,
}

/// What can be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retryability {
    /// Ask again later, not before the server wants to be asked.
    Later(Option<Duration>),
    /// There is no such object.
    Missing,
    /// There is one already.
    Exists,
    /// Never, unless the request or the server's mind changes.
    Never,
}

/// The API's own object for failures.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StatusObject {
    message: String,
    reason: String,
    details: Option<StatusDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StatusDetails {
    retry_after_seconds: Option<u64>,
}

/// What is read of an Event.
#[derive(Debug, Default, Deserialize)]
struct CountedEvent {
    count: Option<u64>,
}

// === impl Api ===

impl Api {
    /// For the node of this name, beginning with this client if there is one. `qps` and `burst` as client-go has them: 0 is its default (5, 10), a negative rate
    /// is no limit.
    pub(crate) fn new(
        node: Arc<str>,
        connect: Connect,
        client: Option<Client>,
        (qps, burst): (f32, u32),
        metrics: KubernetesMetrics,
    ) -> Self {
        let rate = if qps == 0.0 { 5.0 } else { f64::from(qps) };
        let burst = if burst == 0 { 10 } else { burst };
        let limit = (rate > 0.0).then(|| Mutex::new(TokenBucket::new(rate, f64::from(burst), Instant::now())));
        let link = Mutex::new(Link { client, failures: 0 });
        Self { node, connect, link, limit, metrics }
    }

    /// The node's name.
    pub(crate) fn node(&self) -> &Arc<str> {
        &self.node
    }

    /// Reads the Node. RBAC: get nodes.
    pub(crate) async fn read_node(&self) -> Result<NodeObject, ApiError> {
        let url = format!("/api/v1/nodes/{}?resourceVersion=0", self.node);
        let bytes = self.send(ApiRequest::GetNode, Method::GET, &url, None, JSON).await?;
        serde_json::from_slice(&bytes).map_err(ApiError::Unreadable)
    }

    /// Patches the Node's status; gives the Node as it is then, if the answer can be read. RBAC: patch nodes/status.
    pub(crate) async fn patch_node_status(&self, patch: &Value) -> Result<Option<NodeObject>, ApiError> {
        let url = format!("/api/v1/nodes/{}/status", self.node);
        let body = patch.to_string().into_bytes();
        let bytes = self.send(ApiRequest::PatchNodeStatus, Method::PATCH, &url, Some(body), JSON).await?;
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// Creates an Event. RBAC: create events.
    pub(crate) async fn create_event(&self, namespace: &str, event: &Event) -> Result<(), ApiError> {
        let url = format!("/api/v1/namespaces/{namespace}/events");
        // Texts, numbers and times always make JSON.
        let body = serde_json::to_vec(event).unwrap_or_default();
        self.send(ApiRequest::CreateEvent, Method::POST, &url, Some(body), JSON).await.map(drop)
    }

    /// Patches an Event, and gives how many problems it tells of then. RBAC: patch events.
    pub(crate) async fn patch_event(&self, namespace: &str, name: &str, patch: &Value) -> Result<u64, ApiError> {
        let url = format!("/api/v1/namespaces/{namespace}/events/{name}");
        let body = patch.to_string().into_bytes();
        let bytes = self.send(ApiRequest::PatchEvent, Method::PATCH, &url, Some(body), JSON).await?;
        let event: CountedEvent = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(event.count.unwrap_or(1))
    }

    /// Lists the metadata of the node's Pods. RBAC: list pods.
    pub(crate) async fn list_pods<T: for<'de> Deserialize<'de>>(&self) -> Result<T, ApiError> {
        const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        let url = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}&resourceVersion=0", self.node);
        let bytes = self.send(ApiRequest::ListPods, Method::GET, &url, None, METADATA).await?;
        serde_json::from_slice(&bytes).map_err(ApiError::Unreadable)
    }

    /// One request.
    async fn send(
        &self,
        request_name: ApiRequest,
        method: Method,
        url: &str,
        body: Option<Vec<u8>>,
        accept: &str,
    ) -> Result<Bytes, ApiError> {
        let now = Instant::now();
        let from = self.limit.as_ref().map(|limit| limit.lock().take(now));
        // Timers go by milliseconds: a moment that has come would still take one.
        if let Some(from) = from.filter(|from| *from > now) {
            tokio::time::sleep_until(from).await;
        }
        let mut request = Request::builder().method(&method).uri(url).header(header::ACCEPT, accept);
        if body.is_some() {
            let kind = if method == Method::PATCH { "application/strategic-merge-patch+json" } else { JSON };
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request
            .body(kube::client::Body::from(body.unwrap_or_default()))
            .map_err(|error| ApiError::Unreachable(error.into()))?;
        let answer = match tokio::time::timeout(TIMEOUT, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiError::TimedOut),
        };
        let code = match &answer {
            Ok((code, _)) => code.as_str().to_owned(),
            Err(ApiError::Refused(refusal)) => refusal.code.as_str().to_owned(),
            Err(_) => "none".to_owned(),
        };
        self.metrics.requests(request_name, &code).inc();
        let mut link = self.link.lock();
        match &answer {
            Err(ApiError::Refused(refusal)) if refusal.code == StatusCode::UNAUTHORIZED => link.client = None,
            Err(ApiError::Refused(_)) | Ok(_) => link.failures = 0,
            Err(_) => {
                link.failures = link.failures.wrapping_add(1);
                if link.failures.is_multiple_of(CONNECT_ANEW) {
                    link.client = None;
                }
            }
        }
        answer.map(|(_, bytes)| bytes)
    }

    async fn exchange(&self, request: Request<kube::client::Body>) -> Result<(StatusCode, Bytes), ApiError> {
        let client = self.link.lock().client.clone();
        let client = if let Some(client) = client {
            client
        } else {
            let client = (self.connect)().await?;
            self.link.lock().client = Some(client.clone());
            client
        };
        let answer = client.send(request).await.map_err(|error| ApiError::Unreachable(error.into()))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(ApiError::Unreachable)?.to_bytes();
        if head.status.is_success() {
            return Ok((head.status, body));
        }
        let asked = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Err(ApiError::Refused(Refusal::new(head.status, asked, &body)))
    }
}

const JSON: &str = "application/json";

// === impl ApiError ===

impl ApiError {
    pub(crate) fn retryability(&self) -> Retryability {
        match self {
            Self::Connect(_) | Self::Unreachable(_) | Self::TimedOut | Self::Unreadable(_) => Retryability::Later(None),
            Self::Refused(refusal) => match refusal.code {
                StatusCode::NOT_FOUND => Retryability::Missing,
                StatusCode::CONFLICT => Retryability::Exists,
                StatusCode::UNAUTHORIZED | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                    Retryability::Later(refusal.retry_after)
                }
                code if code.is_client_error() => Retryability::Never,
                _ => Retryability::Later(refusal.retry_after),
            },
        }
    }

    /// Whether the request may have been done all the same.
    pub(crate) fn may_be_done(&self) -> bool {
        match self {
            Self::Connect(_) => false,
            Self::Unreachable(_) | Self::TimedOut | Self::Unreadable(_) => true,
            Self::Refused(_) => self.is_trouble_inside(),
        }
    }

    /// Whether the server has trouble with this request, and perhaps with no other.
    pub(crate) fn is_trouble_inside(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code.is_server_error())
    }
}

// === impl Refusal ===

impl Refusal {
    fn new(code: StatusCode, asked: Option<u64>, body: &[u8]) -> Self {
        let object: StatusObject = serde_json::from_slice(body).unwrap_or_else(|_| StatusObject {
            // Proxies and the server's own flow control answer with a line of text.
            message: String::from_utf8_lossy(body.get(..200).unwrap_or(body)).trim().to_owned(),
            ..StatusObject::default()
        });
        let seconds = asked.or(object.details.and_then(|details| details.retry_after_seconds));
        let retry_after = seconds.map(Duration::from_secs);
        Self { code, reason: object.reason, message: object.message, retry_after }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.code)?;
        for text in [&self.reason, &self.message] {
            if !text.is_empty() {
                write!(f, ": {text}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retryability(code: u16, asked: Option<u64>, body: &str) -> Retryability {
        ApiError::Refused(Refusal::new(StatusCode::from_u16(code).unwrap(), asked, body.as_bytes())).retryability()
    }

    #[test]
    fn what_may_work_later_is_told_from_what_never_will() {
        for code in [400, 403, 405, 415, 422] {
            assert_eq!(retryability(code, None, ""), Retryability::Never, "{code}");
        }
        for code in [401, 408, 429, 500, 502, 503, 504, 301] {
            assert_eq!(retryability(code, None, ""), Retryability::Later(None), "{code}");
        }
        assert_eq!(retryability(404, None, ""), Retryability::Missing);
        assert_eq!(retryability(409, None, ""), Retryability::Exists);
        assert_eq!(ApiError::TimedOut.retryability(), Retryability::Later(None));
    }

    #[test]
    fn when_to_come_again_is_in_the_header_or_in_the_status() {
        let status = r#"{"kind":"Status","details":{"retryAfterSeconds":3}}"#;
        assert_eq!(retryability(429, Some(7), status), Retryability::Later(Some(Duration::from_secs(7))));
        assert_eq!(retryability(503, None, status), Retryability::Later(Some(Duration::from_secs(3))));
    }

    #[test]
    fn a_refusal_reads_as_the_server_puts_it() {
        let say = |body: &str| Refusal::new(StatusCode::FORBIDDEN, None, body.as_bytes()).to_string();
        assert_eq!(say(r#"{"reason":"Forbidden","message":"no"}"#), "403 Forbidden: Forbidden: no");
        assert_eq!(say("go away\n"), "403 Forbidden: go away");
    }
}
