//! The few requests to the API server, and their outcomes.
//!
//! Every request has a time limit, none is repeated here, and together they keep to `--kube-api-qps`. The caller decides
//! what a failure means; [`ApiError::retryability`] says what can be done about it.
//!
//! kube's client serves connections, credentials and TLS; the requests are written by hand, because a few fields of
//! large objects are all that is decoded, and because the Retry-After header and what a proxy responds instead of a
//! Status are needed when one fails.

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
    exporter::kubernetes::{timer::until, token_bucket::TokenBucket},
    metric::own::{ApiRequest, KubernetesMetrics},
};

/// Time limit for a response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Size limit of a response in bytes: a Node with all its images, and a node's pods, stay far below it.
const RESPONSE_MAX: usize = 16 << 20;
/// Number of consecutive failures after which the client is made again, with new credentials and certificates.
const RECONNECT_AFTER: u32 = 3;

/// Makes a client with the credentials as they are now.
pub(crate) type Connect = Box<dyn Fn() -> BoxFuture<'static, Result<Client, ConnectError>> + Send + Sync>;

/// Makes requests to the API server for one node.
pub(crate) struct ApiClient {
    node: Arc<str>,
    connect: Connect,
    connection: Mutex<Connection>,
    limit: Option<Mutex<TokenBucket>>,
    metrics: KubernetesMetrics,
}

struct Connection {
    client: Option<Client>,
    /// Consecutive ones.
    failures: u32,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// There is no client.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There is no connection, or it broke.
    #[error("the API server cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// There was no response in time.
    #[error("the API server did not respond within {TIMEOUT:?}")]
    TimedOut,
    /// The API server refused it.
    #[error("the API server responded with {0}")]
    Refused(Refusal),
    /// The response is not what was asked for.
    #[error("the API server's response cannot be decoded")]
    Unreadable(#[source] serde_json::Error),
}

/// The API server's response to a request that it refused.
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
    /// Retry later, and not before the server allows it.
    Later(Option<Duration>),
    /// There is no such object.
    Missing,
    /// There is one already.
    Exists,
    /// Retrying is useless while neither the request nor the server's configuration changes.
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

// === impl ApiClient ===

impl ApiClient {
    /// For the node of this name, with this client to start with if there is one. `qps` and `burst` are as in client-go:
    /// 0 is its default (5, 10), a negative rate sets no limit.
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
        let connection = Mutex::new(Connection { client, failures: 0 });
        Self { node, connect, connection, limit, metrics }
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

    /// Patches the Node's status. Returns the Node after that, if the response can be decoded. RBAC: patch nodes/status.
    pub(crate) async fn patch_node_status(&self, patch: &Value) -> Result<Option<NodeObject>, ApiError> {
        let url = format!("/api/v1/nodes/{}/status", self.node);
        let body = patch.to_string().into_bytes();
        let bytes = self.send(ApiRequest::PatchNodeStatus, Method::PATCH, &url, Some(body), JSON).await?;
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// Creates an Event. RBAC: create events.
    pub(crate) async fn create_event(&self, namespace: &str, event: &Event) -> Result<(), ApiError> {
        let url = format!("/api/v1/namespaces/{namespace}/events");
        // Strings, numbers and times can always be encoded.
        let body = serde_json::to_vec(event).unwrap_or_default();
        self.send(ApiRequest::CreateEvent, Method::POST, &url, Some(body), JSON).await.map(drop)
    }

    /// Patches an Event. Returns its count after that. RBAC: patch events.
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
        if let Some(limit) = &self.limit {
            let from = limit.lock().take(now);
            until(Some(from)).await;
        }
        let mut request = Request::builder().method(&method).uri(url).header(header::ACCEPT, accept);
        if body.is_some() {
            let kind = if method == Method::PATCH { "application/strategic-merge-patch+json" } else { JSON };
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request
            .body(kube::client::Body::from(body.unwrap_or_default()))
            .map_err(|error| ApiError::Unreachable(error.into()))?;
        let response = match tokio::time::timeout(TIMEOUT, self.exchange(request)).await {
            Ok(response) => response,
            Err(_) => Err(ApiError::TimedOut),
        };
        let code = match &response {
            Ok((code, _)) => code.as_str().to_owned(),
            Err(ApiError::Refused(refusal)) => refusal.code.as_str().to_owned(),
            Err(_) => "none".to_owned(),
        };
        self.metrics.requests(request_name, &code).inc();
        let mut connection = self.connection.lock();
        match &response {
            Err(ApiError::Refused(refusal)) if refusal.code == StatusCode::UNAUTHORIZED => connection.client = None,
            Err(ApiError::Refused(_)) | Ok(_) => connection.failures = 0,
            Err(_) => {
                connection.failures = connection.failures.wrapping_add(1);
                if connection.failures.is_multiple_of(RECONNECT_AFTER) {
                    connection.client = None;
                }
            }
        }
        response.map(|(_, bytes)| bytes)
    }

    async fn exchange(&self, request: Request<kube::client::Body>) -> Result<(StatusCode, Bytes), ApiError> {
        let client = self.connection.lock().client.clone();
        let client = if let Some(client) = client {
            client
        } else {
            let client = (self.connect)().await?;
            self.connection.lock().client = Some(client.clone());
            client
        };
        let response = client.send(request).await.map_err(|error| ApiError::Unreachable(error.into()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, RESPONSE_MAX).collect().await.map_err(ApiError::Unreachable)?.to_bytes();
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

    /// Whether the API server may have done what was requested all the same.
    pub(crate) fn may_have_succeeded(&self) -> bool {
        match self {
            Self::Connect(_) => false,
            Self::Unreachable(_) | Self::TimedOut | Self::Unreadable(_) => true,
            Self::Refused(_) => self.is_server_error(),
        }
    }

    /// Whether the server failed at this request, and perhaps at no other.
    pub(crate) fn is_server_error(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code.is_server_error())
    }
}

// === impl Refusal ===

impl Refusal {
    fn new(code: StatusCode, asked: Option<u64>, body: &[u8]) -> Self {
        let object: StatusObject = serde_json::from_slice(body).unwrap_or_else(|_| StatusObject {
            // Proxies and the server's own flow control respond with a line of text.
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
    fn what_may_work_later_is_distinguished_from_what_never_will() {
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
    fn when_to_retry_is_in_the_header_or_in_the_status() {
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
