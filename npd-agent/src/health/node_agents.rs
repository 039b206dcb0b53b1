//! kubelet and kube-proxy, which serve their health over HTTP.

use std::{env, time::Duration};

use http::StatusCode;
use tokio::time::timeout;

use super::{Health, http_get};
use crate::error::chain;

/// Where a node agent serves its health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// An invalid port in the environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("${variable} is {value:?}: it must be a port, from 1 to 65535")]
pub struct PortError {
    variable: &'static str,
    value: String,
}

/// Whether the kubelet reports that it is healthy: `/healthz` answers 200.
pub async fn kubelet(endpoint: &Endpoint, within: Duration) -> Health {
    check(endpoint, "/healthz", within).await
}

/// Whether kube-proxy reports that it is alive: `/livez` answers 200. Its `/healthz` also fails while the node is being removed
/// from the cluster.
pub async fn kube_proxy(endpoint: &Endpoint, within: Duration) -> Health {
    check(endpoint, "/livez", within).await
}

async fn check(endpoint: &Endpoint, path: &str, within: Duration) -> Health {
    let Endpoint { host, port } = endpoint;
    match timeout(within, http_get::tcp(host, *port, path)).await {
        Ok(Ok(StatusCode::OK)) => Health::Healthy,
        Ok(Ok(status)) => Health::Unhealthy(format!("http://{host}:{port}{path} answered {}", status.as_u16())),
        Ok(Err(error)) if error.is_ours() => Health::CannotTell(chain(&error)),
        Ok(Err(error)) => Health::Unhealthy(format!("http://{host}:{port}{path}: {}", chain(&error))),
        Err(_) => Health::Unhealthy(format!("http://{host}:{port}{path} did not answer within {within:?}")),
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// The kubelet's, from $HOST_ADDRESS and $KUBELET_PORT.
    pub fn kubelet() -> Result<Self, PortError> {
        Self::from_env("KUBELET_PORT", 10248, |name| env::var(name).ok())
    }

    /// kube-proxy's, from $HOST_ADDRESS and $KUBEPROXY_PORT.
    pub fn kube_proxy() -> Result<Self, PortError> {
        Self::from_env("KUBEPROXY_PORT", 10256, |name| env::var(name).ok())
    }

    fn from_env(variable: &'static str, port: u16, var: impl Fn(&str) -> Option<String>) -> Result<Self, PortError> {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let host = set("HOST_ADDRESS").unwrap_or_else(|| "localhost".to_owned());
        let port = match set(variable) {
            None => port,
            Some(value) => match value.parse() {
                Ok(port @ 1..) => port,
                _ => return Err(PortError { variable, value }),
            },
        };
        Ok(Self { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_sets_host_and_port() {
        let endpoint = |port: Option<&str>, host: Option<&str>| {
            Endpoint::from_env("KUBELET_PORT", 10248, |name| {
                if name == "HOST_ADDRESS" { host } else { port }.map(str::to_owned)
            })
        };
        let is = |host: &str, port| Ok(Endpoint { host: host.to_owned(), port });
        assert_eq!(endpoint(None, None), is("localhost", 10248));
        assert_eq!(endpoint(Some(""), Some("")), is("localhost", 10248));
        assert_eq!(endpoint(Some("1"), Some("::1")), is("::1", 1));
        assert_eq!(
            endpoint(Some("0"), None).unwrap_err().to_string(),
            "$KUBELET_PORT is \"0\": it must be a port, from 1 to 65535"
        );
    }
}
