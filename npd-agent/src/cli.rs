//! The command line: node-problem-detector's flags, and ours beside them.
//!
//! Flags mean what pflag makes of them: long ones take two dashes, booleans take `=false`, lists are comma lists
//! with CSV quoting and may be repeated, of a repeated single value the last counts. A flag of node-problem-detector
//! that belongs to a part not built yet is refused; it would be worse to accept it and do nothing.

mod kubernetes;
mod value;

use std::{ffi::OsString, net::IpAddr, path::PathBuf};

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

pub use self::{
    kubernetes::KubernetesArgs,
    value::{CommaList, RingSize},
};

use crate::{
    command::replay::Format,
    config::ConfigFile,
    exporter::kubernetes::OverrideError,
    feature::{Feature, NotBuilt},
    go::flag::parse_bool,
    source::kernel::mode::KernelSource,
};

/// What `--help` begins with.
const ABOUT: &str =
    "Sees kernel and system problems of a node the moment they happen, and tells Kubernetes, Prometheus and the log.

A drop-in for node-problem-detector: it takes its flags and its config files. The kernel log is watched through eBPF \
probes and /dev/kmsg together, so that nothing is lost in a flood; log files and the journal are read as well. Plugins and checks of its own look after \
the node's parts, and what /proc and /sys say of the node becomes metrics.";

const EXAMPLES: &str = "Examples:
  Watch the kernel log without a cluster:
    npd-agent --enable-k8s-exporter=false --config.system-log-monitor=config/kernel-monitor.json,config/readonly-monitor.json
  As a pod of a cluster, events and conditions go to its API server; elsewhere say which one:
    npd-agent --apiserver-override='http://127.0.0.1:8001?inClusterConfig=false' --config.system-log-monitor=config/kernel-monitor.json
  Make a problem, and see it counted:
    echo '<3>task docker:7 blocked for more than 300 seconds.' > /dev/kmsg
    curl -s http://127.0.0.1:20257/metrics | grep problem_
  See what the kernel gives:
    npd-agent features
  Check config files before they are rolled out, and see what rules make of a log:
    npd-agent check-config config/*.json
    dmesg | npd-agent replay --config config/kernel-monitor.json

Exit status: 0 after SIGTERM, SIGINT, --help and --version; 2 for a wrong command line and for an API server that \
cannot be made out; 255 for everything that keeps \
the agent from working, such as a config file with errors.";

/// The arguments, checked as far as one by one is possible.
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
    /// What to do other than run.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Print the version and exit.
    #[arg(long, help_heading = "Agent", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, value_parser = parse_bool, action = ArgAction::Set, value_name = "BOOL")]
    pub version: bool,

    /// The node's name. Wins over $NODE_NAME, which wins over the host's name.
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

    /// Run plugins also when others than root can change them or a folder that they are in.
    #[arg(long, help_heading = "Monitors", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, value_parser = parse_bool, action = ArgAction::Set, value_name = "BOOL")]
    pub allow_insecure_plugins: bool,

    /// Config files of system stats monitors, separated by commas; may be repeated.
    #[arg(long = "config.system-stats-monitor", help_heading = "Monitors", value_name = "FILE[,FILE…]", action = ArgAction::Append)]
    pub system_stats_monitors: Vec<CommaList>,

    #[arg(long = "system-log-monitors", hide = true, action = ArgAction::Append)]
    deprecated_system_log_monitors: Vec<CommaList>,

    /// Where to keep what survives a restart: how far each log was read, conditions, counts. Empty: nothing is kept, and
    /// a restart looks back as far as `lookback` says.
    #[arg(long, help_heading = "Monitors", default_value = "/var/lib/npd", value_name = "FOLDER")]
    pub state_dir: OsString,

    /// How the kernel log is read.
    #[arg(long, help_heading = "Kernel log", value_enum, default_value_t, value_name = "SOURCE")]
    pub kernel_source: SourceArg,

    /// Size of the probes' ring buffer in bytes: a power of two from 65536 to 1073741824. It has to hold what the
    /// kernel prints while the agent is not scheduled; a line takes 100 to 160 bytes.
    #[arg(long, help_heading = "Kernel log", default_value_t = RingSize(4 << 20), value_name = "BYTES")]
    pub kernel_ring_size: RingSize,

    /// Where to serve how the agent and the node are: /healthz, /readyz, /conditions and /api/v1/problems.
    #[arg(long, help_heading = "Servers", default_value = "127.0.0.1", value_name = "IP")]
    pub address: IpAddr,

    /// The port of it; 0 or less serves nothing.
    #[arg(long, help_heading = "Servers", default_value_t = 20256, allow_negative_numbers = true, value_name = "PORT", value_parser = clap::value_parser!(i64).range(..=65535))]
    pub port: i64,

    /// Where to serve metrics.
    #[arg(long, help_heading = "Servers", default_value = "127.0.0.1", value_name = "IP")]
    pub prometheus_address: IpAddr,

    /// The port of the metrics; 0 or less serves none.
    #[arg(long, help_heading = "Servers", default_value_t = 20257, allow_negative_numbers = true, value_name = "PORT", value_parser = clap::value_parser!(i64).range(..=65535))]
    pub prometheus_port: i64,

    /// The form of the agent's own log, which goes to standard error.
    #[arg(long, help_heading = "Logging", value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// How much is logged: 0 what an operator wants to see, 1 also each probe event and the probes' own
    /// diagnostics, 2 everything. $RUST_LOG overrides it.
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

    /// How the cluster is told.
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,

    #[command(flatten)]
    later: Later,
}

/// node-problem-detector's flags whose parts are not built yet.
#[derive(Debug, clap::Args)]
struct Later {
    #[arg(long = "exporter.stackdriver", hide = true)]
    exporter_stackdriver: Option<String>,
}

/// What to do other than run.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Show what this kernel allows: each probe with its state, and how the kernel log would be read.
    Features,
    /// Check config files of any monitors: all errors, and what is probably a mistake, each with its place.
    ///
    /// Exit status: 0 when all files can be used, also with warnings; 1 when one cannot.
    CheckConfig {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Show which rules fire on which lines of a log, with the events and conditions they give.
    ///
    /// The log is read from its start with the times that its records have. Conditions that only the running node
    /// can clear (`recheck`) stay. Exit status: 0, however many rules fire; 255 when something cannot be read.
    Replay(ReplayArgs),
}

/// What to replay.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayArgs {
    /// A config file of a system log monitor; may be repeated.
    #[arg(long = "config", required = true, value_name = "FILE")]
    pub configs: Vec<PathBuf>,
    /// How the log is written; by default its first line tells.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<ReplayFormat>,
    /// Print one JSON object a match, and nothing else.
    #[arg(long)]
    pub json: bool,
    /// The log; `-` or nothing for standard input.
    #[arg(value_name = "LOG")]
    pub log: Option<PathBuf>,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReplayFormat {
    /// As /dev/kmsg gives it: `6,339,5140900,-;text`.
    Kmsg,
    /// As dmesg prints it: `[    5.140900] text`.
    Dmesg,
    /// One record a line; for a `filelog` config as its log file has them.
    Plain,
    /// As `journalctl -o export` prints it.
    JournalExport,
}

/// How the kernel log is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SourceArg {
    /// The best that passes a self-test at the start.
    #[default]
    Auto,
    /// The eBPF probes, or not at all.
    Ebpf,
    /// /dev/kmsg alone, as node-problem-detector does.
    Kmsg,
    /// The journal's copy of the kernel log. `auto` falls back to it where nothing else can be read.
    Journald,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A command line that is wrong as a whole.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UsageError {
    /// A flag whose part does not exist yet.
    #[error("--{flag}: {part} is not part of this build yet; leave the flag out")]
    NotBuilt {
        /// The flag.
        flag: &'static str,
        /// What it belongs to.
        part: &'static str,
    },
    /// A flag of a part that this build lacks.
    #[error("--{flag}: {missing}")]
    Missing {
        /// The flag, with its value where only that is of the part.
        flag: &'static str,
        /// The part.
        missing: NotBuilt,
    },
    /// Old and new flag at once.
    #[error("--{old} is deprecated and cannot be used with --{new}; use the latter alone")]
    Both {
        /// The old one.
        old: &'static str,
        /// The new one.
        new: &'static str,
    },
    /// The API server cannot be made out.
    #[error("--apiserver-override: {0}")]
    ApiServer(#[from] OverrideError),
    /// The node's name cannot be one.
    #[error(
        "the node cannot be called {0:?}: a node's name has letters, digits, \"-\" and \".\" only; --hostname-override or \
         $NODE_NAME give it"
    )]
    NodeName(String),
    /// Nothing to do, in node-problem-detector's words.
    #[error(
        "No configuration option for any problem daemon is specified. Give at least one config file: \
         --config.system-log-monitor=config/kernel-monitor.json"
    )]
    NoMonitor,
}

// === impl Args ===

impl Args {
    /// Checks what is only wrong as a whole, and gives the config files. Deprecation notes go to `note`.
    pub fn check(&self, mut note: impl FnMut(&str)) -> Result<Vec<ConfigFile>, UsageError> {
        self.later.check()?;
        self.check_parts()?;
        let paths = |lists: &[CommaList]| lists.iter().flat_map(|list| &list.0).map(PathBuf::from).collect::<Vec<_>>();
        let mut either = |old: &[CommaList], new: &[CommaList], old_flag, new_flag| {
            if old.is_empty() {
                return Ok(paths(new));
            }
            note(&format!("Flag --{old_flag} has been deprecated, replaced by --{new_flag}."));
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
            note("Flag --vmodule is accepted and has no effect; set $RUST_LOG instead.");
        }
        if !self.logtostderr {
            note("Flag --logtostderr=false is accepted and has no effect: the log goes to standard error.");
        }
        let stats = paths(&self.system_stats_monitors).into_iter().map(ConfigFile::system_stats);
        let plugins = plugins.into_iter().map(ConfigFile::custom_plugin);
        let configs: Vec<_> = logs.into_iter().map(ConfigFile::system_log).chain(plugins).chain(stats).collect();
        if configs.is_empty() {
            return Err(UsageError::NoMonitor);
        }
        Ok(configs)
    }

    /// Refuses what is asked of parts that this build lacks. Files of custom plugin monitors are looked at first: some are of
    /// logs.
    fn check_parts(&self) -> Result<(), UsageError> {
        let asked = [
            (!self.system_stats_monitors.is_empty(), "config.system-stats-monitor", Feature::SystemStats),
            (self.kernel_source == SourceArg::Ebpf, "kernel-source=ebpf", Feature::Ebpf),
            (self.kernel_source == SourceArg::Journald, "kernel-source=journald", Feature::Journald),
        ];
        for (_, flag, feature) in asked.into_iter().filter(|(is_asked, ..)| *is_asked) {
            feature.require().map_err(|missing| UsageError::Missing { flag, missing })?;
        }
        Ok(())
    }
}

// === impl Later ===

impl Later {
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

impl From<ReplayFormat> for Format {
    fn from(format: ReplayFormat) -> Self {
        match format {
            ReplayFormat::Kmsg => Self::Kmsg,
            ReplayFormat::Dmesg => Self::Dmesg,
            ReplayFormat::Plain => Self::Plain,
            ReplayFormat::JournalExport => Self::JournalExport,
        }
    }
}

/// The node's name: the flag, else $NODE_NAME, else the host's name.
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
