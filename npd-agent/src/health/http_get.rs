//! A GET request of which only the response status matters.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// That of node-problem-detector, which is what kubelets have in their logs today.
const USER_AGENT: &str = "Go-http-client/1.1";

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// The name of the host has no address.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's reason.
        source: io::Error,
    },
    /// Nothing accepts the connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The request is invalid, for example because the host is.
    #[error("invalid request: {0}")]
    Request(#[from] http::Error),
    /// The connection was accepted, but there was no HTTP response.
    #[error("no HTTP response")]
    Answer(#[from] hyper::Error),
}

/// The status of `http://host:port/path`; the host may be a name or an address.
pub async fn tcp(host: &str, port: u16, path: &str) -> Result<StatusCode, GetError> {
    let mut failed = None;
    for address in resolve(host, port).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let is_bare = host.contains(':') && !host.starts_with('[');
                let authority = if is_bare { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                return over(stream, &authority, path).await;
            }
            // The first address is most likely the one that was meant.
            Err(source) => failed = failed.or(Some(GetError::Connect { address, source })),
        }
    }
    let none = || GetError::Resolve { host: host.to_owned(), source: io::ErrorKind::NotFound.into() };
    Err(failed.unwrap_or_else(none))
}

/// The addresses of a host. `localhost` is always the loopback (RFC 6761): an empty container has no /etc/hosts.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, GetError> {
    let hosts = if host.eq_ignore_ascii_case("localhost") {
        vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
    } else if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
        vec![address]
    } else {
        let found = tokio::net::lookup_host((host, port)).await;
        return found.map(Iterator::collect).map_err(|source| GetError::Resolve { host: host.to_owned(), source });
    };
    Ok(hosts.into_iter().map(|host| SocketAddr::new(host, port)).collect())
}

/// The status of a GET over an existing connection.
pub async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    authority: &str,
    path: &str,
) -> Result<StatusCode, GetError> {
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = sender.send_request(request);
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => Ok(answer?.status()),
        ended = &mut connection => {
            ended?;
            Ok(exchange.await?.status())
        }
    }
}

// === impl GetError ===

impl GetError {
    /// Whether the failure is on our side, so that it says nothing about the server.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Request(_) => true,
            Self::Connect { source, .. } => super::socket::is_ours(source),
            Self::Answer(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_and_addresses_need_no_resolver() {
        for (host, address) in
            [("localhost", "127.0.0.1:1"), ("10.0.0.1", "10.0.0.1:1"), ("::1", "[::1]:1"), ("[::1]", "[::1]:1")]
        {
            assert_eq!(resolve(host, 1).await.unwrap()[0], address.parse().unwrap(), "{host}");
        }
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_our_failure() {
        assert!(tcp("no such host", 1, "/").await.unwrap_err().is_ours());
    }
}
