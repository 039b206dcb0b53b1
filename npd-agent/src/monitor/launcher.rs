//! Starts monitors of every kind that this build has.

use std::{io, sync::Arc};

use prometheus::Registry;

#[cfg(feature = "custom-plugin")]
use super::custom_plugin::runner::CustomPlugins;
#[cfg(feature = "system-stats")]
use super::system_stats::runner::SystemStats;
use super::{MonitorConfig, RunningMonitor, system_log::sources::LogSources};
use crate::{
    component::Components, detector::Detector, metric::own::AgentMetrics, node::Node,
    source::kernel::log::KernelLogOptions, state::StateDir,
};

/// What monitors are started with.
pub struct Launcher {
    /// The sources of the system log monitors.
    pub(crate) logs: LogSources,
    #[cfg(feature = "custom-plugin")]
    pub(super) plugins: CustomPlugins,
    #[cfg(feature = "system-stats")]
    pub(super) stats: SystemStats,
}

/// What all kinds of monitor share. Clones share it too.
#[derive(Clone)]
pub struct Shared {
    /// Where statuses go.
    pub detector: Arc<Detector>,
    /// Where monitors keep their state; `None` if they keep none.
    pub state: Option<Arc<StateDir>>,
    /// The parts of the agent.
    pub components: Components,
    /// The agent's own metrics.
    pub metrics: AgentMetrics,
    /// The node that they watch.
    pub node: Node,
}

/// Why a monitor cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system provides no thread or no file descriptor.
    #[error("cannot start a source")]
    Source(#[source] io::Error),
    /// The system provides no thread.
    #[error("cannot start a system stats monitor")]
    SystemStats(#[source] io::Error),
}

// === impl Launcher ===

impl Launcher {
    /// A launcher that has started nothing yet. Programs that users other than root can change are refused as plugins
    /// unless `allow_insecure_plugins`.
    ///
    /// # Errors
    ///
    /// When metrics of the same names are registered already.
    pub fn new(
        registry: &Registry,
        kernel_options: KernelLogOptions,
        shared: Shared,
        #[cfg_attr(
            not(feature = "custom-plugin"),
            expect(unused_variables, reason = "a build without plugins has none to refuse")
        )]
        allow_insecure_plugins: bool,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            #[cfg(feature = "custom-plugin")]
            plugins: CustomPlugins::new(registry, shared.clone(), allow_insecure_plugins)?,
            #[cfg(feature = "system-stats")]
            stats: SystemStats::new(registry, shared.clone())?,
            logs: LogSources::new(registry, kernel_options, shared)?,
        })
    }

    /// Starts the monitor of a config file. The source of a system log monitor is started by [`LogSources::open`].
    ///
    /// # Errors
    ///
    /// When the system cannot provide a thread.
    pub fn start(&mut self, config: MonitorConfig) -> Result<Box<dyn RunningMonitor>, StartError> {
        Ok(match config {
            MonitorConfig::SystemLog(config) => Box::new(self.logs.start(config, None)),
            #[cfg(feature = "custom-plugin")]
            MonitorConfig::CustomPlugin(config) => Box::new(self.plugins.start(config)),
            #[cfg(feature = "system-stats")]
            MonitorConfig::SystemStats(config) => Box::new(self.stats.start(config)?),
            // No file makes such a config in a build without the feature.
            #[cfg(not(feature = "custom-plugin"))]
            MonitorConfig::CustomPlugin(config) => match config.never {},
            #[cfg(not(feature = "system-stats"))]
            MonitorConfig::SystemStats(config) => match config.never {},
        })
    }
}
