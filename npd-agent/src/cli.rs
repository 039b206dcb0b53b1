//! The command lines of the programs: node-problem-detector's flags, and ours beside them.
//!
//! Flags follow pflag: long ones take two dashes, booleans take `=false`, lists are comma-separated with CSV quoting and may be
//! repeated; if a flag with a single value is repeated, the last value wins. A flag of node-problem-detector for something that
//! is not implemented yet is refused: accepting it and doing nothing would be worse.

#[cfg(feature = "health-checks")]
pub mod health_checker;
mod kubernetes;
pub mod log_counter;
mod value;

use std::{ffi::OsString, net::IpAddr, path::PathBuf};

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

pub use self::{
    kubernetes::KubernetesArgs,
    value::{CommaList, RingSize},
};

use crate::{
    config::ConfigFile,
    exporter::kubernetes::OverrideError,
    feature::{Feature, NotBuilt},
    go::flag::parse_bool,
    node::Node,
    process::log::LogFormat,
    source::kernel::{log::KernelLogOptions, mode::KernelSource},
};

/// The first lines of `--help`.
const ABOUT: &str =
    "Detects kernel and system problems of a node the moment they happen, and reports them to Kubernetes, Prometheus and the log.

A drop-in replacement for node-problem-detector: it takes the same flags and config files. It watches the kernel log \
through eBPF probes and /dev/kmsg together, so that nothing is lost in a flood, and reads log files and the journal as \
well. Plugins and built-in checks look after the components of the node, and what /proc and /sys say about the node \
becomes metrics.";

const EXAMPLES: &str = "Examples:
  Watch the kernel log without a cluster:
    npd-agent --enable-k8s-exporter=false --config.system-log-monitor=config/kernel-monitor.json,config/readonly-monitor.json
  In a pod, events and conditions go to the API server of the cluster; elsewhere, name the API server:
    npd-agent --apiserver-override='http://127.0.0.1:8001?inClusterConfig=false' --config.system-log-monitor=config/kernel-monitor.json
  Write a problem to the kernel log, and see it counted:
    echo '<3>task docker:7 blocked for more than 300 seconds.' > /dev/kmsg
    curl -s http://127.0.0.1:20257/metrics | grep problem_
  See what this kernel supports:
    npd-agent features
  Check config files before rolling them out, and see which rules match a log:
    npd-agent check-config config/*.json
    dmesg | npd-agent replay --config config/kernel-monitor.json

Exit status: 0 after SIGTERM, SIGINT, --help and --version; 2 for an invalid command line or an invalid \
--apiserver-override; 255 for everything else that keeps the agent from working, such as a config file with errors.";

/// The command line of npd-agent, each flag checked by itself.
#[derive(Debug, Parser)]
#[command(
    name = "npd-agent",
    about = ABOUT.split('\n').next(),
    long_about = ABOUT,
    after_long_help = EXAMPLES,
    args_override_self = true,
    disable_version_flag = true,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 110
)]
pub struct Args {
    /// What to do instead of running.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Print the version and exit.
    #[arg(long, help_heading = "Agent", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, value_parser = parse_bool, action = ArgAction::Set, value_name = "BOOL")]
    pub version: bool,

    /// The name of the node; by default $NODE_NAME or, if that is empty, the host name.
    #[arg(long, help_heading = "Agent", default_value = "", hide_default_value = true, value_name = "NAME")]
    pub hostname_override: String,

    /// Config files of system log monitors, separated by commas; may be repeated.
    #[arg(long = "config.system-log-monitor", help_heading = "Monitors", value_name = "FILE[,FILE…]", action = ArgAction::Append)]
    pub system_log_monitors: Vec<CommaList>,

    /// Config files of custom plugin monitors, separated by commas; may be repeated.
    #[arg(long = "config.custom-plugin-monitor", help_heading = "Monitors", value_name = "FILE[,FILE…]", action = ArgAction::Append)]
    pub custom_plugin_monitors: Vec<CommaList>,

    #[arg(long = "custom-plugin-monitors", hide = true, action = ArgAction::Append)]
    deprecated_custom_plugin_monitors: Vec<CommaList>,

    /// Run plugins even if users other than root can change them or a directory that contains them.
    #[arg(long, help_heading = "Monitors", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, value_parser = parse_bool, action = ArgAction::Set, value_name = "BOOL")]
    pub allow_insecure_plugins: bool,

    /// Config files of system stats monitors, separated by commas; may be repeated.
    #[arg(long = "config.system-stats-monitor", help_heading = "Monitors", value_name = "FILE[,FILE…]", action = ArgAction::Append)]
    pub system_stats_monitors: Vec<CommaList>,

    #[arg(long = "system-log-monitors", hide = true, action = ArgAction::Append)]
    deprecated_system_log_monitors: Vec<CommaList>,

    /// Directory for the state that survives a restart: how far each log was read, conditions, counts. If empty, no state
    /// is kept, and after a restart logs are read from as far back as `lookback`.
    #[arg(long, help_heading = "Monitors", default_value = "/var/lib/npd", value_name = "DIR")]
    pub state_dir: OsString,

    /// How the kernel log is read.
    #[arg(long, help_heading = "Kernel log", value_enum, default_value_t, value_name = "SOURCE")]
    pub kernel_source: SourceArg,

    /// Size of the probes' ring buffer in bytes: a power of two from 65536 to 1073741824. It has to hold what the
    /// kernel prints while the agent is not scheduled; a line takes 100 to 160 bytes.
    #[arg(long, help_heading = "Kernel log", default_value_t = RingSize(4 << 20), value_name = "BYTES")]
    pub kernel_ring_size: RingSize,

    /// Address of the health endpoint, which serves /healthz, /readyz, /conditions and /api/v1/problems.
    #[arg(long, help_heading = "Servers", default_value = "127.0.0.1", value_name = "IP")]
    pub address: IpAddr,

    /// Port of the health endpoint; 0 or less disables it.
    #[arg(long, help_heading = "Servers", default_value_t = 20256, allow_negative_numbers = true, value_name = "PORT", value_parser = clap::value_parser!(i64).range(..=65535))]
    pub port: i64,

    /// Address of the metrics endpoint, which serves /metrics.
    #[arg(long, help_heading = "Servers", default_value = "127.0.0.1", value_name = "IP")]
    pub prometheus_address: IpAddr,

    /// Port of the metrics endpoint; 0 or less disables it.
    #[arg(long, help_heading = "Servers", default_value_t = 20257, allow_negative_numbers = true, value_name = "PORT", value_parser = clap::value_parser!(i64).range(..=65535))]
    pub prometheus_port: i64,

    /// Format of the agent's own log, which goes to standard error.
    #[arg(long, help_heading = "Logging", value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Log verbosity: 0 logs what an operator needs, 1 adds each probe event and the probes' own diagnostics, 2 logs
    /// everything. $RUST_LOG takes precedence.
    #[arg(
        short,
        long = "v",
        help_heading = "Logging",
        default_value_t = 0,
        allow_negative_numbers = true,
        value_name = "LEVEL"
    )]
    pub verbosity: i32,

    #[arg(long, hide = true, value_name = "PATTERN=LEVEL[,…]")]
    vmodule: Option<String>,

    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    logtostderr: bool,

    /// How problems are reported to the cluster.
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,

    #[command(flatten)]
    unimplemented: Unimplemented,
}

/// node-problem-detector's flags for what is not implemented yet.
#[derive(Debug, clap::Args)]
struct Unimplemented {
    #[arg(long = "exporter.stackdriver", hide = true)]
    exporter_stackdriver: Option<String>,
}

/// What to do instead of running.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Show what this kernel supports: the state of each probe, and how the kernel log would be read.
    Features,
    /// Check config files of any kind of monitor: print all errors and likely mistakes, each with its position.
    ///
    /// Exit status: 0 if all files can be used, even with warnings; 1 otherwise.
    CheckConfig {
        /// The config files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Show which rules match which lines of a log, and the events and conditions that follow.
    ///
    /// The log is read from its start, with the times of its records. Conditions that only the running node can clear
    /// (`recheck`) remain. Exit status: 0, no matter how many rules match; 255 if a file cannot be read.
    Replay(ReplayArgs),
}

/// What to replay.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayArgs {
    /// Config file of a system log monitor; may be repeated.
    #[arg(long = "config", required = true, value_name = "FILE")]
    pub configs: Vec<PathBuf>,
    /// Format of the log; by default it is detected from the first line.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<ReplayFormat>,
    /// Print one JSON object per match, and nothing else.
    #[arg(long)]
    pub json: bool,
    /// The log; standard input if omitted or `-`.
    #[arg(value_name = "LOG")]
    pub log: Option<PathBuf>,
}

/// The format of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReplayFormat {
    /// The format of /dev/kmsg, dictionary lines included: `6,339,5140900,-;text`.
    Kmsg,
    /// The format of dmesg, also with `--time-format=iso` and with levels: `[    5.140900] text`.
    Dmesg,
    /// One record per line; for a `filelog` config, lines as in its log file.
    Plain,
    /// The format of `journalctl -o export`.
    JournalExport,
}

/// How the kernel log is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SourceArg {
    /// The best source that passes a self-test at start-up.
    #[default]
    Auto,
    /// The eBPF probes only; without them the kernel log is not read.
    Ebpf,
    /// /dev/kmsg only, as in node-problem-detector.
    Kmsg,
    /// The journal's copy of the kernel log. `auto` falls back to it if nothing else can be read.
    Journald,
}

/// A command line whose flags are valid by themselves, but not together or not in this build.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UsageError {
    /// A flag for something that is not implemented yet.
    #[error("--{flag}: {part} is not implemented yet; remove the flag")]
    NotBuilt {
        /// The flag.
        flag: &'static str,
        /// What it configures.
        part: &'static str,
    },
    /// A flag that needs a feature this build lacks.
    #[error("--{flag}: {missing}")]
    Missing {
        /// The flag, with its value if only that value needs the feature.
        flag: &'static str,
        /// The feature.
        missing: NotBuilt,
    },
    /// A flag and its deprecated form together.
    #[error("--{old} is deprecated and cannot be combined with --{new}; use only --{new}")]
    Both {
        /// The deprecated flag.
        old: &'static str,
        /// The flag that replaces it.
        new: &'static str,
    },
    /// An invalid `--apiserver-override`.
    #[error("--apiserver-override: {0}")]
    ApiServer(#[from] OverrideError),
    /// A name that no node can have.
    #[error(
        "{0:?} is not a valid node name: it must consist of letters, digits, \"-\" and \".\"; set it with \
         --hostname-override or $NODE_NAME"
    )]
    NodeName(String),
    /// No monitor, in node-problem-detector's words.
    #[error(
        "No configuration option for any problem daemon is specified. Specify at least one config file: \
         --config.system-log-monitor=config/kernel-monitor.json"
    )]
    NoMonitor,
}

// === impl Args ===

impl Args {
    /// Checks the flags together, and returns the config files. Deprecations go to `warn`.
    pub fn check(&self, mut warn: impl FnMut(&str)) -> Result<Vec<ConfigFile>, UsageError> {
        self.unimplemented.check()?;
        self.check_features()?;
        let paths = |lists: &[CommaList]| lists.iter().flat_map(|list| &list.0).map(PathBuf::from).collect::<Vec<_>>();
        let mut either = |old: &[CommaList], new: &[CommaList], old_flag, new_flag| {
            if old.is_empty() {
                return Ok(paths(new));
            }
            warn(&format!("Flag --{old_flag} has been deprecated, replaced by --{new_flag}."));
            if paths(new).is_empty() { Ok(paths(old)) } else { Err(UsageError::Both { old: old_flag, new: new_flag }) }
        };
        let logs = either(
            &self.deprecated_system_log_monitors,
            &self.system_log_monitors,
            "system-log-monitors",
            "config.system-log-monitor",
        )?;
        let plugins = either(
            &self.deprecated_custom_plugin_monitors,
            &self.custom_plugin_monitors,
            "custom-plugin-monitors",
            "config.custom-plugin-monitor",
        )?;
        if self.vmodule.is_some() {
            warn("Flag --vmodule is accepted and has no effect; set $RUST_LOG instead.");
        }
        if !self.logtostderr {
            warn("Flag --logtostderr=false is accepted and has no effect: the log goes to standard error.");
        }
        let stats = paths(&self.system_stats_monitors).into_iter().map(ConfigFile::system_stats);
        let plugins = plugins.into_iter().map(ConfigFile::custom_plugin);
        let configs: Vec<_> = logs.into_iter().map(ConfigFile::system_log).chain(plugins).chain(stats).collect();
        if configs.is_empty() {
            return Err(UsageError::NoMonitor);
        }
        Ok(configs)
    }

    /// The options of the kernel log.
    #[must_use]
    pub fn kernel_options(&self, node: &Node) -> KernelLogOptions {
        KernelLogOptions {
            source: self.kernel_source.into(),
            ring_size: self.kernel_ring_size.0,
            probe_diagnostics: self.verbosity > 0,
            kmsg: "/dev/kmsg".into(),
            node: node.clone(),
        }
    }

    /// What to log, in the syntax of `$RUST_LOG`.
    #[must_use]
    pub fn log_filter(&self) -> &'static str {
        // The client logs every failed request; our own code logs it once, with what it means.
        match self.verbosity {
            ..=0 if self.command.is_some() => "off",
            ..=0 => "info,kube_client=off",
            1 => "info,npd_agent=debug,npd_ebpf=debug,kube_client=off",
            _ => "trace",
        }
    }

    /// Refuses flags that need a feature this build lacks. Files of custom plugin monitors are not refused here: some of them
    /// are system log monitors, so they have to be read first.
    fn check_features(&self) -> Result<(), UsageError> {
        let flags = [
            (!self.system_stats_monitors.is_empty(), "config.system-stats-monitor", Feature::SystemStats),
            (self.kernel_source == SourceArg::Ebpf, "kernel-source=ebpf", Feature::Ebpf),
            (self.kernel_source == SourceArg::Journald, "kernel-source=journald", Feature::Journald),
        ];
        for (_, flag, feature) in flags.into_iter().filter(|(is_given, ..)| *is_given) {
            feature.require().map_err(|missing| UsageError::Missing { flag, missing })?;
        }
        Ok(())
    }
}

// === impl Unimplemented ===

impl Unimplemented {
    fn check(&self) -> Result<(), UsageError> {
        let Self { exporter_stackdriver } = self;
        for (value, flag, part) in [(exporter_stackdriver, "exporter.stackdriver", "the Cloud Monitoring exporter")] {
            if value.is_some() {
                return Err(UsageError::NotBuilt { flag, part });
            }
        }
        Ok(())
    }
}

impl From<SourceArg> for KernelSource {
    fn from(source: SourceArg) -> Self {
        match source {
            SourceArg::Auto => Self::Auto,
            SourceArg::Ebpf => Self::Ebpf,
            SourceArg::Kmsg => Self::Kmsg,
            SourceArg::Journald => Self::Journald,
        }
    }
}

/// The name of the node: the flag, else $NODE_NAME, else the host name.
#[must_use]
pub fn node_name(flag: &str, env: Option<String>) -> String {
    let named = [Some(flag.to_owned()), env].into_iter().flatten().find(|name| !name.is_empty());
    named.unwrap_or_else(|| {
        let uname = rustix::system::uname();
        uname.nodename().to_string_lossy().trim().to_lowercase()
    })
}

#[cfg(test)]
mod tests;
