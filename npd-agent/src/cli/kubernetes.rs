//! The flags of the Kubernetes exporter.

use std::time::Duration;

use clap::ArgAction;

use super::UsageError;
use crate::{
    exporter::kubernetes::{ApiServer, KubernetesOptions},
    feature::Feature,
    go::{duration::GoDuration, flag::parse_bool},
};

/// Whether the exporter is on by default: in every build that has it.
const DEFAULT: &str = if Feature::Kubernetes.is_built() { "true" } else { "false" };

/// node-problem-detector's flags of its Kubernetes exporter, and ours beside them.
#[expect(clippy::struct_excessive_bools, reason = "flags are what users set one by one")]
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct KubernetesArgs {
    /// Report to the Kubernetes API server: problems as events, conditions in the status of the Node.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = DEFAULT, default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set, value_name = "BOOL")]
    pub enable_k8s_exporter: bool,

    /// URI of the API server, if it is not that of the cluster the agent runs in, such as
    /// `http://10.0.0.1:8080?inClusterConfig=false`. Query parameters: `inClusterConfig` (use the pod's service account;
    /// default true), `auth` (path of a kubeconfig to use instead, including its server), `useServiceAccount` (use the
    /// pod's token in any case) and `insecure` (do not verify the server's certificate). Changed tokens are picked up.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "URI")]
    pub apiserver_override: String,

    /// How long to wait at start-up for the API server and the Node before continuing without them. Monitors run in the
    /// meantime, and what they find is kept.
    #[arg(long, default_value = "5m", value_parser = span, value_name = "DURATION")]
    pub apiserver_wait_timeout: Duration,

    /// How often to try the API server while waiting for it.
    #[arg(long, default_value = "5s", value_parser = positive_span, value_name = "DURATION")]
    pub apiserver_wait_interval: Duration,

    /// How often to send all conditions even if none has changed.
    #[arg(long, default_value = "5m", value_parser = heartbeat, value_name = "DURATION")]
    pub k8s_exporter_heartbeat_period: Duration,

    /// Send events.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set, value_name = "BOOL")]
    pub k8s_exporter_write_events: bool,

    /// Send conditions.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set, value_name = "BOOL")]
    pub k8s_exporter_update_node_conditions: bool,

    /// Remove from the Node the condition types that this agent has set and that no config has any more. The agent records
    /// its types in the Node's annotation `npd-agent/condition-types`. If false they stay forever, as with
    /// node-problem-detector; necessary if two agents with different configs share a node.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set, value_name = "BOOL")]
    pub cleanup_stale_conditions: bool,

    /// If a problem originates in a pod, such as an OOM kill, send an event about the pod as well. Requires permission to
    /// list pods and to write events in all namespaces (deploy/kustomize/components/pod-events).
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set, value_name = "BOOL")]
    pub pod_events: bool,

    /// Namespace of the events about the node. `kubectl describe node` shows events from any namespace.
    #[arg(long, default_value = "", hide_default_value = true, value_parser = namespace, value_name = "NAMESPACE")]
    pub event_namespace: String,

    /// Maximum number of requests per second to the API server; 0 means 5, a negative number means no limit.
    #[arg(long, default_value = "500", allow_negative_numbers = true, value_parser = rate, value_name = "NUMBER")]
    pub kube_api_qps: f32,

    /// Maximum burst of requests to the API server; 0 means 10.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(..=1_000_000), value_name = "NUMBER")]
    pub kube_api_burst: u32,
}

// === impl KubernetesArgs ===

impl KubernetesArgs {
    /// `None`: in a build without the exporter it is off, and switching it on is an error.
    #[cfg(not(feature = "kubernetes"))]
    pub fn check(
        &self,
        _: &str,
        mut warn: impl FnMut(&str),
    ) -> Result<Option<(KubernetesOptions, ApiServer)>, UsageError> {
        let missing = crate::feature::NotBuilt(Feature::Kubernetes);
        if self.enable_k8s_exporter {
            return Err(UsageError::Missing { flag: "enable-k8s-exporter", missing });
        }
        if !self.apiserver_override.is_empty() {
            warn(&format!("Flag --apiserver-override has no effect: {missing}."));
        }
        Ok(None)
    }

    /// The options of the exporter and its API server; `None` if it is off. What has no effect goes to `warn`.
    #[cfg(feature = "kubernetes")]
    pub fn check(
        &self,
        node: &str,
        warn: impl FnMut(&str),
    ) -> Result<Option<(KubernetesOptions, ApiServer)>, UsageError> {
        if !self.enable_k8s_exporter {
            return Ok(None);
        }
        // The name of a Node is restricted further, but the API server checks that.
        if node.is_empty() || !node.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            return Err(UsageError::NodeName(node.to_owned()));
        }
        let server = ApiServer::parse(&self.apiserver_override, warn)?;
        let options = KubernetesOptions {
            node: node.into(),
            wait_timeout: self.apiserver_wait_timeout,
            wait_interval: self.apiserver_wait_interval,
            heartbeat: self.k8s_exporter_heartbeat_period,
            write_events: self.k8s_exporter_write_events,
            update_conditions: self.k8s_exporter_update_node_conditions,
            cleanup_conditions: self.cleanup_stale_conditions,
            pod_events: self.pod_events,
            event_namespace: Some(self.event_namespace.clone()).filter(|namespace| !namespace.is_empty()),
            qps: self.kube_api_qps,
            burst: self.kube_api_burst,
        };
        Ok(Some((options, server)))
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let span: GoDuration = text.parse().map_err(|error: crate::go::duration::DurationError| error.to_string())?;
    span.to_std().ok_or_else(|| "it must not be negative".to_owned())
}

fn positive_span(text: &str) -> Result<Duration, String> {
    span(text)?.checked_sub(Duration::from_nanos(1)).ok_or("it must be more than 0")?;
    span(text)
}

fn heartbeat(text: &str) -> Result<Duration, String> {
    match span(text)? {
        period if period < Duration::from_secs(1) => Err("it must be at least 1s".to_owned()),
        period => Ok(period),
    }
}

fn rate(text: &str) -> Result<f32, String> {
    let rate = text.parse().ok().filter(|rate: &f32| rate.is_finite());
    rate.ok_or_else(|| "it must be a number".to_owned())
}

/// Empty, or a valid name of a namespace.
fn namespace(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.len() <= 63 && text.bytes().all(is_allowed) && !text.starts_with('-') && !text.ends_with('-') {
        Ok(text.to_owned())
    } else {
        Err("it must be the name of a namespace: up to 63 characters of a-z, 0-9 and -, with no - at either end"
            .to_owned())
    }
}

#[cfg(test)]
#[cfg(feature = "kubernetes")]
mod tests {
    use super::{super::Args, *};

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["npd-agent"], flags].concat())
    }

    use clap::Parser as _;

    #[test]
    fn the_defaults_are_node_problem_detectors() {
        let (options, server) = parse(&[]).unwrap().kubernetes.check("n", |_| ()).unwrap().unwrap();
        assert_eq!(server, ApiServer::parse("", |_| ()).unwrap());
        assert_eq!(
            (options.wait_timeout.as_secs(), options.wait_interval.as_secs(), options.heartbeat.as_secs()),
            (300, 5, 300)
        );
        assert!(options.write_events && options.update_conditions && options.cleanup_conditions && !options.pod_events);
        assert_eq!((options.qps, options.burst, options.event_namespace), (500.0, 500, None));
    }

    #[test]
    fn an_invalid_value_is_refused_with_what_is_allowed() {
        for (flag, allowed) in [
            ("--apiserver-wait-timeout=-1s", "must not be negative"),
            ("--apiserver-wait-interval=0", "more than 0"),
            ("--k8s-exporter-heartbeat-period=10ms", "at least 1s"),
            ("--k8s-exporter-heartbeat-period=5", "unit"),
            ("--kube-api-qps=many", "a number"),
            ("--kube-api-qps=NaN", "a number"),
            ("--kube-api-burst=-1", "-1"),
            ("--event-namespace=Kube_System", "a-z, 0-9 and -"),
            ("--pod-events=perhaps", "true or false"),
        ] {
            let error = parse(&[flag]).unwrap_err().to_string();
            assert!(error.contains(allowed), "{flag}: {error}");
        }
        assert!(parse(&["--kube-api-qps=-1"]).is_ok());
        let wrong = parse(&["--apiserver-override=nowhere"]).unwrap();
        assert!(matches!(wrong.kubernetes.check("n", |_| ()), Err(UsageError::ApiServer(_))));
    }

    #[test]
    fn a_name_that_no_node_can_have_is_refused() {
        let args = parse(&[]).unwrap();
        for name in ["", "a b", "a/b", "a?b", "ä"] {
            assert_eq!(args.kubernetes.check(name, |_| ()).unwrap_err(), UsageError::NodeName(name.to_owned()));
        }
    }

    #[test]
    fn an_exporter_that_is_off_needs_no_valid_address() {
        let args = parse(&["--enable-k8s-exporter=false", "--apiserver-override=nowhere"]).unwrap();
        assert!(args.kubernetes.check("n", |_| ()).unwrap().is_none());
    }
}
