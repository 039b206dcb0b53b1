//! The edge: a thread for each config file, which measures, shows and reports.

use std::{
    error::Error,
    io,
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

use super::{Alerts, Collectors, Node, StatsPage};
use crate::{
    config::{self, ConfigError, SystemStatsConfig},
    detector::Detector,
    metric::Section,
    problem::{Event, Status},
    time::Now,
};

/// How long the end waits for collections that are under way. One that hangs is left behind.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// All system stats monitors of the agent.
pub struct Monitors {
    page: StatsPage,
    detector: Arc<Detector>,
    node: Node,
    workers: Vec<Worker>,
}

/// A thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start a system stats monitor")]
pub struct StartError(#[source] io::Error);

/// One config file at work.
struct Worker {
    config: SystemStatsConfig,
    /// Locked while what it says is reported, so that nothing older is reported after something newer.
    alerts: Arc<Mutex<Alerts>>,
    /// A changed config; the end of the channel is the end of the thread.
    changes: Sender<SystemStatsConfig>,
    /// Its end is the thread's.
    ended: Receiver<()>,
}

/// What the thread has.
struct Measuring {
    config: SystemStatsConfig,
    collectors: Collectors,
    /// As the config says.
    node: Node,
    /// As the environment says.
    base: Node,
    alerts: Arc<Mutex<Alerts>>,
    page: StatsPage,
    detector: Arc<Detector>,
}

// === impl Monitors ===

impl Monitors {
    /// None yet.
    ///
    /// # Errors
    ///
    /// When the registry has such metrics already.
    pub fn new(registry: &Registry, detector: Arc<Detector>, node: Node) -> prometheus::Result<Self> {
        Ok(Self { page: StatsPage::register(registry)?, detector, node, workers: Vec::new() })
    }

    /// Starts the monitor of a config file. It measures at once, and then again and again.
    pub fn add(&mut self, config: SystemStatsConfig) -> Result<(), StartError> {
        let alerts = Alerts::new(&config, Now::read().wall);
        self.detector.declare(&alerts.declared());
        self.detector.report(&alerts.status());
        let alerts = Arc::new(Mutex::new(alerts));
        let collectors = Collectors::new(&config);
        self.page.put(&config, collectors.sections());
        let measuring = Measuring {
            node: self.node.clone().with_proc(config.proc_path.as_deref()),
            base: self.node.clone(),
            config: config.clone(),
            collectors,
            alerts: Arc::clone(&alerts),
            page: self.page.clone(),
            detector: Arc::clone(&self.detector),
        };
        let ((changes, orders), (alive, ended)) = (mpsc::channel(), mpsc::channel());
        let run = move || {
            measuring.run(&orders);
            drop(alive);
        };
        thread::Builder::new().name("stats".into()).spawn(run).map_err(StartError)?;
        self.workers.push(Worker { config, alerts, changes, ended });
        Ok(())
    }

    /// The names in a changed config file that other files give to other metrics.
    #[must_use]
    pub fn conflicts(&self, config: &SystemStatsConfig) -> Vec<ConfigError> {
        let others = self.workers.iter().map(|worker| &worker.config).filter(|other| other.path != config.path);
        config::conflicts(config, others)
    }

    /// Takes a changed config file. What belongs to unchanged alerts goes on.
    pub fn replace(&mut self, config: SystemStatsConfig) {
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.config.path == config.path) else { return };
        {
            let mut alerts = worker.alerts.lock();
            let before = alerts.status();
            let old = std::mem::replace(&mut *alerts, Alerts::new(&config, Now::read().wall));
            alerts.restore(old);
            self.detector.declare(&alerts.declared());
            let status = alerts.status();
            if let Some(gone) = before.no_longer_watched(&status) {
                self.detector.report(&gone);
            }
            self.detector.report(&status);
        }
        // The thread is there as long as its sender is, unless it panicked.
        if worker.changes.send(config.clone()).is_err() {
            tracing::error!(file = %config.path.display(), "a system stats monitor has ended by itself");
        }
        worker.config = config;
    }

    /// Reports an event about the config file of a monitor.
    pub fn report(&self, path: &Path, event: Event) {
        if let Some(worker) = self.workers.iter().find(|worker| worker.config.path == path) {
            let alerts = worker.alerts.lock();
            self.detector.report(&Status { events: vec![event], metrics: false, ..alerts.status() });
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Ends all of them. A collection that hangs is not waited for.
    pub fn stop(&mut self) {
        let ends: Vec<_> = self.workers.drain(..).map(|worker| worker.ended).collect();
        let begun = Now::read().mono;
        for ended in ends {
            let left = STOP_PATIENCE.saturating_sub(Now::read().mono.since(begun));
            if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                tracing::warn!("a collection hangs and is left behind");
            }
        }
    }
}

// === impl Measuring ===

impl Measuring {
    fn run(mut self, orders: &Receiver<SystemStatsConfig>) {
        let mut due = Now::read().mono;
        loop {
            self.measure();
            // What was missed meanwhile is not made up for.
            due = due.after(self.config.interval).max(Now::read().mono);
            match orders.recv_timeout(due.since(Now::read().mono)) {
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
                (Ok(()), Some(false)) => tracing::info!(collector, %file, "everything can be measured again"),
                (Ok(()), _) | (Err(_), Some(false)) => {}
                (Err(error), _) => {
                    let error = &error as &dyn Error;
                    tracing::warn!(collector, %file, error, "not everything can be measured");
                }
            }
        }
    }
}
