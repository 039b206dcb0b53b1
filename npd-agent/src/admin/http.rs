//! Serving HTTP to any client that can reach the port: with bounded connections, time and memory.
//!
//! The pages are small and take no time to make, so a slow client is not interested in them.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

/// The limits of clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Concurrent connections; others wait in the kernel's queue.
    pub connections: usize,
    /// Time from the start of a connection, or from the last response, to the end of the head of a request.
    pub head: Duration,
    /// Time from the start to the end of a connection.
    pub connection: Duration,
    /// Time for the requests in progress when the server stops.
    pub end: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head: Duration::from_secs(10),
            connection: Duration::from_mins(5),
            end: Duration::from_millis(300),
        }
    }
}

/// Maximum size of the head of a request, in bytes; hyper does not support less.
const HEAD_MAX: usize = 8 << 10;
/// Pause after accept(2) fails, for example because there are no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stop`.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(HEAD_MAX);
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?.0, place))
        };
        let (stream, place) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // It does not matter how a client ends its connection.
            drop(tokio::time::timeout(limits.connection, connection).await);
            drop(place);
        });
    }
    drop(tokio::time::timeout(limits.end, graceful.shutdown()).await);
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
        task::JoinHandle,
    };

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    async fn server(limits: Limits) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = Router::new().route("/", get(|| async { "hello" }));
        let task = tokio::spawn(serve(listener, router, limits, stop.clone()));
        (address, stop, task)
    }

    /// Sends, and reads until the server closes the connection.
    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end as well.
        drop(tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.expect("the server never closes"));
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_page_is_served_and_stopping_is_quick_even_if_a_client_stays() {
        let (address, stop, task) = server(Limits::default()).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        assert!(exchange(address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ends_with("hello"));
        stop.cancel();
        tokio::time::timeout(SOON, task).await.unwrap().unwrap();
        // It is closed or reset, but not kept open.
        assert!(!matches!(tokio::time::timeout(SOON, idle.read(&mut [0])).await.unwrap(), Ok(1..)));
    }

    #[tokio::test]
    async fn a_client_that_does_not_finish_its_head_is_disconnected() {
        let limits = Limits { head: Duration::from_millis(50), ..Limits::default() };
        let (address, ..) = server(limits).await;
        for begun in ["", "GET / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let answer = exchange(address, begun).await;
            assert_eq!(answer.contains("hello"), begun.ends_with("\r\n\r\n"), "{begun:?}: {answer}");
        }
    }

    #[tokio::test]
    async fn an_endless_connection_is_closed() {
        let limits = Limits { connection: Duration::from_millis(50), ..Limits::default() };
        let (address, ..) = server(limits).await;
        assert_eq!(
            exchange(address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n").await,
            ""
        );
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let (address, ..) = server(Limits::default()).await;
        let answer = exchange(address, &format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(HEAD_MAX))).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }

    #[tokio::test]
    async fn an_unwanted_body_is_not_read() {
        let (address, ..) = server(Limits::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", u32::MAX);
        stream.write_all(head.as_bytes()).await.unwrap();
        let (chunk, mut taken) = (vec![0; 1 << 16], 0_usize);
        let sending = async {
            while stream.write_all(&chunk).await.is_ok() {
                taken += chunk.len();
                assert!(taken < 64 << 20, "it reads the whole body");
            }
        };
        tokio::time::timeout(SOON, sending).await.expect("the server neither reads it nor closes");
    }

    #[tokio::test]
    async fn clients_beyond_the_limit_wait() {
        let limits = Limits { connections: 1, ..Limits::default() };
        let (address, ..) = server(limits).await;
        let first = TcpStream::connect(address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let second = tokio::spawn(exchange(address, request));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!second.is_finished());
        drop(first);
        assert!(tokio::time::timeout(SOON, second).await.unwrap().unwrap().ends_with("hello"));
    }
}
