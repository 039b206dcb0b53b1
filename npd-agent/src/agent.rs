//! The agent at work: its sources, monitors and exporters, and the way between them.
//!
//! Each config file is one monitor. Those of the kernel log share one source; any other has a source of its own, so that
//! how far it has been read is known for each by itself.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use prometheus::Registry;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    component::Components,
    config::{
        ConfigErrors, ConfigFile, CustomPluginConfig, Loaded, SystemStatsConfig,
        reload::Changed,
        system_log::{LogInput, SystemLogConfig},
    },
    detector::Detector,
    metric::own::{AgentMetrics, ReloadOutcome},
    monitor::{
        custom_plugin::Plugins,
        system_log::{
            SystemLog,
            runner::{Before, SystemLogs},
        },
        system_stats::{self, Monitors},
    },
    problem::{Event, Severity, Status},
    source::{
        LogSource, SourceError,
        file::filelog::{Filelog, FilelogOptions},
        journal::journald::{Journald, JournaldOptions},
        kernel::{self, KernelLogSource, log::KernelLogOptions, metrics::KernelMetrics},
        supervisor::{Build, Opened, PAUSE_FIRST, Supervisor, log_failure},
    },
    state::StateDir,
    time::{BootTimes, Now},
};

/// The reason of the event that tells of a changed config file with errors.
pub const INVALID_CONFIG: &str = "InvalidMonitorConfig";

/// The running agent.
pub struct Agent {
    kernel_options: KernelLogOptions,
    kernel_metrics: KernelMetrics,
    metrics: AgentMetrics,
    detector: Arc<Detector>,
    state: Option<Arc<StateDir>>,
    supervisor: Supervisor,
    kernel_log: Option<SystemLogs>,
    units: Vec<Unit>,
    plugins: Plugins,
    stats: Monitors,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// One config file and what came of it.
struct Unit {
    path: PathBuf,
    /// The monitor's name.
    source: Arc<str>,
    input: LogInput,
    /// The name of its source.
    name: String,
    monitors: SystemLogs,
}

/// Why the agent cannot work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The system gives no thread or no file descriptor.
    #[error("cannot start a source")]
    Start(#[source] io::Error),
    /// The system gives no thread.
    #[error(transparent)]
    StartStats(#[from] system_stats::StartError),
    /// Not one source can be read.
    #[error("no problem daemon is successfully setup")]
    Nothing(#[source] SourceError),
}

// === impl Agent ===

impl Agent {
    /// An agent without monitors.
    ///
    /// # Errors
    ///
    /// When the registry has metrics of the same names already.
    pub fn new(
        registry: &Registry,
        kernel_options: KernelLogOptions,
        detector: Detector,
        state: Option<StateDir>,
        components: Components,
        allow_insecure_plugins: bool,
    ) -> prometheus::Result<Self> {
        let metrics = AgentMetrics::register(registry)?;
        let node = kernel_options.node.clone();
        let (detector, state) = (Arc::new(detector), state.map(Arc::new));
        let (parts, kept) = (components.clone(), state.clone());
        let plugins = Plugins::new(registry, Arc::clone(&detector), parts, kept, node.clone(), allow_insecure_plugins)?;
        Ok(Self {
            plugins,
            stats: Monitors::new(registry, Arc::clone(&detector), node)?,
            kernel_options,
            kernel_metrics: KernelMetrics::register(registry)?,
            supervisor: Supervisor::new(metrics.clone(), components),
            metrics,
            detector,
            state,
            kernel_log: None,
            units: Vec::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Starts the custom plugin monitors.
    pub fn add_custom_plugins(&mut self, configs: Vec<CustomPluginConfig>) {
        for config in configs {
            self.config_is_used(&config.path);
            self.plugins.add(config);
        }
    }

    /// Starts the system stats monitors.
    pub fn add_system_stats(&mut self, configs: Vec<SystemStatsConfig>) -> Result<(), AgentError> {
        for config in configs {
            self.config_is_used(&config.path);
            self.stats.add(config)?;
        }
        Ok(())
    }

    /// Starts the system log monitors. Sources that cannot be read are tried again for ever, unless none can and nothing
    /// else is to be done.
    pub async fn start(&mut self, configs: Vec<SystemLogConfig>) -> Result<(), AgentError> {
        let times = BootTimes::read();
        let (kernel, others): (Vec<_>, Vec<_>) =
            configs.into_iter().partition(|config| config.input == LogInput::KernelLog);
        for config in kernel {
            self.add_to_kernel_log(config, times, None);
        }
        let mut attempts = Vec::new();
        if let Some(opened) = self.start_kernel_log()? {
            attempts.push((kernel::NAME.to_owned(), opened));
        }
        for config in others {
            attempts.push(self.add_with_source(config, times, None)?);
        }
        let attempted = attempts.len();
        let wait = move || attempts.into_iter().map(|(name, opened)| (name, opened.recv().ok())).collect::<Vec<_>>();
        let outcomes = tokio::task::spawn_blocking(wait).await.unwrap_or_default();
        let failed = outcomes.into_iter().filter_map(|(name, outcome)| Some((name, outcome?.err()?)));
        let mut failed: Vec<_> = failed.collect();
        if let Some(index) = failed.iter().position(|(_, error)| error.is_refusal()) {
            return Err(AgentError::Nothing(failed.swap_remove(index).1));
        }
        // Plugins and system stats monitors have work without any source.
        if failed.len() == attempted
            && self.plugins.is_empty()
            && self.stats.is_empty()
            && let Some((_, error)) = failed.pop()
        {
            return Err(AgentError::Nothing(error));
        }
        for (name, error) in &failed {
            log_failure(name, error, PAUSE_FIRST);
        }
        Ok(())
    }

    /// Takes a changed config file. What belongs to unchanged rules goes on, and so does the source if it is the same.
    fn replace(&mut self, config: SystemLogConfig) -> Result<(), AgentError> {
        let Some(index) = self.units.iter().position(|unit| unit.path == config.path) else { return Ok(()) };
        let times = BootTimes::read();
        if self.units[index].input == config.input {
            let (path, source) = (config.path.clone(), config.source.clone());
            let monitor = SystemLog::new(config, times);
            self.detector.declare(&monitor.declared());
            let unit = &mut self.units[index];
            unit.source = source;
            unit.monitors.replace(&path, monitor);
            return Ok(());
        }
        let unit = self.units.remove(index);
        if unit.input != LogInput::KernelLog {
            self.supervisor.stop(&unit.name);
        }
        let state = unit.monitors.remove(&unit.path);
        if config.input == LogInput::KernelLog {
            self.add_to_kernel_log(config, times, state);
            self.start_kernel_log()?;
        } else {
            self.add_with_source(config, times, state)?;
        }
        Ok(())
    }

    /// Takes changed config files: one that can be used is used, any other is told of and leaves things as they are.
    pub fn reload(&mut self, changes: Vec<Changed>) -> Result<(), AgentError> {
        for Changed { file: ConfigFile { path, .. }, outcome, .. } in changes {
            let file = path.display().to_string();
            let outcome = outcome.and_then(|loaded| self.check_names(loaded));
            let outcome = match outcome {
                Ok(loaded) => {
                    for warning in &loaded.warnings {
                        tracing::warn!("{warning}");
                    }
                    for config in loaded.system_logs {
                        self.replace(config)?;
                    }
                    for config in loaded.custom_plugins {
                        self.plugins.replace(config);
                    }
                    for config in loaded.system_stats {
                        self.stats.replace(config);
                    }
                    tracing::info!(file, "config file changed: it is in use");
                    ReloadOutcome::Used
                }
                Err(errors) => {
                    for error in &errors.errors {
                        tracing::error!("{error}");
                    }
                    let first = errors.errors.first().map(ToString::to_string).unwrap_or_default();
                    tracing::error!(file, errors = errors.errors.len(), "config file changed: it cannot be used");
                    self.complain(&path, &first);
                    ReloadOutcome::Refused
                }
            };
            self.metrics.config_valid(&file).set(i64::from(outcome == ReloadOutcome::Used));
            self.metrics.config_reloads(&file, outcome).inc();
        }
        Ok(())
    }

    /// Refuses a changed config file of a system stats monitor that takes the names of another one's metrics.
    fn check_names(&self, loaded: Loaded) -> Result<Loaded, ConfigErrors> {
        let errors: Vec<_> = loaded.system_stats.iter().flat_map(|config| self.stats.conflicts(config)).collect();
        if errors.is_empty() { Ok(loaded) } else { Err(ConfigErrors { errors, warnings: loaded.warnings }) }
    }

    /// A config file cannot be used as it is now: its monitor goes on as before, and says why.
    fn complain(&self, path: &Path, why: &str) {
        let message = format!("the changed config is not used, the one before is: {why}");
        let event = Event::new(Severity::Warn, Now::read().wall, INVALID_CONFIG.into(), message);
        let Some(unit) = self.units.iter().find(|unit| unit.path == path) else {
            if !self.plugins.report(path, event.clone()) {
                self.stats.report(path, event);
            }
            return;
        };
        let conditions = unit.monitors.conditions(path);
        let (monitor, source) = (path.to_string_lossy().into(), unit.source.clone());
        self.detector.report(&Status { monitor, source, events: vec![event], conditions, metrics: false });
    }

    /// Waits until a source's thread ends by itself, which it never should.
    pub async fn broken(&self) {
        self.supervisor.broken().await;
    }

    /// Ends the sources with all that they have read, then the clocks; what is known is kept.
    pub async fn stop(mut self) {
        let mut plugins = self.plugins;
        let stopped = tokio::task::spawn_blocking(move || {
            self.supervisor.stop_all();
            let own = self.units.iter().filter(|unit| unit.input != LogInput::KernelLog).map(|unit| &unit.monitors);
            own.chain(&self.kernel_log).for_each(SystemLogs::finish);
            self.stats.stop();
            (self.stop, self.tasks)
        });
        let ((), stopped) = tokio::join!(plugins.stop(), stopped);
        if let Ok((stop, tasks)) = stopped {
            stop.cancel();
            tasks.close();
            tasks.wait().await;
        }
    }

    fn add_to_kernel_log(&mut self, config: SystemLogConfig, times: BootTimes, before: Option<Before>) {
        let monitors = match &self.kernel_log {
            Some(monitors) => monitors.clone(),
            None => self.monitors(kernel::NAME),
        };
        self.add(config, kernel::NAME.to_owned(), monitors.clone(), times, before);
        self.kernel_log = Some(monitors);
    }

    fn start_kernel_log(&mut self) -> Result<Option<Opened>, AgentError> {
        match &self.kernel_log {
            Some(monitors) if !self.supervisor.has(kernel::NAME) => {
                let monitors = monitors.clone();
                self.start_source(kernel::NAME, LogInput::KernelLog, monitors).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn add_with_source(
        &mut self,
        config: SystemLogConfig,
        times: BootTimes,
        before: Option<Before>,
    ) -> Result<(String, Opened), AgentError> {
        let name = self.free_name(config.input.name());
        let monitors = self.monitors(&name);
        let input = config.input.clone();
        self.add(config, name.clone(), monitors.clone(), times, before);
        let opened = self.start_source(&name, input, monitors)?;
        Ok((name, opened))
    }

    fn start_source(&mut self, name: &str, input: LogInput, monitors: SystemLogs) -> Result<Opened, AgentError> {
        let (options, kernel_metrics) = (self.kernel_options.clone(), self.kernel_metrics.clone());
        let (state, metrics) = (self.state.clone(), self.metrics.clone());
        let source_name = name.to_owned();
        let build: Build = Box::new(move || -> Box<dyn LogSource> {
            match input {
                LogInput::KernelLog => Box::new(KernelLogSource::new(options, monitors, kernel_metrics, state)),
                LogInput::File { path, format } => {
                    Box::new(Filelog::new(FilelogOptions { name: source_name, path, format }, monitors, &metrics))
                }
                LogInput::Journal { folder, filter } => {
                    Box::new(Journald::new(JournaldOptions { name: source_name, folder, filter }, monitors))
                }
            }
        });
        self.supervisor.start(name, build).map_err(AgentError::Start)
    }

    /// Two monitors of one log have two sources.
    fn free_name(&self, name: String) -> String {
        let taken = |name: &str| self.units.iter().any(|unit| unit.name == name);
        let numbered = (2_u32..).map(|number| format!("{name}#{number}"));
        std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(name)
    }

    fn monitors(&self, name: &str) -> SystemLogs {
        let monitors =
            SystemLogs::new(name, Arc::clone(&self.detector), self.metrics.clone(), self.kernel_options.node.clone());
        self.tasks.spawn(monitors.clone().keep_time(self.stop.clone()));
        monitors
    }

    fn add(
        &mut self,
        config: SystemLogConfig,
        name: String,
        monitors: SystemLogs,
        times: BootTimes,
        before: Option<Before>,
    ) {
        let (path, source, input) = (config.path.clone(), config.source.clone(), config.input.clone());
        let monitor = SystemLog::new(config, times);
        self.detector.declare(&monitor.declared());
        // Another log is another place to be in: it has a file of its own.
        let memory = self.state.as_ref().map(|dir| (&**dir, format!("{} {}", path.display(), input.name())));
        monitors.add(&path, monitor, memory.as_ref().map(|(dir, name)| (*dir, name.as_str())), before);
        self.config_is_used(&path);
        self.units.push(Unit { path, source, input, name, monitors });
    }

    fn config_is_used(&self, path: &Path) {
        let file = path.display().to_string();
        self.metrics.config_valid(&file).set(1);
        for outcome in ReloadOutcome::ALL {
            // Shown from the start.
            self.metrics.config_reloads(&file, *outcome).inc_by(0);
        }
    }
}
