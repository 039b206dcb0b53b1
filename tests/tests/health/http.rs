//! An HTTP server that gives one answer, over TCP or on a Unix socket.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use crate::background::Background;

/// What it answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Status(u16),
    /// It takes the request and stays silent.
    Silence,
    /// It closes the connection.
    Nothing,
    /// What is no HTTP.
    Noise,
}

/// The server, until it is dropped.
pub(crate) struct HttpServer {
    address: Option<SocketAddr>,
    seen: Arc<Mutex<Vec<String>>>,
    _background: Background,
}

// === impl HttpServer ===

impl HttpServer {
    pub(crate) fn tcp(answer: Answer) -> Result<Self> {
        Self::tcp_at("127.0.0.1:0", answer)
    }

    pub(crate) fn tcp_at(address: &str, answer: Answer) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"))?;
        listener.set_nonblocking(true)?;
        let address = Some(listener.local_addr()?);
        let seen = Arc::default();
        let requests = Arc::clone(&seen);
        let background = Background::start(move || async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, answer, Arc::clone(&requests)));
                }
            });
            Ok(())
        })?;
        Ok(Self { address, seen, _background: background })
    }

    pub(crate) fn unix(path: &Path, answer: Answer) -> Result<Self> {
        let listener = UnixListener::bind(path).with_context(|| format!("cannot listen at {}", path.display()))?;
        listener.set_nonblocking(true)?;
        let seen = Arc::default();
        let requests = Arc::clone(&seen);
        let background = Background::start(move || async move {
            let listener = tokio::net::UnixListener::from_std(listener)?;
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, answer, Arc::clone(&requests)));
                }
            });
            Ok(())
        })?;
        Ok(Self { address: None, seen, _background: background })
    }

    /// Its port, as the environment has it.
    pub(crate) fn port(&self) -> String {
        self.address.map_or(0, |address| address.port()).to_string()
    }

    /// The requests so far: method, path, host and user agent.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answer: Answer,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let status = match answer {
        Answer::Nothing => return,
        Answer::Noise => return drop(stream.write_all(b"SSH-2.0-OpenSSH_10.0\r\n").await),
        Answer::Silence => None,
        Answer::Status(status) => StatusCode::from_u16(status).ok(),
    };
    let service = service_fn(|request: Request<Incoming>| {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let line = format!("{} {} {} {}", request.method(), request.uri(), header("host"), header("user-agent"));
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        async move {
            let Some(status) = status else { return std::future::pending().await };
            let mut response = Response::new(Full::<&[u8]>::new(b"ok"));
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    });
    // How a client ends its connection is its own business.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}
