//! The agent at work: from checked configs to running monitors, and what a changed config does to them.
//!
//! Each config file is one monitor. The agent keeps the table of them; how each kind works is its own business.

use std::sync::Arc;

use prometheus::Registry;
use tokio::task::JoinSet;

use crate::{
    component::Components,
    config::{ConfigErrors, ConfigFile, Loaded, LogInput, reload::Changed},
    detector::Detector,
    metric::own::{AgentMetrics, ReloadOutcome},
    monitor::{
        MonitorConfig, RunningMonitor,
        launcher::{Launcher, Shared, StartError},
    },
    problem::{Event, Severity},
    source::{
        SourceError,
        kernel::log::KernelLogOptions,
        supervisor::{Opened, PAUSE_FIRST, log_failure},
    },
    state::StateDir,
    time::Now,
};

/// The reason of the event that reports a changed config file with errors.
pub const INVALID_CONFIG: &str = "InvalidMonitorConfig";

/// The running agent.
pub struct Agent {
    launcher: Launcher,
    monitors: Vec<Box<dyn RunningMonitor>>,
    metrics: AgentMetrics,
}

/// Why the agent cannot work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A monitor cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No source can be read, or one cannot be read in the way that the user demands.
    #[error("no problem daemon is successfully setup")]
    NoSource(#[source] SourceError),
}

// === impl Agent ===

impl Agent {
    /// An agent without monitors.
    ///
    /// # Errors
    ///
    /// When metrics of the same names are registered already.
    pub fn new(
        registry: &Registry,
        kernel_options: KernelLogOptions,
        detector: Detector,
        state: Option<StateDir>,
        components: Components,
        allow_insecure_plugins: bool,
    ) -> prometheus::Result<Self> {
        let metrics = AgentMetrics::register(registry)?;
        let shared = Shared {
            detector: Arc::new(detector),
            state: state.map(Arc::new),
            components,
            metrics: metrics.clone(),
            node: kernel_options.node.clone(),
        };
        let launcher = Launcher::new(registry, kernel_options, shared, allow_insecure_plugins)?;
        Ok(Self { launcher, monitors: Vec::new(), metrics })
    }

    /// Starts the monitors of all config files. Sources that cannot be read are retried forever, unless none can be read
    /// and there is no other monitor.
    pub async fn start(&mut self, mut loaded: Loaded) -> Result<(), AgentError> {
        // Custom plugin and system stats monitors work without any source.
        let needs_source = loaded.custom_plugins.is_empty() && loaded.system_stats.is_empty();
        loaded.system_logs.sort_by_key(|config| config.input != LogInput::KernelLog);
        for config in MonitorConfig::all(loaded) {
            self.show_config_in_use(&config);
            self.monitors.push(self.launcher.start(config)?);
        }
        let attempts = self.launcher.logs.open()?;
        let attempted = attempts.len();
        let mut failed = failures(attempts).await;
        if let Some(index) = failed.iter().position(|(_, error)| error.is_refusal()) {
            return Err(AgentError::NoSource(failed.swap_remove(index).1));
        }
        if failed.len() == attempted
            && needs_source
            && let Some((_, error)) = failed.pop()
        {
            return Err(AgentError::NoSource(error));
        }
        for (name, error) in &failed {
            log_failure(name, error, PAUSE_FIRST);
        }
        Ok(())
    }

    /// Handles changed config files: a valid one replaces the config of its monitor; errors of any other are logged and
    /// reported, and its monitor goes on as it is.
    pub fn reload(&mut self, changes: Vec<Changed>) -> Result<(), AgentError> {
        for Changed { file: config_file, outcome, .. } in changes {
            let file = config_file.path.display().to_string();
            let outcome = match outcome.and_then(|loaded| self.check_conflicts(loaded)) {
                Ok(loaded) => {
                    for warning in &loaded.warnings {
                        tracing::warn!("{warning}");
                    }
                    for config in MonitorConfig::all(loaded) {
                        self.replace(config)?;
                    }
                    tracing::info!(file, "changed config file is in use");
                    ReloadOutcome::Used
                }
                Err(errors) => {
                    for error in &errors.errors {
                        tracing::error!("{error}");
                    }
                    let first = errors.errors.first().map(ToString::to_string).unwrap_or_default();
                    tracing::error!(
                        file,
                        errors = errors.errors.len(),
                        "changed config file has errors: the previous config stays in use"
                    );
                    self.report_refused(&config_file, &first);
                    ReloadOutcome::Refused
                }
            };
            self.metrics.config_valid(&file).set(i64::from(outcome == ReloadOutcome::Used));
            self.metrics.config_reloads(&file, outcome).inc();
        }
        Ok(())
    }

    /// Waits until the thread of a source ends by itself, which should never happen.
    pub async fn broken(&self) {
        self.launcher.logs.broken().await;
    }

    /// Stops the sources once they have read what is there, the monitors, and last the timers. All state is saved.
    pub async fn stop(self) {
        let Self { mut launcher, monitors, .. } = self;
        let mut stopping: JoinSet<()> = monitors.into_iter().map(RunningMonitor::stop).collect();
        let stopped = tokio::task::spawn_blocking(move || {
            launcher.logs.stop();
            launcher
        });
        let (launcher, ()) = tokio::join!(stopped, async { while stopping.join_next().await.is_some() {} });
        if let Ok(launcher) = launcher {
            launcher.logs.stop_timers().await;
        }
    }

    fn replace(&mut self, config: MonitorConfig) -> Result<(), AgentError> {
        self.show_config_in_use(&config);
        let same =
            |monitor: &&mut Box<dyn RunningMonitor>| monitor.kind() == config.kind() && monitor.path() == config.path();
        if let Some(monitor) = self.monitors.iter_mut().find(same) {
            monitor.replace(config, &mut self.launcher)?;
        }
        Ok(())
    }

    /// Refuses a changed config that cannot be used beside those of the other monitors.
    fn check_conflicts(&self, loaded: Loaded) -> Result<Loaded, ConfigErrors> {
        let errors: Vec<_> = self.monitors.iter().flat_map(|monitor| monitor.conflicts(&loaded)).collect();
        if errors.is_empty() { Ok(loaded) } else { Err(ConfigErrors { errors, warnings: loaded.warnings }) }
    }

    /// Reports that a changed config file cannot be used, in the name of its monitor.
    fn report_refused(&self, file: &ConfigFile, why: &str) {
        let message = format!("the changed config has errors, the previous one stays in use: {why}");
        let event = Event::new(Severity::Warn, Now::read().wall, INVALID_CONFIG.into(), message);
        let mut monitors = self.monitors.iter();
        if let Some(monitor) = monitors.find(|it| it.kind() == file.monitor && it.path() == file.path) {
            monitor.report(event);
        }
    }

    fn show_config_in_use(&self, config: &MonitorConfig) {
        let file = config.path().display().to_string();
        self.metrics.config_valid(&file).set(1);
        for outcome in [ReloadOutcome::Used, ReloadOutcome::Refused] {
            self.metrics.config_reloads(&file, outcome).inc_by(0);
        }
    }
}

/// Waits for the first attempts of sources; those that failed, with their errors.
async fn failures(attempts: Vec<(String, Opened)>) -> Vec<(String, SourceError)> {
    let wait = move || attempts.into_iter().map(|(name, opened)| (name, opened.recv().ok())).collect::<Vec<_>>();
    let outcomes = tokio::task::spawn_blocking(wait).await.unwrap_or_default();
    outcomes.into_iter().filter_map(|(name, outcome)| Some((name, outcome?.err()?))).collect()
}
