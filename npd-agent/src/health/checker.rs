//! The whole of a health check: the component, its service's log, and repair.
//!
//! What node-problem-detector's health-checker does, in its order. What it calls unhealthy for want of a program or a
//! socket is here something that cannot be told, and nothing is repaired because of it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::task::spawn_blocking;

use super::{
    Verdict,
    cri::{cri, crictl},
    docker::docker,
    log_pattern::{self, LogPattern, Scope},
    node_agents::{self, Endpoint},
    repair::{self, Memory, MemoryError},
    systemd::{Systemd, SystemdError},
};
use crate::{error::chain, go::duration::GoDuration, time::Now};

/// What is checked.
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
        /// For one call.
        timeout: Duration,
        /// The crictl to ask instead of the runtime.
        crictl: Option<OsString>,
    },
}

/// A health check.
#[derive(Clone, Debug)]
pub struct Check {
    /// What is checked.
    pub component: Component,
    /// The service that runs it.
    pub service: String,
    /// For the component.
    pub timeout: Duration,
    /// Lines of which the service must not log too many.
    pub log_patterns: Vec<LogPattern>,
    /// How far back they are counted; since the start of the service where it is zero or longer ago than that.
    pub loopback: Duration,
    /// The journal's folder; nothing for the system's.
    pub journal: Option<PathBuf>,
    /// Whether and how the service is repaired.
    pub repair: Option<Repair>,
}

/// How a service is repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// How long it must have been up, and unrepaired.
    pub cooldown: Duration,
    /// Where repairs are remembered.
    pub memory: PathBuf,
}

/// What came of wanting to repair a service.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// It cannot be told how long it has been up, or it cannot be sent a signal.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// Another process repairs it just now.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

// === impl Check ===

impl Check {
    /// Checks, and repairs what is unhealthy and may be repaired. Whether the repair works shows in the next check.
    pub async fn run(&self) -> Verdict {
        let verdict = self.verdict().await;
        if let Verdict::Unhealthy(why) = &verdict {
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
        verdict
    }

    /// What is said of a component that is unhealthy, in node-problem-detector's words.
    #[must_use]
    pub fn unhealthy(&self) -> String {
        let (component, service, repairs) = (self.component.name(), &self.service, self.repair.is_some());
        format!("{component}:{service} was found unhealthy; repair flag : {repairs}")
    }

    /// What is said where nothing can be, in the same words.
    #[must_use]
    pub fn cannot_tell(&self, why: &str) -> String {
        format!("error checking {} health: {why}", self.component.name())
    }

    /// Checks only.
    pub async fn verdict(&self) -> Verdict {
        let component = self.component_verdict().await;
        if self.log_patterns.is_empty() {
            return component;
        }
        match self.log_verdict().await {
            // Who asks for both wants both.
            Verdict::CannotTell(why) => Verdict::CannotTell(why),
            Verdict::Unhealthy(why) if !matches!(component, Verdict::Unhealthy(_)) => Verdict::Unhealthy(why),
            Verdict::Healthy | Verdict::Unhealthy(_) => component,
        }
    }

    async fn component_verdict(&self) -> Verdict {
        match self.component.verdict(self.timeout).await {
            // A socket that is not there may be in another mount namespace. Where systemd knows the service, it is
            // not: then nobody listens.
            Verdict::CannotTell(why) if self.component.socket().is_some_and(|socket| !socket.exists()) => {
                let unit = async { Systemd::connect().await?.unit(&self.service).await };
                match unit.await {
                    Ok(unit) if unit.is_loaded => Verdict::Unhealthy(format!("{why}; its service is {}", unit.state)),
                    Ok(_) => Verdict::CannotTell(format!("{why}; systemd knows no service {}", self.service)),
                    Err(error) => Verdict::CannotTell(format!("{why}; {}", chain(&error))),
                }
            }
            verdict => verdict,
        }
    }

    async fn log_verdict(&self) -> Verdict {
        let now = Now::read();
        let uptime = async { Systemd::connect().await?.uptime(&self.service, now.mono).await };
        let uptime = match uptime.await {
            Ok(uptime) => uptime,
            Err(error) => return Verdict::CannotTell(chain(&error)),
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
            Ok(Err(error)) => Verdict::CannotTell(chain(&error)),
            Err(error) => Verdict::CannotTell(chain(&error)),
        }
    }

    /// Repairs the service when it is due: its main process gets SIGTERM and systemd starts it anew. Docker first
    /// gets SIGUSR1, on which it writes the stacks of all its threads to its log.
    async fn repair(&self, repair: &Repair) -> Result<bool, RepairError> {
        let now = Now::read().mono;
        let systemd = Systemd::connect().await?;
        let uptime = systemd.uptime(&self.service, now).await?;
        let mut memory = match Memory::open(&repair.memory, &self.service) {
            Ok(memory) => Some(memory),
            Err(error @ MemoryError::Busy(_)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(error = chain(&error), "repairs are limited by the age of the service alone");
                None
            }
        };
        let last = memory.as_ref().and_then(|memory| memory.since_last(now));
        if !repair::is_due(uptime, repair.cooldown, last) {
            return Ok(false);
        }
        if let Some(Err(error)) = memory.as_mut().map(|memory| memory.keep(now)) {
            tracing::warn!(%error, "this repair will not be remembered");
        }
        if matches!(self.component, Component::Docker { .. })
            && let Err(error) = systemd.kill_main(&self.service, Signal::USR1).await
        {
            tracing::warn!(error = chain(&error), "docker was not asked for its stacks");
        }
        systemd.kill_main(&self.service, Signal::TERM).await?;
        Ok(true)
    }
}

/// How far back lines count.
fn back(uptime: Duration, loopback: Duration) -> Duration {
    if loopback > Duration::ZERO && uptime > loopback { loopback } else { uptime }
}

fn judge(service: &str, patterns: &[LogPattern], counts: &[i64]) -> Verdict {
    let hit = patterns.iter().zip(counts).find(|(pattern, count)| **count >= pattern.threshold);
    hit.map_or(Verdict::Healthy, |(pattern, count)| {
        let LogPattern { text, threshold, .. } = pattern;
        Verdict::Unhealthy(format!("{service} logged {count} lines with {text:?}, the threshold is {threshold}"))
    })
}

// === impl Component ===

impl Component {
    /// As `--component` names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kubelet(_) => "kubelet",
            Self::KubeProxy(_) => "kube-proxy",
            Self::Docker { .. } => "docker",
            Self::Cri { .. } => "cri",
        }
    }

    /// Asks the component itself.
    pub async fn verdict(&self, within: Duration) -> Verdict {
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

    /// The socket on which its service listens.
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
    fn lines_count_since_the_start_of_the_service_or_for_the_loopback_time_when_that_is_less() {
        let secs = Duration::from_secs;
        for (uptime, loopback, back_to) in [(100, 0, 100), (100, 60, 60), (50, 60, 50), (60, 60, 60)] {
            assert_eq!(back(secs(uptime), secs(loopback)), secs(back_to));
        }
    }

    #[test]
    fn a_pattern_that_reaches_its_count_is_unhealthy() {
        let patterns = LogPattern::parse_list("3:oops,-1:x").unwrap();
        assert_eq!(judge("kubelet", &patterns[..1], &[2]), Verdict::Healthy);
        assert_eq!(
            judge("kubelet", &patterns[..1], &[3]),
            Verdict::Unhealthy("kubelet logged 3 lines with \"oops\", the threshold is 3".to_owned())
        );
        assert!(matches!(judge("kubelet", &patterns, &[2, 0]), Verdict::Unhealthy(_)));
    }
}
