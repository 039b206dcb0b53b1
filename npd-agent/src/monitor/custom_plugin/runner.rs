//! The edge: the custom plugin monitors of the agent at work.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;

use prometheus::Registry;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Check, CustomPlugin, CustomPluginState, PluginMetrics, RunKind,
    built_in::BuiltInCheck,
    metrics::RuleMetrics,
    orphans::Children,
    plugin_process::{Program, ProgramOptions},
    schedule::{self, Finished, Scheduled, Told},
};
use crate::{
    component::{Component, Components},
    config::{
        CustomPluginConfig,
        custom_plugin::{CheckConfig, PluginRule},
    },
    detector::Detector,
    node::Node,
    problem::{Event, Status},
    state::{Keep, StateDir, StateFile, warn_on_error},
    time::{Now, Timestamp},
};

/// How long the end waits for what runs: SIGTERM, SIGKILL and a little.
const STOP_PATIENCE: Duration = Duration::from_millis(1500);

/// All custom plugin monitors of the agent.
pub struct Plugins {
    detector: Arc<Detector>,
    metrics: PluginMetrics,
    components: Components,
    state: Option<Arc<StateDir>>,
    node: Node,
    allow_insecure: bool,
    children: Children,
    running: Vec<Running>,
    /// Whether orphans are reaped already.
    reaps: bool,
}

/// One config file at work.
struct Running {
    config: CustomPluginConfig,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What the tasks of one config file have in common.
struct Shared {
    detector: Arc<Detector>,
    source: Arc<str>,
    rules: Vec<RuleMetrics>,
    component: Component,
    known: Mutex<Known>,
}

struct Known {
    monitor: CustomPlugin,
    memory: Option<StateFile>,
    /// How the last run of each rule went.
    runs: Vec<Option<RunKind>>,
    /// Why rules cannot be run, by their places.
    failures: BTreeMap<usize, String>,
}

// === impl Plugins ===

impl Plugins {
    /// None yet. Programs that others than root can change are refused, unless they are allowed.
    ///
    /// # Errors
    ///
    /// When the registry has such metrics already.
    pub fn new(
        registry: &Registry,
        detector: Arc<Detector>,
        components: Components,
        state: Option<Arc<StateDir>>,
        node: Node,
        allow_insecure: bool,
    ) -> prometheus::Result<Self> {
        let metrics = PluginMetrics::register(registry)?;
        let (children, running) = (Children::default(), Vec::new());
        Ok(Self { detector, metrics, components, state, node, allow_insecure, children, running, reaps: false })
    }

    /// Starts the monitor of a config file. All its rules run at once, and then again and again.
    pub fn add(&mut self, config: CustomPluginConfig) {
        if !std::mem::replace(&mut self.reaps, true) {
            tokio::spawn(self.children.clone().reap_orphans());
        }
        let mut monitor = CustomPlugin::new(&config, Now::read().wall);
        let name = format!("{} custom", config.path.display());
        let mut memory = self.state.as_ref().and_then(|dir| warn_on_error(dir.file(&name)));
        let kept = memory.as_mut().and_then(|memory| warn_on_error(memory.load::<CustomPluginState>()).flatten());
        // What was so before the node was booted says nothing of it now.
        if let Some(kept) = kept.filter(|kept| !kept.before_boot) {
            monitor.restore(kept.state);
        }
        self.detector.declare(&monitor.declared());
        self.detector.report(&monitor.status());
        let running = self.start(config, monitor, memory, None);
        self.running.push(running);
    }

    /// Takes a changed config file. What is known of unchanged rules stays known; what runs is ended, and all run anew.
    pub fn replace(&mut self, config: CustomPluginConfig) {
        let Some(index) = self.running.iter().position(|running| running.config.path == config.path) else { return };
        let old = self.running.remove(index);
        old.stop.cancel();
        old.tasks.close();
        let (before, status_before, memory) = {
            let mut known = old.shared.known.lock();
            (known.monitor.state(), known.monitor.status(), known.memory.take())
        };
        let mut monitor = CustomPlugin::new(&config, Now::read().wall);
        monitor.restore(before);
        self.detector.declare(&monitor.declared());
        let status = monitor.status();
        if let Some(gone) = status_before.no_longer_watched(&status) {
            self.detector.report(&gone);
        }
        self.detector.report(&status);
        let running = self.start(config, monitor, memory, Some(old.tasks));
        let is_gone = |old: &&RuleMetrics| !running.shared.rules.iter().any(|new| new.name() == old.name());
        self.metrics.forget(old.shared.rules.iter().filter(is_gone));
        self.running.insert(index, running);
    }

    /// Reports an event about the config file of a monitor; `false` when it is none of these.
    #[must_use]
    pub fn report(&self, path: &Path, event: Event) -> bool {
        let Some(running) = self.running.iter().find(|running| running.config.path == path) else { return false };
        let status = running.shared.known.lock().monitor.status();
        self.detector.report(&Status { events: vec![event], metrics: false, ..status });
        true
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Ends all of them and what they run. What cannot be killed is left behind.
    pub async fn stop(&mut self) {
        for running in &self.running {
            running.stop.cancel();
            running.tasks.close();
        }
        let ends = async {
            for running in &self.running {
                running.tasks.wait().await;
            }
        };
        if timeout(STOP_PATIENCE, ends).await.is_err() {
            tracing::warn!("a plugin cannot be ended and is left behind");
        }
        for running in self.running.drain(..) {
            let mut known = running.shared.known.lock();
            known.save(Now::read().wall);
            if let Some(memory) = &known.memory {
                warn_on_error(memory.sync());
            }
        }
    }

    /// Starts what a config says, after those tasks have ended.
    fn start(
        &self,
        config: CustomPluginConfig,
        monitor: CustomPlugin,
        memory: Option<StateFile>,
        after: Option<TaskTracker>,
    ) -> Running {
        let component = self.components.add(&format!("plugins {}", config.path.display()));
        let known = Known { monitor, memory, runs: vec![None; config.rules.len()], failures: BTreeMap::new() };
        let shared = Arc::new(Shared {
            detector: Arc::clone(&self.detector),
            source: config.source.clone(),
            rules: self.metrics.of(&config.source, config.rules.iter().map(|rule| &*rule.reason)),
            component,
            known: Mutex::new(known),
        });
        shared.known.lock().save(Now::read().wall);
        shared.tell_readiness(&shared.known.lock());
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let checks: Vec<_> = config.rules.iter().map(|rule| self.schedule(rule, config.max_output_length)).collect();
        let told: Told = {
            let shared = Arc::clone(&shared);
            Arc::new(move |finished| shared.take(finished))
        };
        let (concurrency, order, tracker) = (config.concurrency, stop.clone(), tasks.clone());
        tasks.spawn(async move {
            if let Some(after) = after {
                after.wait().await;
            }
            if !order.is_cancelled() {
                schedule::start(checks, concurrency, &order, &tracker, &told);
            }
        });
        Running { config, shared, stop, tasks }
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
                Box::new(BuiltInCheck { check: check.clone(), node: self.node.clone() })
            }
        };
        Scheduled { interval: rule.interval, timeout: rule.timeout, check }
    }
}

// === impl Shared ===

impl Shared {
    fn take(&self, finished: Finished) {
        let Finished { rule, outcome, kind, remarks, took } = finished;
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
        self.tell_readiness(&known);
        let news = known.monitor.take(rule, outcome, now);
        if let Some(status) = news.status {
            self.detector.report(&status);
        }
        if news.changed {
            known.save(now);
        }
        drop(known);
        self.component.end_step();
    }

    /// A change is told of, what stays as it is only to who wants to know everything.
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

    fn tell_readiness(&self, known: &Known) {
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
        let Some(memory) = &mut self.memory else { return };
        let keep = Keep { position: None, doubt: None, at: now, state: &self.monitor.state() };
        memory.save_or_warn(&keep, true);
    }
}
