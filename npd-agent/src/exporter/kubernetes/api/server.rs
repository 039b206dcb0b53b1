//! Which API server to use, with which credentials: node-problem-detector's `--apiserver-override`.
//!
//! `http[s]://host[:port]?inClusterConfig=false&insecure=true&auth=<kubeconfig>&useServiceAccount=true`. Without a
//! host, the API server of the cluster that the agent runs in is used; a path is ignored.

use std::{path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

/// Where a pod's service account token is.
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Which API server to use, with which credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiServer {
    credentials: Credentials,
    /// Replaces the server that comes with the credentials.
    server: Option<http::Uri>,
    insecure: bool,
    use_service_account: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Credentials {
    /// The pod's service account.
    InCluster,
    /// The current context of a kubeconfig, with its server.
    Kubeconfig(PathBuf),
    /// No credentials.
    Anonymous,
}

/// What is wrong with `--apiserver-override`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OverrideError {
    /// It is not an address.
    #[error("{0:?} is not the address of an API server; allowed is http://HOST[:PORT] or https://HOST[:PORT]")]
    Address(String),
    /// The value of a key is not a boolean.
    #[error("{key}={value:?}: it must be true or false")]
    Bool {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// Neither a host nor anything that names one.
    #[error(
        "invalid kubernetes master url specified: with inClusterConfig=false give http[s]://HOST[:PORT] or auth=KUBECONFIG"
    )]
    NoServer,
}

/// Why there are no credentials, or why they cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not in a pod.
    #[error(
        "this is not a pod with a service account; outside of a cluster set --enable-k8s-exporter=false, or name the server: \
         --apiserver-override='http://HOST:PORT?inClusterConfig=false'"
    )]
    InCluster(#[source] Box<InClusterError>),
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<KubeconfigError>,
    },
    /// A certificate or token is invalid.
    #[error("cannot use the credentials for {server}")]
    Client {
        /// The server.
        server: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
}

// === impl ApiServer ===

impl ApiServer {
    /// Parses the flag's value; empty means the cluster that the agent runs in. Unknown keys are ignored and passed to
    /// `note` as a sentence.
    pub fn parse(text: &str, mut note: impl FnMut(&str)) -> Result<Self, OverrideError> {
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut in_cluster, mut insecure, mut use_service_account, mut auth) = (None, None, None, None);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            // As in Go, the first value of a key counts.
            match &*key {
                "inClusterConfig" => set_bool(&mut in_cluster, "inClusterConfig", value)?,
                "insecure" => set_bool(&mut insecure, "insecure", value)?,
                "useServiceAccount" => set_bool(&mut use_service_account, "useServiceAccount", value)?,
                "auth" => auth = auth.or(Some(value)),
                _ => note(&format!(
                    "--apiserver-override: {key:?} has no effect; known are inClusterConfig, insecure, auth and \
                     useServiceAccount"
                )),
            }
        }
        let server = if address.is_empty() { None } else { Some(address_of(address)?) };
        let credentials = match auth.filter(|path| !path.is_empty()) {
            _ if in_cluster.unwrap_or(true) => Credentials::InCluster,
            Some(path) => Credentials::Kubeconfig(path.into()),
            None if server.is_some() => Credentials::Anonymous,
            None => return Err(OverrideError::NoServer),
        };
        Ok(Self {
            credentials,
            server,
            insecure: insecure.unwrap_or(false),
            use_service_account: use_service_account.unwrap_or(false),
        })
    }

    /// A client with the credentials as they are now: files and environment are read again each time.
    pub async fn connect(&self) -> Result<Client, ConnectError> {
        let mut config = match (&self.credentials, &self.server) {
            (Credentials::InCluster, server) => {
                let mut config = Config::incluster_env().map_err(|source| ConnectError::InCluster(Box::new(source)))?;
                if let Some(server) = server {
                    config.cluster_url = server.clone();
                }
                config
            }
            (Credentials::Kubeconfig(path), _) => {
                let failed = |source| ConnectError::Kubeconfig { path: path.clone(), source: Box::new(source) };
                let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
                Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(failed)?
            }
            (Credentials::Anonymous, Some(server)) => Config::new(server.clone()),
            // `parse` never returns this combination.
            (Credentials::Anonymous, None) => Config::new(http::Uri::default()),
        };
        if self.insecure {
            config.accept_invalid_certs = true;
            config.root_cert = None;
            config.root_cert_file = None;
        }
        if self.use_service_account && std::fs::File::open(TOKEN_FILE).is_ok() {
            config.auth_info.token_file = Some(TOKEN_FILE.to_owned());
        }
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // The callers decide when to retry.
        config.default_retry = false;
        let agent = concat!(env!("CARGO_PKG_NAME"), "/v", env!("CARGO_PKG_VERSION"));
        config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
        let server = config.cluster_url.to_string();
        let builder = ClientBuilder::try_from(config);
        Ok(builder.map_err(|source| ConnectError::Client { server, source: Box::new(source) })?.build())
    }
}

fn address_of(text: &str) -> Result<http::Uri, OverrideError> {
    let wrong = || OverrideError::Address(text.to_owned());
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong());
    };
    let builder = http::Uri::builder().scheme(scheme).authority(authority.clone()).path_and_query("/");
    builder.build().map_err(|_| wrong())
}

fn set_bool(slot: &mut Option<bool>, key: &'static str, value: String) -> Result<(), OverrideError> {
    let truth = crate::go::flag::parse_bool(&value).map_err(|_| OverrideError::Bool { key, value })?;
    slot.get_or_insert(truth);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ApiServer, OverrideError> {
        ApiServer::parse(text, |note| panic!("{note}"))
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn nothing_means_the_cluster_around_the_agent() {
        let server = parse("").unwrap();
        assert_eq!(server.credentials, Credentials::InCluster);
        assert_eq!(server.server, None);
        assert!(!server.insecure && !server.use_service_account);
    }

    #[test]
    fn a_host_replaces_the_one_of_the_cluster_and_its_path_is_ignored() {
        let server = parse("https://10.0.0.1:6443/api?insecure=1").unwrap();
        assert_eq!(server.credentials, Credentials::InCluster);
        assert_eq!(server.server.unwrap().to_string(), "https://10.0.0.1:6443/");
        assert!(server.insecure);
    }

    #[test]
    fn outside_of_a_cluster_a_host_or_a_kubeconfig_is_needed() {
        assert_eq!(parse("http://[::1]:8080?inClusterConfig=false").unwrap().credentials, Credentials::Anonymous);
        assert_eq!(
            parse("?inClusterConfig=F&auth=%2Fetc%2Fkube+config").unwrap().credentials,
            Credentials::Kubeconfig("/etc/kube config".into())
        );
        assert!(error("?inClusterConfig=false").starts_with("invalid kubernetes master url specified"));
        assert!(error("?inClusterConfig=false&auth=").starts_with("invalid kubernetes master url specified"));
    }

    #[test]
    fn the_first_of_two_values_counts() {
        let server = parse("http://a?inClusterConfig=false&inClusterConfig=true&useServiceAccount=t").unwrap();
        assert_eq!(server.credentials, Credentials::Anonymous);
        assert!(server.use_service_account);
    }

    #[test]
    fn an_error_about_a_value_says_what_is_allowed() {
        assert_eq!(error("http://a?inClusterConfig=maybe"), "inClusterConfig=\"maybe\": it must be true or false");
        assert_eq!(error("http://a?insecure"), "insecure=\"\": it must be true or false");
        for text in ["localhost:8080", "ftp://a", "http://", "/etc/kube", "http://a b"] {
            assert!(error(text).contains("allowed is http://HOST[:PORT]"), "{text}: {}", error(text));
        }
    }

    #[test]
    fn an_unknown_key_is_noted_and_ignored() {
        let mut notes = Vec::new();
        ApiServer::parse("http://a?apiVersion=v1", |note| notes.push(note.to_owned())).unwrap();
        assert!(notes.len() == 1 && notes[0].contains("\"apiVersion\" has no effect"), "{notes:?}");
    }
}
