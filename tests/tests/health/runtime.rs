//! A container runtime that answers the kubelet's interface, with tonic, on a Unix socket.

use std::{
    future::Future,
    os::unix::net::UnixListener,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::{Code, Request, Response, Status, server::UnaryService};
use tonic_prost::ProstCodec;

use crate::background::Background;

/// `VersionResponse` of `runtime.v1`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct VersionResponse {
    #[prost(string, tag = "1")]
    pub(crate) version: String,
    #[prost(string, tag = "2")]
    pub(crate) runtime_name: String,
    #[prost(string, tag = "3")]
    pub(crate) runtime_version: String,
    #[prost(string, tag = "4")]
    pub(crate) runtime_api_version: String,
}

/// `StatusResponse`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) status: Option<RuntimeStatus>,
    #[prost(map = "string, string", tag = "2")]
    pub(crate) info: std::collections::HashMap<String, String>,
}

/// `RuntimeStatus`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RuntimeStatus {
    #[prost(message, repeated, tag = "1")]
    pub(crate) conditions: Vec<RuntimeCondition>,
}

/// `RuntimeCondition`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RuntimeCondition {
    #[prost(string, tag = "1")]
    pub(crate) r#type: String,
    #[prost(bool, tag = "2")]
    pub(crate) status: bool,
    #[prost(string, tag = "3")]
    pub(crate) reason: String,
    #[prost(string, tag = "4")]
    pub(crate) message: String,
}

/// A request without anything that is looked at.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Empty {}

/// What it does when it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Does<T> {
    Answer(T),
    Fail(Code, &'static str),
    Hang,
}

/// How it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) version: Does<VersionResponse>,
    pub(crate) status: Does<StatusResponse>,
}

/// The runtime, until it is dropped.
pub(crate) struct Runtime {
    calls: Arc<Mutex<Vec<String>>>,
    _background: Background,
}

struct Method<T>(Does<T>);

// === impl Behaviour ===

impl Behaviour {
    /// A runtime with these conditions.
    pub(crate) fn with(conditions: &[(&str, bool)]) -> Self {
        let conditions = conditions.iter().map(|(name, status)| RuntimeCondition {
            r#type: (*name).to_owned(),
            status: *status,
            reason: if *status { String::new() } else { "NotYet".to_owned() },
            message: if *status { String::new() } else { "not yet".to_owned() },
        });
        let status = RuntimeStatus { conditions: conditions.collect() };
        let version = VersionResponse {
            version: "0.1.0".to_owned(),
            runtime_name: "containerd".to_owned(),
            runtime_version: "2.1.0".to_owned(),
            runtime_api_version: "v1".to_owned(),
        };
        Self {
            version: Does::Answer(version),
            status: Does::Answer(StatusResponse { status: Some(status), info: [("a".into(), "b".into())].into() }),
        }
    }
}

// === impl Runtime ===

impl Runtime {
    pub(crate) fn start(path: &Path, behaviour: Behaviour) -> Result<Self> {
        let listener = UnixListener::bind(path).with_context(|| format!("cannot listen at {}", path.display()))?;
        listener.set_nonblocking(true)?;
        let calls = Arc::default();
        let heard = Arc::clone(&calls);
        let background = Background::start(move || async move {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (behaviour, heard) = (behaviour.clone(), Arc::clone(&heard));
                    let service = service_fn(move |request| answer(behaviour.clone(), Arc::clone(&heard), request));
                    let connection =
                        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
                    // How a client ends its connection is its own business.
                    tokio::spawn(async move { drop(connection.await) });
                }
            });
            Ok(())
        })?;
        Ok(Self { calls, _background: background })
    }

    /// The methods that were called, with the deadline that came with them.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(
    behaviour: Behaviour,
    heard: Arc<Mutex<Vec<String>>>,
    request: http::Request<Incoming>,
) -> Result<http::Response<tonic::body::Body>, std::convert::Infallible> {
    let path = request.uri().path().to_owned();
    let deadline = request.headers().get("grpc-timeout").and_then(|value| value.to_str().ok()).unwrap_or_default();
    heard.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{path} {deadline}"));
    Ok(match path.as_str() {
        "/runtime.v1.RuntimeService/Version" => {
            let mut server = tonic::server::Grpc::new(ProstCodec::default());
            server.unary(Method(behaviour.version), request).await
        }
        "/runtime.v1.RuntimeService/Status" => {
            let mut server = tonic::server::Grpc::new(ProstCodec::default());
            server.unary(Method(behaviour.status), request).await
        }
        _ => Status::unimplemented(format!("unknown method {path}")).into_http(),
    })
}

// === impl Method ===

impl<T: Clone + Send + 'static> UnaryService<Empty> for Method<T> {
    type Response = T;
    type Future = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

    fn call(&mut self, _: Request<Empty>) -> Self::Future {
        let does = self.0.clone();
        Box::pin(async move {
            match does {
                Does::Answer(answer) => Ok(Response::new(answer)),
                Does::Fail(code, message) => Err(Status::new(code, message)),
                Does::Hang => std::future::pending().await,
            }
        })
    }
}
