//! Runs custom plugin monitors: their checks run at their intervals, the results are reported and saved.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus::Registry;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, Span};

use super::{
    Check, CustomPlugin, CustomPluginState, Run, RunKind,
    built_in::BuiltInCheck,
    metrics::RuleMetrics,
    orphans::Children,
    plugin_process::{Program, ProgramOptions},
    schedule::{self, OnFinished, Scheduled},
};
use crate::{
    component::Component,
    config::{
        CustomPluginConfig, MonitorKind,
        custom_plugin::{CheckConfig, PluginRule},
    },
    detector::Detector,
    metric::own::PluginMetrics,
    monitor::{
        self, MonitorConfig, RunningMonitor, Stopping,
        launcher::{Launcher, Shared, StartError},
    },
    problem::{Event, Status},
    state::{Keep, StateFile, warn_on_error},
    time::{Now, Timestamp},
};

/// How long the stop waits for running checks: SIGTERM, SIGKILL and some more.
const STOP_PATIENCE: Duration = Duration::from_millis(1500);

/// What all custom plugin monitors share.
pub(crate) struct CustomPlugins {
    shared: Shared,
    metrics: PluginMetrics,
    allow_insecure: bool,
    children: Children,
    /// Whether the task that reaps orphans runs.
    reaps: bool,
}

/// The custom plugin monitor of one config file.
pub(crate) struct RunningPlugins {
    config: CustomPluginConfig,
    results: Arc<Results>,
    stop: CancellationToken,
    tasks: TaskTracker,
    span: Span,
}

/// Where the results of the checks of one config file go.
struct Results {
    detector: Arc<Detector>,
    source: Arc<str>,
    rules: Vec<RuleMetrics>,
    component: Component,
    known: Mutex<Known>,
}

struct Known {
    monitor: CustomPlugin,
    file: Option<StateFile>,
    /// How the last run of each rule went.
    runs: Vec<Option<RunKind>>,
    /// Why checks cannot be run, by the index of the rule.
    failures: BTreeMap<usize, String>,
}

// === impl CustomPlugins ===

impl CustomPlugins {
    /// No monitor yet. Programs that users other than root can change are refused unless `allow_insecure`.
    ///
    /// # Errors
    ///
    /// When metrics of the same names are registered already.
    pub(crate) fn new(registry: &Registry, shared: Shared, allow_insecure: bool) -> prometheus::Result<Self> {
        let metrics = PluginMetrics::register(registry)?;
        Ok(Self { shared, metrics, allow_insecure, children: Children::default(), reaps: false })
    }

    /// Starts the monitor of a config file. All its rules run at once, and then at their intervals.
    pub(crate) fn start(&mut self, config: CustomPluginConfig) -> RunningPlugins {
        if !std::mem::replace(&mut self.reaps, true) {
            tokio::spawn(self.children.clone().reap_orphans());
        }
        let span = monitor::span(&config.path);
        let _span = span.enter();
        let mut monitor = CustomPlugin::new(&config, Now::read().wall);
        let name = format!("{} custom", config.path.display());
        let mut file = self.shared.state.as_ref().and_then(|dir| warn_on_error(dir.file(&name)));
        let kept = file.as_mut().and_then(|file| warn_on_error(file.load::<CustomPluginState>()).flatten());
        // Results from before the node was booted mean nothing now.
        if let Some(kept) = kept.filter(|kept| !kept.before_boot) {
            monitor.restore(kept.state);
        }
        self.shared.detector.declare(&monitor.declared());
        self.shared.detector.report(&monitor.status());
        self.run(config, monitor, file, None)
    }

    /// Runs the checks of a config, once the tasks `after` have ended.
    fn run(
        &self,
        config: CustomPluginConfig,
        monitor: CustomPlugin,
        file: Option<StateFile>,
        after: Option<TaskTracker>,
    ) -> RunningPlugins {
        let component = self.shared.components.add(&format!("plugins {}", config.path.display()));
        let known = Known { monitor, file, runs: vec![None; config.rules.len()], failures: BTreeMap::new() };
        let results = Arc::new(Results {
            detector: Arc::clone(&self.shared.detector),
            source: config.source.clone(),
            rules: RuleMetrics::of(&self.metrics, &config.source, config.rules.iter().map(|rule| &*rule.reason)),
            component,
            known: Mutex::new(known),
        });
        results.known.lock().save(Now::read().wall);
        results.update_readiness(&results.known.lock());
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let checks: Vec<_> = config.rules.iter().map(|rule| self.schedule(rule, config.max_output_length)).collect();
        let on_finished: OnFinished = {
            let results = Arc::clone(&results);
            Arc::new(move |rule, run, took| results.handle(rule, run, took))
        };
        let span = monitor::span(&config.path);
        let (concurrency, stopped, tracker) = (config.concurrency, stop.clone(), tasks.clone());
        let start = async move {
            if let Some(after) = after {
                after.wait().await;
            }
            if !stopped.is_cancelled() {
                schedule::start(checks, concurrency, &stopped, &tracker, &on_finished);
            }
        };
        tasks.spawn(start.instrument(span.clone()));
        RunningPlugins { config, results, stop, tasks, span }
    }

    fn schedule(&self, rule: &PluginRule, max_output_length: usize) -> Scheduled {
        let check: Box<dyn Check> = match &rule.check {
            CheckConfig::Program { path, args } => Box::new(Program::new(ProgramOptions {
                path: path.clone(),
                args: args.clone(),
                max_output_length,
                allow_insecure: self.allow_insecure,
                children: self.children.clone(),
            })),
            CheckConfig::BuiltIn { check, .. } => {
                Box::new(BuiltInCheck { check: check.clone(), node: self.shared.node.clone() })
            }
        };
        Scheduled { interval: rule.interval, timeout: rule.timeout, check }
    }
}

// === impl RunningPlugins ===

impl RunningMonitor for RunningPlugins {
    fn kind(&self) -> MonitorKind {
        MonitorKind::CustomPlugin
    }

    fn path(&self) -> &Path {
        &self.config.path
    }

    /// Running checks are stopped, and all rules run again. The results of unchanged rules are kept.
    fn replace(&mut self, config: MonitorConfig, launcher: &mut Launcher) -> Result<(), StartError> {
        let MonitorConfig::CustomPlugin(config) = config else { return Ok(()) };
        let plugins = &launcher.plugins;
        let span = self.span.clone();
        let _span = span.enter();
        self.stop.cancel();
        self.tasks.close();
        let (state, status_before, file) = {
            let mut known = self.results.known.lock();
            (known.monitor.state(), known.monitor.status(), known.file.take())
        };
        let mut monitor = CustomPlugin::new(&config, Now::read().wall);
        monitor.restore(state);
        self.results.detector.declare(&monitor.declared());
        self.results.detector.report_replaced(status_before, &monitor.status());
        let new = plugins.run(config, monitor, file, Some(self.tasks.clone()));
        let is_gone = |old: &&RuleMetrics| !new.results.rules.iter().any(|new| new.name() == old.name());
        self.results.rules.iter().filter(is_gone).for_each(RuleMetrics::forget);
        *self = new;
        Ok(())
    }

    fn report(&self, event: Event) {
        let _span = self.span.enter();
        let status = self.results.known.lock().monitor.status();
        self.results.detector.report(&Status { events: vec![event], metrics: false, ..status });
    }

    /// Running checks are stopped. A process that cannot be killed is left behind.
    fn stop(self: Box<Self>) -> Stopping {
        self.stop.cancel();
        self.tasks.close();
        let span = self.span.clone();
        let stopping = async move {
            if timeout(STOP_PATIENCE, self.tasks.wait()).await.is_err() {
                tracing::warn!("a plugin cannot be ended and is left behind");
            }
            let mut known = self.results.known.lock();
            known.save(Now::read().wall);
            if let Some(file) = &known.file {
                warn_on_error(file.sync());
            }
        };
        Box::pin(stopping.instrument(span))
    }
}

// === impl Results ===

impl Results {
    fn handle(&self, rule: usize, run: Run, took: Duration) {
        let Run { outcome, kind, remarks, leftover: _ } = run;
        let Some(metrics) = self.rules.get(rule) else { return };
        self.component.begin_step();
        metrics.count(kind, took);
        let now = Now::read().wall;
        let mut known = self.known.lock();
        let before = known.runs.get(rule).copied().flatten();
        self.log(metrics.name(), before, kind, &remarks, &outcome.message);
        if kind.is_failure() {
            known.failures.insert(rule, outcome.message.clone());
        } else {
            known.failures.remove(&rule);
        }
        if let Some(run) = known.runs.get_mut(rule) {
            *run = Some(kind);
        }
        self.update_readiness(&known);
        let update = known.monitor.handle(rule, outcome, now);
        if let Some(status) = update.status {
            self.detector.report(&status);
        }
        if update.changed {
            known.save(now);
        }
        drop(known);
        self.component.end_step();
    }

    /// Logs a run: with a higher level if it went in another way than the one before.
    fn log(&self, rule: &str, before: Option<RunKind>, kind: RunKind, stderr: &str, message: &str) {
        let (source, outcome) = (&*self.source, kind.as_str());
        if before != Some(kind) && (kind == RunKind::Timeout || kind.is_failure()) {
            tracing::warn!(source, rule, outcome, stderr, text = message, "plugin run");
        } else if before != Some(kind) && kind != RunKind::Ok && !stderr.is_empty() {
            tracing::info!(source, rule, outcome, stderr, text = message, "plugin run");
        } else {
            tracing::debug!(source, rule, outcome, stderr, text = message, "plugin run");
        }
    }

    fn update_readiness(&self, known: &Known) {
        let left = known.runs.iter().filter(|run| run.is_none()).count();
        if let Some((rule, why)) = known.failures.first_key_value() {
            let name = self.rules.get(*rule).map(RuleMetrics::name).unwrap_or_default();
            self.component.set_waiting(&format!("{name}: {why}"));
        } else if left > 0 {
            self.component.set_waiting("the first results");
        } else {
            self.component.set_ready();
        }
    }
}

// === impl Known ===

impl Known {
    fn save(&mut self, now: Timestamp) {
        let Some(file) = &mut self.file else { return };
        let keep = Keep { position: None, doubt: None, at: now, state: &self.monitor.state() };
        file.save_or_warn(&keep, true);
    }
}
