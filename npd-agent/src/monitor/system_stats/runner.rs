//! Runs system stats monitors: each config file has a thread that measures, publishes and reports.

use std::{
    error::Error,
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use prometheus::Registry;
use tokio::{sync::oneshot, time::timeout};
use tracing::Span;

use super::{Alerts, Collectors, Node, StatsPage};
use crate::{
    config::{self, ConfigError, Loaded, MonitorKind, SystemStatsConfig},
    detector::Detector,
    metric::Section,
    monitor::{
        self, MonitorConfig, RunningMonitor, Stopping,
        launcher::{Launcher, Shared, StartError},
    },
    problem::{Event, Status},
    time::Now,
};

/// How long the stop waits for a collection in progress. One that hangs is left behind.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// What all system stats monitors share.
pub(crate) struct SystemStats {
    page: StatsPage,
    shared: Shared,
}

/// The system stats monitor of one config file.
pub(crate) struct RunningStats {
    config: SystemStatsConfig,
    /// Locked while a status is reported, so that an older one is never reported after a newer one.
    alerts: Arc<Mutex<Alerts>>,
    detector: Arc<Detector>,
    /// Changed configs; the thread ends when this is dropped.
    changes: Sender<SystemStatsConfig>,
    /// Completes when the thread ends.
    ended: oneshot::Receiver<()>,
    span: Span,
}

/// What the thread owns.
struct Measuring {
    config: SystemStatsConfig,
    collectors: Collectors,
    /// The node with the config's `procPath`.
    node: Node,
    /// The node that the agent was started with.
    base: Node,
    alerts: Arc<Mutex<Alerts>>,
    page: StatsPage,
    detector: Arc<Detector>,
}

// === impl SystemStats ===

impl SystemStats {
    /// No monitor yet.
    ///
    /// # Errors
    ///
    /// When metrics of the same names are registered already.
    pub(crate) fn new(registry: &Registry, shared: Shared) -> prometheus::Result<Self> {
        Ok(Self { page: StatsPage::register(registry)?, shared })
    }

    /// Starts the monitor of a config file. It measures at once, and then at its interval.
    pub(crate) fn start(&self, config: SystemStatsConfig) -> Result<RunningStats, StartError> {
        let span = monitor::span(&config.path);
        let _span = span.enter();
        let alerts = Alerts::new(&config, Now::read().wall);
        self.shared.detector.declare(&alerts.declared());
        self.shared.detector.report(&alerts.status());
        let alerts = Arc::new(Mutex::new(alerts));
        let collectors = Collectors::new(&config);
        self.page.put(&config, collectors.sections());
        let measuring = Measuring {
            node: self.shared.node.clone().with_proc(config.proc_path.as_deref()),
            base: self.shared.node.clone(),
            config: config.clone(),
            collectors,
            alerts: Arc::clone(&alerts),
            page: self.page.clone(),
            detector: Arc::clone(&self.shared.detector),
        };
        let ((changes, configs), (alive, ended)) = (mpsc::channel(), oneshot::channel());
        let thread_span = span.clone();
        let run = move || {
            let _span = thread_span.entered();
            measuring.run(&configs);
            drop(alive);
        };
        thread::Builder::new().name("stats".into()).spawn(run).map_err(StartError::SystemStats)?;
        let (detector, span) = (Arc::clone(&self.shared.detector), span.clone());
        Ok(RunningStats { config, alerts, detector, changes, ended, span })
    }
}

// === impl RunningStats ===

impl RunningMonitor for RunningStats {
    fn kind(&self) -> MonitorKind {
        MonitorKind::SystemStats
    }

    fn path(&self) -> &Path {
        &self.config.path
    }

    /// The names in other changed files that this one gives to other metrics.
    fn conflicts(&self, changed: &Loaded) -> Vec<ConfigError> {
        let others = changed.system_stats.iter().filter(|other| other.path != self.config.path);
        others.flat_map(|other| config::conflicts(other, [&self.config])).collect()
    }

    /// The state of unchanged alerts is kept.
    fn replace(&mut self, config: MonitorConfig, _: &mut Launcher) -> Result<(), StartError> {
        let MonitorConfig::SystemStats(config) = config else { return Ok(()) };
        let _span = self.span.enter();
        {
            let mut alerts = self.alerts.lock();
            let before = alerts.status();
            let old = std::mem::replace(&mut *alerts, Alerts::new(&config, Now::read().wall));
            alerts.restore(old);
            self.detector.declare(&alerts.declared());
            self.detector.report_replaced(before, &alerts.status());
        }
        // The thread receives as long as there is a sender.
        let _sent = self.changes.send(config.clone());
        self.config = config;
        Ok(())
    }

    fn report(&self, event: Event) {
        let _span = self.span.enter();
        let alerts = self.alerts.lock();
        self.detector.report(&Status { events: vec![event], metrics: false, ..alerts.status() });
    }

    /// A collection that hangs is not waited for.
    fn stop(self: Box<Self>) -> Stopping {
        let Self { config, changes, ended, .. } = *self;
        drop(changes);
        Box::pin(async move {
            if timeout(STOP_PATIENCE, ended).await.is_err() {
                tracing::warn!(monitor = %config.path.display(), "a collection hangs and is left behind");
            }
        })
    }
}

// === impl Measuring ===

impl Measuring {
    fn run(mut self, configs: &Receiver<SystemStatsConfig>) {
        let mut due = Now::read().mono;
        loop {
            self.measure();
            // Intervals that were missed meanwhile are skipped.
            due = due.after(self.config.interval).max(Now::read().mono);
            match configs.recv_timeout(due.since(Now::read().mono)) {
                Ok(config) => {
                    self.replace(config);
                    due = Now::read().mono;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn replace(&mut self, config: SystemStatsConfig) {
        self.collectors = Collectors::new(&config);
        self.node = self.base.clone().with_proc(config.proc_path.as_deref());
        self.page.put(&config, self.collectors.sections());
        self.config = config;
    }

    fn measure(&mut self) {
        let sections: Vec<Section> = self.collectors.sections().collect();
        for section in sections {
            let began = Now::read();
            self.page.begin(&self.config.path, section, began.mono);
            let (samples, outcome) = self.collectors.collect(section, &self.node, began.mono);
            let mut alerts = self.alerts.lock();
            for status in alerts.observe(&samples, outcome.is_ok(), began) {
                self.detector.report(&status);
            }
            drop(alerts);
            let before = self.page.was_success(&self.config.path, section);
            self.page.end(&self.config.path, section, samples, outcome.is_ok(), Now::read().mono);
            let (file, collector) = (self.config.path.display(), section.key());
            match (outcome, before) {
                (Ok(()), Some(false)) => tracing::info!(collector, %file, "all metrics can be collected again"),
                (Ok(()), _) | (Err(_), Some(false)) => {}
                (Err(error), _) => {
                    let error = &error as &dyn Error;
                    tracing::warn!(collector, %file, error, "some metrics cannot be collected");
                }
            }
        }
    }
}
