//! The command line of health-checker: node-problem-detector's flags, and flags for what those leave open.

use clap::Parser;

use crate::{health::args::ComponentArgs, process::klog::KlogArgs};

const ABOUT: &str = "Checks the kubelet, kube-proxy, Docker or a container runtime, and repairs its service.

A plugin for custom plugin monitors, with node-problem-detector's flags. It needs no other program: it queries the \
kubelet and kube-proxy over HTTP, Docker and container runtimes over their sockets, and systemd over D-Bus, and reads \
the files of the journal itself.";

const EXAMPLES: &str = "Examples:
  health-checker --component=kubelet --enable-repair=false
  health-checker --component=cri --cri-socket-path=unix:///run/crio/crio.sock --service=crio
  health-checker --component=kubelet --loopback-time=10m --log-pattern='5:use of closed network connection'

Environment:
  HOST_ADDRESS (default localhost), KUBELET_PORT (10248), KUBEPROXY_PORT (10256), DBUS_SYSTEM_BUS_ADDRESS

Exit status: 0 healthy; 1 unhealthy; 2 unknown, with the reason on standard output, and for an invalid command line.";

/// The command line of health-checker.
#[derive(Debug, Parser)]
#[command(
    name = "health-checker",
    about = ABOUT.split('\n').next(),
    long_about = ABOUT,
    after_long_help = EXAMPLES,
    args_override_self = true,
    max_term_width = 110
)]
pub struct HealthCheckerArgs {
    /// The check.
    #[command(flatten)]
    pub component: ComponentArgs,

    /// The log of the program itself.
    #[command(flatten)]
    pub klog: KlogArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        HealthCheckerArgs::command().debug_assert();
    }
}
