//! The edge: connections, HTTP and time around the pure API.
//!
//! It is hyper and not axum because a fault may end a connection without any answer, which a handler of axum cannot.

use std::{
    convert::Infallible,
    fs, future, io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context as TaskContext, Poll},
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Limited};
use hyper::{
    Response, StatusCode,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{CONTENT_TYPE, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket},
    runtime,
    sync::oneshot,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Cluster,
    access::Access,
    api,
    failure::Failure,
    faults::{Cut, Faults, Outcome},
    request::Request,
    request_info::RequestInfo,
    store::Birth,
};

/// As Kubernetes.
const BODY_LIMIT: usize = 3 << 20;

/// What the server's thread and the test share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// A request came, was answered, or the test changed something.
    pub(super) changed: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) cluster: Cluster,
    pub(super) faults: Faults,
    pub(super) access: Access,
}

/// The port of the server; nobody else gets it while the server is stopped, and a client's own connection neither.
#[derive(Debug)]
pub(super) struct Port {
    held: TcpSocket,
    pub(super) address: SocketAddr,
}

/// A thread that serves.
#[derive(Debug)]
pub(super) struct Serving {
    stop: oneshot::Sender<Infallible>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Error)]
enum Broken {
    #[error("the test cuts this connection")]
    Cut,
    #[error("cannot read the body")]
    Unread(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot build the answer")]
    Unbuilt(#[source] hyper::http::Error),
}

struct Answer {
    code: u16,
    content_type: &'static str,
    retry_after: Option<u32>,
    body: Bytes,
}

/// A body that may break off.
#[derive(Debug)]
struct Payload {
    length: u64,
    part: Option<Bytes>,
    whole: bool,
    flushed: bool,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    async fn handle(&self, request: hyper::Request<Incoming>) -> Result<Response<Payload>, Broken> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(Broken::Unread)?.to_bytes();
        let mut request = Request::new(&parts, body);
        let (number, fault) = self.change(|state| {
            let number = state.cluster.requests.add(request.clone());
            (number, state.faults.take(&request.method, &request.path))
        });
        request.number = number;
        let mut served = None;
        let mut outcome = Outcome::Served;
        if let Some(fault) = fault {
            if fault.applied {
                served = Some(self.serve(&request));
            }
            tokio::time::sleep(fault.delay).await;
            outcome = fault.outcome;
        }
        let mut right = || served.take().unwrap_or_else(|| self.serve(&request));
        let (answer, cut) = match outcome {
            Outcome::Served => (right(), None),
            Outcome::Refused(failure, retry_after) => (Answer { retry_after, ..Answer::from(&failure) }, None),
            Outcome::Overloaded(seconds) => (Answer::overloaded(seconds), None),
            Outcome::Garbage => (Answer { body: Bytes::from_static(b"{\"kind\": \x00garb"), ..right() }, None),
            Outcome::Silence => future::pending().await,
            Outcome::Cut(Cut::BeforeHead) => return Err(Broken::Cut),
            Outcome::Cut(cut) => (right(), Some(cut)),
        };
        let status = answer.code;
        let response = answer.into_response(cut);
        self.change(|state| state.cluster.requests.answered(number, Some(status)));
        response
    }

    fn serve(&self, request: &Request) -> Answer {
        let birth = birth();
        self.change(|state| {
            let info = RequestInfo::parse(&request.method, &request.path);
            let result = state
                .access
                .check(info.as_ref(), request)
                .and_then(|()| api::serve(&mut state.cluster.store, info.as_ref(), request, &birth));
            match result {
                Ok((code, object)) => Answer::json(code, &object),
                Err(failure) => Answer::from(&failure),
            }
        })
    }
}

/// The kernel's random uuid, and now.
pub(super) fn birth() -> Birth {
    let uid = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    Birth { uid: uid.trim().to_owned(), at: Timestamp::now() }
}

// === impl Port ===

impl Port {
    /// Takes a port of 127.0.0.1; 0: any free one.
    ///
    /// The socket is bound and never listens. With SO_REUSEADDR on both, another socket of ours can bind the same
    /// port and listen; without one that listens, a client is refused.
    pub(super) fn take(port: u16) -> Result<Self> {
        let held = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let address = held.local_addr().context("a bound socket has no address")?;
        Ok(Self { held, address })
    }

    pub(super) fn serve(&self, shared: &Arc<Shared>, tls: Option<TlsAcceptor>) -> Result<Serving> {
        let address = self.held.local_addr().context("a bound socket has no address")?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot make a runtime")?;
        let listener = {
            let _inside = runtime.enter();
            bind(address)?.listen(1024).with_context(|| format!("cannot listen on {address}"))?
        };
        let shared = Arc::clone(shared);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("apiserver".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, &shared, tls.as_ref()) => {}
                        _ = stopped => {}
                    }
                });
            })
            .context("cannot start a thread")?;
        Ok(Serving { stop, thread })
    }
}

fn bind(address: SocketAddr) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4().context("cannot make a socket")?;
    socket.set_reuseaddr(true).context("cannot set SO_REUSEADDR")?;
    socket.bind(address).with_context(|| format!("cannot bind {address}"))?;
    Ok(socket)
}

// === impl Serving ===

impl Serving {
    /// Ends all connections and the listener, and waits until they are gone.
    pub(super) fn stop(self) {
        drop(self.stop);
        // A panic of the server's thread shows in the test that waits for its answer.
        drop(self.thread.join());
    }
}

async fn accept(listener: TcpListener, shared: &Arc<Shared>, tls: Option<&TlsAcceptor>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Without a file descriptor for it there is no connection to tell of it.
                let Ok((stream, _)) = accepted else { continue };
                // An answer is not to wait for the client's acknowledgement of the one before.
                drop(stream.set_nodelay(true));
                let (shared, tls) = (Arc::clone(shared), tls.cloned());
                connections.spawn(async move {
                    match tls {
                        None => connection(stream, &shared).await,
                        Some(tls) => {
                            // A client that does not trust us goes away.
                            if let Ok(stream) = tls.accept(stream).await {
                                connection(stream, &shared).await;
                            }
                        }
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    let service = service_fn(|request| shared.handle(request));
    // How a connection ends is what the client has to cope with.
    drop(http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await);
}

// === impl Answer ===

impl Answer {
    fn json(code: u16, object: &serde_json::Value) -> Self {
        Self { code, content_type: "application/json", retry_after: None, body: object.to_string().into() }
    }

    fn overloaded(seconds: u32) -> Self {
        let body = Bytes::from_static(b"Too many requests, please try again later.\n");
        Self { code: 429, content_type: "text/plain; charset=utf-8", retry_after: Some(seconds), body }
    }

    fn into_response(self, cut: Option<Cut>) -> Result<Response<Payload>, Broken> {
        let length = self.body.len();
        let part = match cut {
            None => self.body,
            Some(Cut::InBody) => self.body.slice(..length / 2),
            Some(Cut::BeforeHead | Cut::AfterHead) => Bytes::new(),
        };
        let part = Some(part).filter(|part| !part.is_empty());
        let payload = Payload { length: length as u64, part, whole: cut.is_none(), flushed: false };
        let code = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::builder().status(code).header(CONTENT_TYPE, self.content_type);
        if let Some(seconds) = self.retry_after {
            response = response.header(RETRY_AFTER, seconds);
        }
        response.body(payload).map_err(Broken::Unbuilt)
    }
}

impl From<&Failure> for Answer {
    fn from(failure: &Failure) -> Self {
        Self::json(failure.code, &failure.to_json())
    }
}

// === impl Payload ===

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(part) = self.part.take() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        if self.whole {
            return Poll::Ready(None);
        }
        // hyper flushes what it has when a body is not ready; without that the cut would take the head with it.
        if !self.flushed {
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
