//! Docker, asked over its socket what `docker ps` asks.
//!
//! Not `/_ping`, which answers while the daemon hangs on a container's lock or on containerd.

use std::{path::Path, time::Duration};

use http::StatusCode;
use tokio::time::timeout;

use super::{Verdict, http_get, socket};
use crate::error::chain;

/// The request of `docker ps`, in the version that the daemon speaks.
const LIST: &str = "/containers/json";

/// Whether Docker lists its containers.
pub async fn docker(path: &Path, within: Duration) -> Verdict {
    timeout(within, ask(path)).await.unwrap_or_else(|_| {
        Verdict::Unhealthy(format!("docker at {} did not list its containers within {within:?}", path.display()))
    })
}

async fn ask(path: &Path) -> Verdict {
    let stream = match socket::connect(path).await {
        Ok(stream) => stream,
        Err(verdict) => return verdict,
    };
    match http_get::over(stream, "docker", LIST).await {
        Ok(StatusCode::OK) => Verdict::Healthy,
        Ok(status) => Verdict::Unhealthy(format!("docker answered {} when asked for its containers", status.as_u16())),
        Err(error) => Verdict::Unhealthy(format!("docker at {}: {}", path.display(), chain(&error))),
    }
}
