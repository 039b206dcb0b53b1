//! The flags of a component check, the same for health-checker and for a built-in check of a config file.

use std::{ffi::OsString, io, path::PathBuf, time::Duration};

use clap::{ArgAction, Args};

use super::{
    checker::{Component, ComponentCheck, Repair},
    cri,
    log_pattern::LogPattern,
    node_agents::{Endpoint, PortError},
    repair,
};
use crate::{
    error::chain,
    go::{duration::GoDuration, flag::parse_bool},
};

/// The flags of a component check.
#[derive(Debug, Args)]
pub struct ComponentArgs {
    /// Component to check: kubelet, kube-proxy, docker or cri.
    #[arg(long, default_value = "kubelet", value_name = "COMPONENT")]
    component: String,

    /// systemd service of the component; by default the name of the component, or containerd for cri.
    #[arg(long, alias = "systemd-service", default_value = "", hide_default_value = true, value_name = "UNIT")]
    service: String,

    /// Send SIGTERM to the main process of an unhealthy service, so that systemd restarts it.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set, value_name = "BOOL")]
    enable_repair: bool,

    /// Path of a crictl to run instead of calling the runtime over its socket.
    #[arg(long, value_name = "FILE")]
    crictl_path: Option<OsString>,

    /// Socket of the container runtime.
    #[arg(long, default_value = "unix:///var/run/containerd/containerd.sock", value_name = "ENDPOINT")]
    cri_socket_path: String,

    /// Timeout of a single call to the container runtime.
    #[arg(long, default_value = "2s", allow_hyphen_values = true, value_name = "DURATION")]
    cri_timeout: GoDuration,

    /// Socket of Docker.
    #[arg(long, default_value = "unix:///var/run/docker.sock", value_name = "ENDPOINT")]
    docker_socket_path: String,

    /// How long a service must have been up, and not been repaired, before it is repaired.
    #[arg(long, default_value = "2m", allow_hyphen_values = true, value_name = "DURATION")]
    cooldown_time: GoDuration,

    /// Directory where the time of each repair is stored, so that a service that survives a repair is not repaired again
    /// within its cooldown.
    #[arg(long, default_value = repair::FOLDER, value_name = "DIR")]
    repair_dir: PathBuf,

    /// How far back log lines are counted; 0 for since the start of the service.
    #[arg(long, default_value = "0", allow_hyphen_values = true, value_name = "DURATION")]
    loopback_time: GoDuration,

    /// Timeout of the whole check of the component.
    #[arg(long, default_value = "10s", allow_hyphen_values = true, value_name = "DURATION")]
    health_check_timeout: GoDuration,

    /// Number of matching lines in the log of the service at which it is unhealthy, and the pattern: a basic regular
    /// expression as for grep, regardless of case. Several are separated by commas; may be repeated.
    #[arg(long, value_parser = |text: &str| Patterns::parse(text), action = ArgAction::Append, value_name = "COUNT:PATTERN[,…]", allow_hyphen_values = true)]
    log_pattern: Vec<Patterns>,

    /// Directory of the journal; by default the system's.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "DIR")]
    log_path: OsString,
}

/// The value of one `--log-pattern`.
#[derive(Clone, Debug)]
struct Patterns(Vec<LogPattern>);

/// Invalid flags, in node-problem-detector's words where it has any.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// An unknown component.
    #[error("the component specified is not supported. Supported components are : <kubelet/docker/cri/kube-proxy>")]
    Component,
    /// An empty path of crictl.
    #[error("the crictl-path cannot be empty for cri component")]
    Crictl,
    /// An empty path of the runtime's socket.
    #[error("the cri-socket-path cannot be empty for cri component")]
    CriSocket,
    /// An endpoint that is not a Unix socket.
    #[error("--{flag}: {source}")]
    Socket {
        /// The flag.
        flag: &'static str,
        /// What is wrong with it.
        source: io::Error,
    },
    /// An invalid port in the environment.
    #[error(transparent)]
    Port(#[from] PortError),
}

// === impl ComponentArgs ===

impl ComponentArgs {
    /// The check that these flags describe.
    pub fn check(self) -> Result<ComponentCheck, UsageError> {
        let span = |duration: GoDuration| duration.to_std().unwrap_or(Duration::ZERO);
        let socket =
            |flag, endpoint: &str| cri::socket_path(endpoint).map_err(|source| UsageError::Socket { flag, source });
        let component = match self.component.as_str() {
            "kubelet" => Component::Kubelet(Endpoint::kubelet()?),
            "kube-proxy" => Component::KubeProxy(Endpoint::kube_proxy()?),
            "docker" => Component::Docker { socket: socket("docker-socket-path", &self.docker_socket_path)? },
            "cri" => {
                if self.crictl_path.as_ref().is_some_and(|path| path.is_empty()) {
                    return Err(UsageError::Crictl);
                }
                if self.cri_socket_path.is_empty() {
                    return Err(UsageError::CriSocket);
                }
                Component::Cri {
                    socket: socket("cri-socket-path", &self.cri_socket_path)?,
                    endpoint: self.cri_socket_path,
                    timeout: span(self.cri_timeout),
                    crictl: self.crictl_path,
                }
            }
            _ => return Err(UsageError::Component),
        };
        let service = match (self.service.as_str(), &component) {
            ("", Component::Cri { .. }) => "containerd".to_owned(),
            ("", component) => component.name().to_owned(),
            _ => self.service,
        };
        let mut log_patterns = Vec::new();
        for pattern in self.log_pattern.into_iter().flat_map(|Patterns(patterns)| patterns) {
            pattern.add_to(&mut log_patterns);
        }
        let cooldown = span(self.cooldown_time);
        Ok(ComponentCheck {
            component,
            service,
            timeout: span(self.health_check_timeout),
            log_patterns,
            loopback: span(self.loopback_time),
            journal: Some(self.log_path).filter(|path| !path.is_empty()).map(PathBuf::from),
            repair: self.enable_repair.then_some(Repair { cooldown, memory: self.repair_dir }),
        })
    }
}

// === impl Patterns ===

impl Patterns {
    fn parse(text: &str) -> Result<Self, String> {
        LogPattern::parse_list(text).map(Self).map_err(|error| chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;

    fn parse(args: &[&str]) -> Result<ComponentArgs, clap::Error> {
        let command = ComponentArgs::augment_args(Command::new("check").args_override_self(true));
        let matches = command.try_get_matches_from([&["check"], args].concat())?;
        ComponentArgs::from_arg_matches(&matches)
    }

    fn check(args: &[&str]) -> Result<ComponentCheck, UsageError> {
        parse(args).unwrap().check()
    }

    #[test]
    fn the_defaults_are_node_problem_detectors() {
        let ComponentCheck { component, service, timeout, log_patterns, loopback, journal, repair } =
            check(&[]).unwrap();
        assert_eq!((component.name(), service.as_str()), ("kubelet", "kubelet"));
        assert_eq!((timeout, loopback, log_patterns.len()), (Duration::from_secs(10), Duration::ZERO, 0));
        assert_eq!(journal, None);
        assert_eq!(repair, Some(Repair { cooldown: Duration::from_mins(2), memory: "/run/npd".into() }));
        let Component::Cri { endpoint, timeout, crictl, .. } = check(&["--component=cri"]).unwrap().component else {
            panic!("another component")
        };
        assert_eq!(endpoint, "unix:///var/run/containerd/containerd.sock");
        assert_eq!((timeout, crictl), (Duration::from_secs(2), None));
    }

    #[test]
    fn the_service_is_that_of_the_component_unless_it_is_named() {
        for (args, service) in [
            (&["--component=kubelet"][..], "kubelet"),
            (&["--component=docker"], "docker"),
            (&["--component=cri"], "containerd"),
            (&["--component=kube-proxy"], "kube-proxy"),
            (&["--component=cri", "--service=crio"], "crio"),
            (&["--systemd-service=a", "--service=b"], "b"),
            (&["--service=a", "--systemd-service=b"], "b"),
        ] {
            assert_eq!(check(args).unwrap().service, service, "{args:?}");
        }
    }

    #[test]
    fn flags_that_are_wrong_together_are_refused_in_node_problem_detectors_words() {
        for (args, words) in [
            (
                &["--component=etcd"][..],
                "the component specified is not supported. Supported components are : <kubelet/docker/cri/kube-proxy>",
            ),
            (&["--component=cri", "--crictl-path="], "the crictl-path cannot be empty for cri component"),
            (&["--component=cri", "--cri-socket-path="], "the cri-socket-path cannot be empty for cri component"),
            (
                &["--component=cri", "--cri-socket-path=x"],
                "--cri-socket-path: \"x\" is not a Unix socket: it must be unix:///path",
            ),
        ] {
            assert_eq!(check(args).unwrap_err().to_string(), words);
        }
        assert!(check(&["--component=kubelet", "--crictl-path="]).is_ok(), "the flag belongs to another component");
    }

    #[test]
    fn patterns_of_all_flags_add_up() {
        let check = check(&["--log-pattern=10:a,-1:b", "--log-pattern", "2:a"]).unwrap();
        let patterns: Vec<_> = check.log_patterns.iter().map(|p| (p.text.as_str(), p.threshold)).collect();
        assert_eq!(patterns, [("a", 2), ("b", -1)]);
    }

    #[test]
    fn flags_with_invalid_syntax_are_refused() {
        for flag in ["--log-pattern=a", "--log-pattern=0:a", "--cooldown-time=5", "--enable-repair=x", "--nope", "x"] {
            assert!(parse(&[flag]).is_err(), "{flag}");
        }
    }

    #[test]
    fn the_shipped_configs_ask_for_what_they_are_named_after() {
        for (name, component, service, cooldown) in [
            ("kubelet", "kubelet", "kubelet", 1),
            ("docker", "docker", "docker", 2),
            ("containerd", "cri", "containerd", 2),
        ] {
            let path = format!("{}/../config/health-checker-{name}.json", env!("CARGO_MANIFEST_DIR"));
            let config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            let args = config["rules"][0]["args"].as_array().unwrap();
            let args: Vec<_> = args.iter().map(|arg| arg.as_str().unwrap()).collect();
            let check = check(&args).unwrap();
            assert_eq!((check.component.name(), check.service.as_str()), (component, service));
            assert_eq!(check.repair.map(|repair| repair.cooldown), Some(Duration::from_mins(cooldown)));
        }
    }
}
