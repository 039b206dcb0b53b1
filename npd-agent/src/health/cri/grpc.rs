//! Unary gRPC calls over one HTTP/2 connection: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
//!
//! Two calls need no more than one framed message each way and a status in the trailers.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{net::UnixStream, task::JoinHandle, time::timeout};

/// Maximum size of a response; a real one is far smaller.
const MAX_RESPONSE: usize = 4 << 20;
/// Size of what precedes a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A connection, closed when it is dropped.
#[derive(Debug)]
pub(super) struct Channel {
    requests: SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrpcError {
    #[error("the HTTP/2 connection failed")]
    Http(#[from] hyper::Error),
    #[error("invalid request: {0}")]
    Request(#[from] http::Error),
    #[error("answered with HTTP status {0}")]
    NotGrpc(StatusCode),
    #[error("did not answer within {0:?}")]
    Late(Duration),
    #[error("the call failed with status {code}: {message}")]
    Status { code: String, message: String },
    #[error("the response was cut off")]
    Cut(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the response is larger than {} MiB", MAX_RESPONSE >> 20)]
    TooLarge,
    #[error("the response is not a single gRPC message")]
    Framing,
    #[error("the response could not be decoded")]
    Decode(#[from] prost::DecodeError),
}

// === impl Channel ===

impl Channel {
    /// Starts HTTP/2 on the connection.
    pub(super) async fn open(stream: UnixStream) -> Result<Self, GrpcError> {
        let (requests, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // If it fails, the calls fail.
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { requests, connection })
    }

    /// Calls the method at `path` and waits until `deadline` for the response. The server gets the deadline as well.
    pub(super) async fn unary<A: Message + Default>(
        &mut self,
        path: &str,
        message: &impl Message,
        deadline: Duration,
    ) -> Result<A, GrpcError> {
        let answer = timeout(deadline, self.call(path, message.encode_to_vec(), deadline));
        let message = answer.await.map_err(|_| GrpcError::Late(deadline))??;
        Ok(A::decode(message)?)
    }

    async fn call(&mut self, path: &str, message: Vec<u8>, deadline: Duration) -> Result<Bytes, GrpcError> {
        let mut body = BytesMut::with_capacity(PREFIX + message.len());
        body.put_u8(0);
        body.put_u32(message.len() as u32);
        body.extend_from_slice(&message);
        let request = Request::post(format!("http://localhost{path}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            // At most eight digits.
            .header("grpc-timeout", format!("{}m", deadline.as_millis().clamp(1, 99_999_999)))
            .body(Full::new(body.freeze()))?;
        self.requests.ready().await?;
        let answer = self.requests.send_request(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(GrpcError::NotGrpc(answer.status()));
        }
        // A call that fails at once has its status here and no body.
        check(answer.headers())?;
        let body = Limited::new(answer.into_body(), MAX_RESPONSE).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { GrpcError::TooLarge } else { GrpcError::Cut(error) }
        })?;
        check(body.trailers().unwrap_or(&HeaderMap::new()))?;
        unframe(body.to_bytes())
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Whether the headers or trailers say that the call failed.
fn check(headers: &HeaderMap) -> Result<(), GrpcError> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match text("grpc-status") {
        Some(code) if code != "0" => {
            Err(GrpcError::Status { code, message: text("grpc-message").map(|m| unescape(&m)).unwrap_or_default() })
        }
        _ => Ok(()),
    }
}

/// The message of a status, in which bytes other than printable ASCII are percent-encoded.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let escaped = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(b'%'));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The single message of a body.
fn unframe(mut body: Bytes) -> Result<Bytes, GrpcError> {
    if body.remaining() < PREFIX || body.get_u8() != 0 {
        return Err(GrpcError::Framing);
    }
    let length = body.get_u32() as usize;
    if body.remaining() == length { Ok(body) } else { Err(GrpcError::Framing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_complete_uncompressed_message() {
        assert_eq!(unframe(Bytes::from_static(b"\0\0\0\0\x02ab")).unwrap(), "ab");
        assert_eq!(unframe(Bytes::from_static(b"\0\0\0\0\0")).unwrap(), "");
        for bad in
            [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x02a", b"\0\0\0\0\x02abc", b"\x01\0\0\0\x02ab", b"\0\xff\xff\xff\xffa"]
        {
            assert!(matches!(unframe(Bytes::copy_from_slice(bad)), Err(GrpcError::Framing)), "{bad:?}");
        }
    }

    #[test]
    fn the_text_of_a_status_is_unescaped() {
        for (text, words) in [("a%20b", "a b"), ("100%", "100%"), ("%zz", "%zz"), ("%C3%A9", "é"), ("%é", "%é")] {
            assert_eq!(unescape(text), words);
        }
    }
}
