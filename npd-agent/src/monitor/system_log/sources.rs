//! The system log monitors of the agent with the sources of their records.
//!
//! Monitors of the kernel log share one source. Any other monitor has a source of its own, so that each keeps track of how
//! far it has read.

use std::path::{Path, PathBuf};

use prometheus::Registry;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    SystemLog,
    runner::{PreviousState, SystemLogs},
};
use crate::{
    config::{LogInput, MonitorKind, SystemLogConfig},
    monitor::{
        MonitorConfig, RunningMonitor, Stopping,
        launcher::{Launcher, Shared, StartError},
    },
    problem::Event,
    source::{
        LogSource,
        file::filelog::{Filelog, FilelogOptions},
        journal::journald::{Journald, JournaldOptions},
        kernel::{self, KernelLogSource, log::KernelLogOptions, metrics::KernelMetrics},
        supervisor::{Build, Opened, Supervisor},
    },
    time::BootTimes,
};

/// The sources of all system log monitors.
pub(crate) struct LogSources {
    kernel_options: KernelLogOptions,
    kernel_metrics: KernelMetrics,
    shared: Shared,
    supervisor: Supervisor,
    groups: Vec<Group>,
    stop: CancellationToken,
    timers: TaskTracker,
}

/// The monitors of one source.
struct Group {
    /// The name of the source.
    name: String,
    input: LogInput,
    monitors: SystemLogs,
}

/// The system log monitor of one config file.
pub(crate) struct RunningLog {
    path: PathBuf,
    /// The name of its source.
    source: String,
    input: LogInput,
    /// All monitors of its source, this one among them.
    monitors: SystemLogs,
}

// === impl LogSources ===

impl LogSources {
    /// No source yet.
    ///
    /// # Errors
    ///
    /// When metrics of the same names are registered already.
    pub(crate) fn new(
        registry: &Registry,
        kernel_options: KernelLogOptions,
        shared: Shared,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            kernel_options,
            kernel_metrics: KernelMetrics::register(registry)?,
            supervisor: Supervisor::new(shared.metrics.clone(), shared.components.clone()),
            shared,
            groups: Vec::new(),
            stop: CancellationToken::new(),
            timers: TaskTracker::new(),
        })
    }

    /// Starts a monitor. Its source is started by [`Self::open`], so that the first record of a source reaches all of its
    /// monitors.
    pub(crate) fn start(&mut self, config: SystemLogConfig, previous: Option<PreviousState>) -> RunningLog {
        let (path, input) = (config.path.clone(), config.input.clone());
        let (source, monitors) = self.group_of(&input);
        let monitor = SystemLog::new(config, BootTimes::read());
        self.shared.detector.declare(&monitor.declared());
        // A position belongs to one log, so that each log that the file names has its own state file.
        let name = format!("{} {}", path.display(), input.name());
        let state = self.shared.state.as_deref().map(|dir| (dir, &*name));
        monitors.add(&path, monitor, state, previous);
        RunningLog { path, source, input, monitors }
    }

    /// Starts the sources that are not running yet. Each reports how its first attempt to open its log went, and retries
    /// in any case.
    ///
    /// # Errors
    ///
    /// When the system cannot provide a thread or a file descriptor.
    pub(crate) fn open(&mut self) -> Result<Vec<(String, Opened)>, StartError> {
        let mut attempts = Vec::new();
        for group in self.groups.iter().filter(|group| !self.supervisor.has(&group.name)).collect::<Vec<_>>() {
            let opened = self.supervisor.start(&group.name, self.build(group)).map_err(StartError::Source)?;
            attempts.push((group.name.clone(), opened));
        }
        Ok(attempts)
    }

    /// Waits until the thread of a source ends by itself, which should never happen.
    pub(crate) async fn broken(&self) {
        self.supervisor.broken().await;
    }

    /// Stops all sources once they have read what is there, and saves the state of their monitors. It blocks.
    pub(crate) fn stop(&mut self) {
        self.supervisor.stop_all();
        self.groups.iter().for_each(|group| group.monitors.finish());
    }

    /// Stops the timers of the monitors.
    pub(crate) async fn stop_timers(&self) {
        self.stop.cancel();
        self.timers.close();
        self.timers.wait().await;
    }

    /// Removes a monitor, and its source unless that is the kernel log.
    fn remove(&mut self, monitor: &RunningLog) -> Option<PreviousState> {
        if monitor.input != LogInput::KernelLog {
            self.supervisor.stop(&monitor.source);
            self.groups.retain(|group| group.name != monitor.source);
        }
        monitor.monitors.remove(&monitor.path)
    }

    /// The monitors of the source that a new monitor of this log reads from, and the source's name.
    fn group_of(&mut self, input: &LogInput) -> (String, SystemLogs) {
        let is_kernel_log = *input == LogInput::KernelLog;
        if is_kernel_log && let Some(group) = self.groups.iter().find(|group| group.input == *input) {
            return (group.name.clone(), group.monitors.clone());
        }
        let name = if is_kernel_log { kernel::NAME.to_owned() } else { self.free_name(input.name()) };
        let Shared { detector, metrics, node, .. } = self.shared.clone();
        let monitors = SystemLogs::new(&name, detector, metrics, node);
        self.timers.spawn(monitors.clone().keep_time(self.stop.clone()));
        self.groups.push(Group { name: name.clone(), input: input.clone(), monitors: monitors.clone() });
        (name, monitors)
    }

    /// Two monitors of the same log have two sources.
    fn free_name(&self, name: String) -> String {
        let taken = |name: &str| self.groups.iter().any(|group| group.name == name);
        let numbered = (2_u32..).map(|number| format!("{name}#{number}"));
        std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(name)
    }

    fn build(&self, group: &Group) -> Build {
        let (options, kernel_metrics) = (self.kernel_options.clone(), self.kernel_metrics.clone());
        let Shared { state, metrics, .. } = self.shared.clone();
        let (name, input, monitors) = (group.name.clone(), group.input.clone(), group.monitors.clone());
        Box::new(move || -> Box<dyn LogSource> {
            match input {
                LogInput::KernelLog => Box::new(KernelLogSource::new(options, monitors, kernel_metrics, state)),
                LogInput::File { path, format } => {
                    Box::new(Filelog::new(FilelogOptions { name, path, format }, monitors, &metrics))
                }
                LogInput::Journal { folder, filter } => {
                    Box::new(Journald::new(JournaldOptions { name, folder, filter }, monitors))
                }
            }
        })
    }
}

// === impl RunningLog ===

impl RunningMonitor for RunningLog {
    fn kind(&self) -> MonitorKind {
        MonitorKind::SystemLog
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// The source is kept if the log is the same.
    fn replace(&mut self, config: MonitorConfig, launcher: &mut Launcher) -> Result<(), StartError> {
        #[cfg_attr(
            not(any(feature = "custom-plugin", feature = "system-stats")),
            expect(irrefutable_let_patterns, reason = "a build without other monitors has no other configs")
        )]
        let MonitorConfig::SystemLog(config) = config else { return Ok(()) };
        let logs = &mut launcher.logs;
        if config.input == self.input {
            let monitor = SystemLog::new(config, BootTimes::read());
            logs.shared.detector.declare(&monitor.declared());
            self.monitors.replace(&self.path, monitor);
            return Ok(());
        }
        let previous = logs.remove(self);
        *self = logs.start(config, previous);
        logs.open().map(drop)
    }

    fn report(&self, event: Event) {
        self.monitors.report(&self.path, event);
    }

    /// Its source is stopped by [`LogSources::stop`], which saves the state as well.
    fn stop(self: Box<Self>) -> Stopping {
        Box::pin(std::future::ready(()))
    }
}
