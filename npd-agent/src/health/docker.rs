//! Docker, queried over its socket for what `docker ps` shows.
//!
//! Not for `/_ping`, which answers even while the daemon hangs on a container's lock or on containerd.

use std::{path::Path, time::Duration};

use http::StatusCode;
use tokio::time::timeout;

use super::{Health, http_get, socket};
use crate::error::chain;

/// The path that `docker ps` requests. Without a version in it, the daemon uses its own.
const LIST: &str = "/containers/json";

/// Whether Docker lists its containers.
pub async fn docker(path: &Path, within: Duration) -> Health {
    timeout(within, ask(path)).await.unwrap_or_else(|_| {
        Health::Unhealthy(format!("docker at {} did not list its containers within {within:?}", path.display()))
    })
}

async fn ask(path: &Path) -> Health {
    let stream = match socket::connect(path).await {
        Ok(stream) => stream,
        Err(health) => return health,
    };
    match http_get::over(stream, "docker", LIST).await {
        Ok(StatusCode::OK) => Health::Healthy,
        Ok(status) => Health::Unhealthy(format!("docker answered {} to a request for its containers", status.as_u16())),
        Err(error) => Health::Unhealthy(format!("docker at {}: {}", path.display(), chain(&error))),
    }
}
