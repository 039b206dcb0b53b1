//! The container runtime, called over the kubelet's interface (CRI) on its socket, or through crictl.
//!
//! `Version` proves that the runtime answers, `Status` that it considers itself able to run containers. The condition
//! `NetworkReady` is not the health of the runtime: it is false until a network plugin is installed, and restarting the runtime
//! would not help.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use self::{
    grpc::{Channel, GrpcError},
    messages::{StatusRequest, StatusResponse, VersionRequest, VersionResponse},
};
use super::{Health, socket};
use crate::{error::chain, go::duration::GoDuration, process::environment};

mod grpc;
mod messages;

const SERVICE: &str = "/runtime.v1.RuntimeService";
/// The condition for whether containers can run.
const RUNTIME_READY: &str = "RuntimeReady";

/// Whether the runtime answers, each call within `call` and all of them within `within`, and reports that it is ready.
pub async fn cri(path: &Path, call: Duration, within: Duration) -> Health {
    timeout(within, ask(path, call)).await.unwrap_or_else(|_| late(path, within))
}

async fn ask(path: &Path, call: Duration) -> Health {
    let channel = async {
        let stream = socket::connect(path).await?;
        Channel::open(stream).await.map_err(|error| failed(path, &error))
    };
    let mut channel = match timeout(call, channel).await {
        Ok(Ok(channel)) => channel,
        Ok(Err(health)) => return health,
        Err(_) => return late(path, call),
    };
    let version: Result<VersionResponse, _> =
        channel.unary(&format!("{SERVICE}/Version"), VersionRequest::default(), call).await;
    if let Err(error) = version {
        return failed(path, &error);
    }
    let status: Result<StatusResponse, _> =
        channel.unary(&format!("{SERVICE}/Status"), StatusRequest::default(), call).await;
    match status {
        Ok(status) => judge(status),
        Err(error) => failed(path, &error),
    }
}

/// What the runtime reports about itself. It did answer, so without the condition it is healthy.
fn judge(status: StatusResponse) -> Health {
    let conditions = status.status.unwrap_or_default().conditions;
    match conditions.into_iter().find(|condition| condition.r#type == RUNTIME_READY) {
        Some(ready) if !ready.status => {
            let words = [ready.reason, ready.message].into_iter().filter(|word| !word.is_empty());
            let words = words.collect::<Vec<_>>().join(": ");
            Health::Unhealthy(format!("the container runtime is not ready: {words}"))
        }
        _ => Health::Healthy,
    }
}

fn late(path: &Path, within: Duration) -> Health {
    Health::Unhealthy(format!("the container runtime at {} did not answer within {within:?}", path.display()))
}

fn failed(path: &Path, error: &GrpcError) -> Health {
    Health::Unhealthy(format!("the container runtime at {}: {}", path.display(), chain(error)))
}

/// Whether crictl can list a pod, as node-problem-detector checks it. If crictl cannot be started, the health is unknown.
pub async fn crictl(program: &OsStr, endpoint: &str, call: GoDuration, within: Duration) -> Health {
    let mut command = Command::new(program);
    command
        .arg(format!("--timeout={call}"))
        .arg(format!("--runtime-endpoint={endpoint}"))
        .args(["pods", "--latest"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    for variable in environment::SYSTEMD {
        command.env_remove(variable);
    }
    let name = program.to_string_lossy();
    match timeout(within, async { command.spawn()?.wait().await }).await {
        Ok(Ok(status)) if status.success() => Health::Healthy,
        Ok(Ok(status)) => Health::Unhealthy(format!("{name}: {status}")),
        Ok(Err(error)) => Health::CannotTell(format!("cannot run {name}: {error}")),
        Err(_) => Health::Unhealthy(format!("{name} did not finish within {within:?}")),
    }
}

/// The socket of an endpoint: `unix:///path`, or a path alone.
pub fn socket_path(endpoint: &str) -> io::Result<PathBuf> {
    let path = match endpoint.split_once(':') {
        Some(("unix", path)) => path.strip_prefix("//").unwrap_or(path),
        _ => endpoint,
    };
    if path.starts_with('/') {
        return Ok(PathBuf::from(path));
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{endpoint:?} is not a Unix socket: it must be unix:///path"),
    ))
}

#[cfg(test)]
mod tests {
    use super::{
        messages::{RuntimeCondition, RuntimeStatus},
        *,
    };

    fn status(conditions: &[(&str, bool)]) -> StatusResponse {
        let condition = |(name, status): &(&str, bool)| RuntimeCondition {
            r#type: (*name).to_owned(),
            status: *status,
            reason: "Reason".to_owned(),
            message: "in words".to_owned(),
        };
        StatusResponse { status: Some(RuntimeStatus { conditions: conditions.iter().map(condition).collect() }) }
    }

    #[test]
    fn a_runtime_that_is_not_ready_is_unhealthy_and_one_without_a_network_is_not() {
        assert_eq!(judge(status(&[("RuntimeReady", true), ("NetworkReady", false)])), Health::Healthy);
        assert_eq!(judge(status(&[])), Health::Healthy);
        assert_eq!(judge(StatusResponse { status: None }), Health::Healthy);
        assert_eq!(
            judge(status(&[("NetworkReady", true), ("RuntimeReady", false)])),
            Health::Unhealthy("the container runtime is not ready: Reason: in words".to_owned())
        );
    }

    #[test]
    fn an_endpoint_is_a_socket_with_or_without_a_scheme() {
        for endpoint in ["unix:///run/x.sock", "unix:/run/x.sock", "/run/x.sock"] {
            assert_eq!(socket_path(endpoint).unwrap(), PathBuf::from("/run/x.sock"), "{endpoint}");
        }
        for endpoint in ["tcp://127.0.0.1:1", "run/x.sock", "npipe:////./pipe/x", "unix://x", ""] {
            assert!(socket_path(endpoint).is_err(), "{endpoint}");
        }
    }
}
