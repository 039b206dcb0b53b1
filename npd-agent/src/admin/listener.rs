//! A port that is opened before anything else starts, and served once there is something to show.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use axum::Router;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::http::{self, Limits};

/// An open port.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

/// A port that cannot be opened, in node-problem-detector's words.
#[derive(Debug, thiserror::Error)]
#[error("Failed to start {name}: listen tcp {address}")]
pub(crate) struct ListenError {
    name: &'static str,
    address: SocketAddr,
    source: io::Error,
}

// === impl Listener ===

impl Listener {
    /// Opens the port; `None` if it is 0 or less.
    pub(crate) async fn bind(name: &'static str, ip: IpAddr, port: i64) -> Result<Option<Self>, ListenError> {
        let port = u16::try_from(port).unwrap_or(0);
        if port == 0 {
            return Ok(None);
        }
        let address = SocketAddr::new(ip, port);
        match TcpListener::bind(address).await {
            Ok(listener) => Ok(Some(Self { listener, address })),
            Err(source) => Err(ListenError { name, address, source }),
        }
    }

    /// Serves the pages until `stop`, as a task in `servers`. Returns the URL of `page`.
    pub(crate) fn serve(
        self,
        servers: &mut JoinSet<()>,
        pages: Router,
        page: &str,
        stop: &CancellationToken,
    ) -> String {
        let serving = http::serve(self.listener, pages, Limits::default(), stop.clone());
        servers.spawn(serving.instrument(tracing::info_span!("http", address = %self.address)));
        format!("http://{}{page}", self.address)
    }
}
