//! Unary gRPC calls with tonic, over one HTTP/2 connection that is our own.
//!
//! tonic's transport would bring name resolution, balancing and buffers. Without it, tonic adds 67 KB to the static npd-agent,
//! compared with encoding two calls by hand.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{
    Request, Response, Uri,
    uri::{InvalidUri, PathAndQuery},
};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{net::UnixStream, task::JoinHandle, time::timeout};
use tonic::{
    Status,
    body::Body,
    client::{Grpc, GrpcService},
};
use tonic_prost::ProstCodec;

use crate::error::chain;

/// Maximum size of a response; a real one is far smaller.
const MAX_RESPONSE: usize = 4 << 20;

/// A connection, closed when it is dropped.
#[derive(Debug)]
pub(super) struct Channel {
    calls: Grpc<Http2>,
    connection: JoinHandle<()>,
}

/// The requests of an HTTP/2 connection, as tonic sends them.
#[derive(Debug)]
struct Http2(SendRequest<Body>);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrpcError {
    #[error("the HTTP/2 connection failed")]
    Http(#[from] hyper::Error),
    #[error("invalid path of a method")]
    Path(#[from] InvalidUri),
    #[error("did not answer within {0:?}")]
    Late(Duration),
    #[error("{0}")]
    Connection(String),
    #[error("the call failed with status {:?}: {}", .0.code(), .0.message())]
    Status(Box<Status>),
}

// === impl GrpcError ===

impl GrpcError {
    /// A status that the server has sent, or what kept the call from reaching it: tonic makes a status of that as well.
    fn of_status(status: Status) -> Self {
        match std::error::Error::source(&status) {
            Some(cause) => Self::Connection(chain(cause)),
            None => Self::Status(Box::new(status)),
        }
    }
}

// === impl Channel ===

impl Channel {
    /// Starts HTTP/2 on the connection.
    pub(super) async fn open(stream: UnixStream) -> Result<Self, GrpcError> {
        let (requests, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // If it fails, the calls fail.
        let connection = tokio::spawn(async move { drop(connection.await) });
        let calls = Grpc::with_origin(Http2(requests), Uri::from_static("http://localhost"));
        Ok(Self { calls: calls.max_decoding_message_size(MAX_RESPONSE), connection })
    }

    /// Calls the method at `path` and waits until `deadline` for the response. The server gets the deadline as well.
    pub(super) async fn unary<Q: Message + 'static, A: Message + Default + 'static>(
        &mut self,
        path: &str,
        message: Q,
        deadline: Duration,
    ) -> Result<A, GrpcError> {
        let mut request = tonic::Request::new(message);
        // At most eight digits. Not tonic's own `set_timeout`, which would send microseconds.
        if let Ok(deadline) = format!("{}m", deadline.as_millis().clamp(1, 99_999_999)).parse() {
            request.metadata_mut().insert("grpc-timeout", deadline);
        }
        let path: PathAndQuery = path.parse()?;
        let call = async {
            self.calls.ready().await?;
            let response = self.calls.unary(request, path, ProstCodec::<Q, A>::default()).await;
            Ok(response.map_err(GrpcError::of_status)?.into_inner())
        };
        timeout(deadline, call).await.map_err(|_| GrpcError::Late(deadline))?
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

// === impl Http2 ===

impl GrpcService<Body> for Http2 {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
