//! What watches the node and turns what it sees into statuses.
//!
//! There are three kinds of monitor, one per config flag, and each config file makes one monitor. All of them have the
//! same life-cycle: [`Launcher::start`] makes a [`RunningMonitor`] of a [`MonitorConfig`]; a changed file replaces the
//! config of a running monitor; the end stops it.

mod condition;
#[cfg(feature = "custom-plugin")]
pub mod custom_plugin;
pub(crate) mod launcher;
pub(crate) mod recheck;
pub mod system_log;
#[cfg(feature = "system-stats")]
pub mod system_stats;

use std::{path::Path, pin::Pin};

pub use self::launcher::{Launcher, StartError};

use crate::{
    config::{ConfigError, CustomPluginConfig, Loaded, MonitorKind, SystemLogConfig, SystemStatsConfig},
    problem::Event,
};

/// The checked config of one monitor.
#[derive(Debug)]
pub enum MonitorConfig {
    /// Of a system log monitor.
    SystemLog(SystemLogConfig),
    /// Of a custom plugin monitor.
    CustomPlugin(CustomPluginConfig),
    /// Of a system stats monitor.
    SystemStats(SystemStatsConfig),
}

/// The monitor of one config file at work.
pub trait RunningMonitor: Send {
    /// Which kind of monitor it is. Two kinds may be given the same file.
    fn kind(&self) -> MonitorKind;

    /// Its config file.
    fn path(&self) -> &Path;

    /// Why changed configs of other monitors cannot be used beside this one.
    fn conflicts(&self, _changed: &Loaded) -> Vec<ConfigError> {
        Vec::new()
    }

    /// Uses the changed config of its file. The state of unchanged rules and conditions is kept. A config of another kind is
    /// ignored.
    ///
    /// # Errors
    ///
    /// When the system cannot provide a thread or a file descriptor for another source.
    fn replace(&mut self, config: MonitorConfig, launcher: &mut Launcher) -> Result<(), StartError>;

    /// Reports an event about its own config file, with its conditions as they are.
    fn report(&self, event: Event);

    /// Stops it and saves its state. The source of a system log monitor is stopped by the launcher.
    fn stop(self: Box<Self>) -> Stopping;
}

/// The span of a monitor's log lines. It is made while that of the same monitor may be entered, and has no parent: the lines
/// would carry it twice.
fn span(path: &Path) -> tracing::Span {
    tracing::info_span!(parent: None, "monitor", monitor = %path.display())
}

/// A monitor that is stopping; it has stopped when this completes.
pub type Stopping = Pin<Box<dyn Future<Output = ()> + Send>>;

// === impl MonitorConfig ===

impl MonitorConfig {
    /// The configs of all files, in the order in which their monitors are started.
    pub fn all(loaded: Loaded) -> impl Iterator<Item = Self> {
        let Loaded { system_logs, custom_plugins, system_stats, warnings: _ } = loaded;
        let plugins = custom_plugins.into_iter().map(Self::CustomPlugin);
        let stats = system_stats.into_iter().map(Self::SystemStats);
        plugins.chain(stats).chain(system_logs.into_iter().map(Self::SystemLog))
    }

    /// The kind of its monitor.
    #[must_use]
    pub fn kind(&self) -> MonitorKind {
        match self {
            Self::SystemLog(_) => MonitorKind::SystemLog,
            Self::CustomPlugin(_) => MonitorKind::CustomPlugin,
            Self::SystemStats(_) => MonitorKind::SystemStats,
        }
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::SystemLog(config) => &config.path,
            Self::CustomPlugin(config) => &config.path,
            Self::SystemStats(config) => &config.path,
        }
    }
}
