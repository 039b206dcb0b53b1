//! A complete health check: the component, the log of its service, and repair.
//!
//! It does what node-problem-detector's health-checker does, in the same order. If a program or a socket is missing,
//! health-checker calls the component unhealthy; here the answer is "cannot tell", and nothing is repaired because of it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::task::spawn_blocking;

use super::{
    Health,
    cri::{cri, crictl},
    docker::docker,
    log_pattern::{self, LogPattern, Scope},
    node_agents::{self, Endpoint},
    repair::{self, Memory, MemoryError},
    systemd::{Systemd, SystemdError},
};
use crate::{error::chain, go::duration::GoDuration, time::Now};

/// The component that is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// The kubelet, over HTTP.
    Kubelet(Endpoint),
    /// kube-proxy, over HTTP.
    KubeProxy(Endpoint),
    /// Docker, over its socket.
    Docker {
        /// The socket.
        socket: PathBuf,
    },
    /// The container runtime.
    Cri {
        /// Its endpoint, as crictl takes it.
        endpoint: String,
        /// The socket of the endpoint.
        socket: PathBuf,
        /// For a single call.
        timeout: Duration,
        /// The crictl to run instead of calling the runtime.
        crictl: Option<OsString>,
    },
}

/// A health check of a component.
#[derive(Clone, Debug)]
pub struct ComponentCheck {
    /// The component that is checked.
    pub component: Component,
    /// The service that runs it.
    pub service: String,
    /// For the check of the component.
    pub timeout: Duration,
    /// Lines that the service must not log too often.
    pub log_patterns: Vec<LogPattern>,
    /// How far back they are counted; if it is zero or before the start of the service, since the start of the service.
    pub loopback: Duration,
    /// The directory of the journal; `None` for the system's.
    pub journal: Option<PathBuf>,
    /// Whether and how the service is repaired.
    pub repair: Option<Repair>,
}

/// How a service is repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// How long it must have been up, and not been repaired.
    pub cooldown: Duration,
    /// The directory where the time of each repair is stored.
    pub memory: PathBuf,
}

/// Why a service was not repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// Its uptime is unknown, or it cannot be sent a signal.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// Another process is repairing it.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

// === impl ComponentCheck ===

impl ComponentCheck {
    /// Checks, and repairs the service if it is unhealthy and due. The next check shows whether the repair has worked.
    pub async fn run(&self) -> Health {
        let health = self.health().await;
        if let Health::Unhealthy(why) = &health {
            let (component, service) = (self.component.name(), &self.service);
            tracing::info!(component, service, why, "unhealthy");
            if let Some(repair) = &self.repair {
                match self.repair(repair).await {
                    Ok(true) => tracing::info!(component, service, "repaired: sent SIGTERM to its main process"),
                    Ok(false) => tracing::info!(component, service, "not repaired: within its cooldown"),
                    Err(error) => tracing::error!(component, service, error = chain(&error), "not repaired"),
                }
            }
        }
        health
    }

    /// The message about an unhealthy component, in node-problem-detector's words.
    #[must_use]
    pub fn unhealthy(&self) -> String {
        let (component, service, repairs) = (self.component.name(), &self.service, self.repair.is_some());
        format!("{component}:{service} was found unhealthy; repair flag : {repairs}")
    }

    /// The message if the health cannot be determined, in node-problem-detector's words.
    #[must_use]
    pub fn cannot_tell(&self, why: &str) -> String {
        format!("error checking {} health: {why}", self.component.name())
    }

    /// Checks without repairing.
    pub async fn health(&self) -> Health {
        let component = self.component_health().await;
        if self.log_patterns.is_empty() {
            return component;
        }
        match self.log_health().await {
            // If both are configured, both are needed for an answer.
            Health::CannotTell(why) => Health::CannotTell(why),
            Health::Unhealthy(why) if !matches!(component, Health::Unhealthy(_)) => Health::Unhealthy(why),
            Health::Healthy | Health::Unhealthy(_) => component,
        }
    }

    async fn component_health(&self) -> Health {
        match self.component.health(self.timeout).await {
            // A missing socket may be in another mount namespace. If systemd knows the service it is not, so nothing is
            // listening.
            Health::CannotTell(why) if self.component.socket().is_some_and(|socket| !socket.exists()) => {
                let unit = async { Systemd::connect().await?.unit(&self.service).await };
                match unit.await {
                    Ok(unit) if unit.is_loaded => Health::Unhealthy(format!("{why}; the service is {}", unit.state)),
                    Ok(_) => Health::CannotTell(format!("{why}; systemd does not know the service {}", self.service)),
                    Err(error) => Health::CannotTell(format!("{why}; {}", chain(&error))),
                }
            }
            health => health,
        }
    }

    async fn log_health(&self) -> Health {
        let now = Now::read();
        let uptime = async { Systemd::connect().await?.uptime(&self.service, now.mono).await };
        let uptime = match uptime.await {
            Ok(uptime) => uptime,
            Err(error) => return Health::CannotTell(chain(&error)),
        };
        let back = back(uptime, self.loopback);
        let scope = Scope {
            folder: self.journal.clone(),
            service: self.service.clone(),
            since: now.wall.shift(0_i64.saturating_sub(i64::try_from(back.as_nanos()).unwrap_or(i64::MAX))),
            until: Instant::now() + self.timeout,
        };
        let patterns = self.log_patterns.clone();
        match spawn_blocking(move || log_pattern::count(scope, &patterns)).await {
            Ok(Ok(counts)) => judge(&self.service, &self.log_patterns, &counts),
            Ok(Err(error)) => Health::CannotTell(chain(&error)),
            Err(error) => Health::CannotTell(chain(&error)),
        }
    }

    /// Repairs the service if it is due: its main process gets SIGTERM, and systemd restarts it. Docker first gets SIGUSR1, which
    /// makes it write the stacks of all its threads to its log.
    async fn repair(&self, repair: &Repair) -> Result<bool, RepairError> {
        let now = Now::read().mono;
        let systemd = Systemd::connect().await?;
        let uptime = systemd.uptime(&self.service, now).await?;
        let mut memory = match Memory::open(&repair.memory, &self.service) {
            Ok(memory) => Some(memory),
            Err(error @ MemoryError::Busy(_)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "the last repair is unknown: repairs are limited only by the uptime of the service"
                );
                None
            }
        };
        let last = memory.as_ref().and_then(|memory| memory.since_last(now));
        if !repair::is_due(uptime, repair.cooldown, last) {
            return Ok(false);
        }
        if let Some(Err(error)) = memory.as_mut().map(|memory| memory.store(now)) {
            tracing::warn!(%error, "the time of this repair cannot be stored");
        }
        if matches!(self.component, Component::Docker { .. })
            && let Err(error) = systemd.kill_main(&self.service, Signal::USR1).await
        {
            tracing::warn!(error = chain(&error), "docker was not asked to dump its stacks");
        }
        systemd.kill_main(&self.service, Signal::TERM).await?;
        Ok(true)
    }
}

/// How far back lines are counted.
fn back(uptime: Duration, loopback: Duration) -> Duration {
    if loopback > Duration::ZERO && uptime > loopback { loopback } else { uptime }
}

fn judge(service: &str, patterns: &[LogPattern], counts: &[i64]) -> Health {
    let hit = patterns.iter().zip(counts).find(|(pattern, count)| **count >= pattern.threshold);
    hit.map_or(Health::Healthy, |(pattern, count)| {
        let LogPattern { text, threshold, .. } = pattern;
        Health::Unhealthy(format!("{service} logged {count} lines that match {text:?}, the threshold is {threshold}"))
    })
}

// === impl Component ===

impl Component {
    /// The name, as in `--component`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kubelet(_) => "kubelet",
            Self::KubeProxy(_) => "kube-proxy",
            Self::Docker { .. } => "docker",
            Self::Cri { .. } => "cri",
        }
    }

    /// Checks the component itself.
    pub async fn health(&self, within: Duration) -> Health {
        match self {
            Self::Kubelet(endpoint) => node_agents::kubelet(endpoint, within).await,
            Self::KubeProxy(endpoint) => node_agents::kube_proxy(endpoint, within).await,
            Self::Docker { socket } => docker(socket, within).await,
            Self::Cri { endpoint, timeout, crictl: Some(program), .. } => {
                let nanos = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
                crictl(program, endpoint, GoDuration::from_nanos(nanos), within).await
            }
            Self::Cri { socket, timeout, crictl: None, .. } => cri(socket, *timeout, within).await,
        }
    }

    /// The socket on which the service listens.
    fn socket(&self) -> Option<&Path> {
        match self {
            Self::Kubelet(_) | Self::KubeProxy(_) | Self::Cri { crictl: Some(_), .. } => None,
            Self::Docker { socket } | Self::Cri { socket, .. } => Some(socket),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_since_the_start_of_the_service_or_for_the_loopback_time_if_that_is_less() {
        let secs = Duration::from_secs;
        for (uptime, loopback, back_to) in [(100, 0, 100), (100, 60, 60), (50, 60, 50), (60, 60, 60)] {
            assert_eq!(back(secs(uptime), secs(loopback)), secs(back_to));
        }
    }

    #[test]
    fn a_pattern_that_reaches_its_count_is_unhealthy() {
        let patterns = LogPattern::parse_list("3:oops,-1:x").unwrap();
        assert_eq!(judge("kubelet", &patterns[..1], &[2]), Health::Healthy);
        assert_eq!(
            judge("kubelet", &patterns[..1], &[3]),
            Health::Unhealthy("kubelet logged 3 lines that match \"oops\", the threshold is 3".to_owned())
        );
        assert!(matches!(judge("kubelet", &patterns, &[2, 0]), Health::Unhealthy(_)));
    }
}
