//! The samples on the metrics page.
//!
//! The page holds the newest samples of each collector and nothing else: a series that a collector no longer gives
//! disappears with the next collection. While a collector hangs, that is all that is shown of its monitor: the other
//! collectors wait for it, and their samples are outdated.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use prometheus::{
    Registry,
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

use super::sample::{Samples, Text};
use crate::{
    config::SystemStatsConfig,
    metric::{Kind, MetricId, Section, own::CollectorMetrics},
    time::{Monotonic, Now},
};

/// A collector that takes longer than this and than its interval is considered to hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// All system stats monitors' part of the metrics page. Clones are the same page.
#[derive(Clone, Default)]
pub struct StatsPage {
    monitors: Arc<Mutex<Vec<Monitor>>>,
}

struct Monitor {
    path: PathBuf,
    names: BTreeMap<MetricId, Arc<str>>,
    patience: Duration,
    collectors: Vec<State>,
}

/// The state of a collector.
struct State {
    section: Section,
    /// When it began, if it has not ended yet.
    running: Option<Monotonic>,
    last: Option<Outcome>,
}

struct Outcome {
    is_success: bool,
    took: Duration,
    samples: Samples,
}

/// Metrics of one name.
struct Family<'a> {
    id: MetricId,
    metrics: Vec<Metric>,
    /// Their labels, to have each once.
    seen: HashSet<&'a [Text]>,
}

// === impl StatsPage ===

impl StatsPage {
    /// A page with nothing on it.
    ///
    /// # Errors
    ///
    /// When the registry has such a page already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let page = Self::default();
        registry.register(Box::new(page.clone()))?;
        Ok(page)
    }

    /// Puts the monitor of a config file on the page, replacing the former one of the file.
    pub fn put(&self, config: &SystemStatsConfig, sections: impl Iterator<Item = Section>) {
        let monitor = Monitor {
            path: config.path.clone(),
            names: config.metrics.iter().map(|metric| (metric.id, metric.name.clone())).collect(),
            patience: config.interval.max(PATIENCE),
            collectors: sections.map(|section| State { section, running: None, last: None }).collect(),
        };
        let mut monitors = self.monitors.lock();
        match monitors.iter_mut().find(|known| known.path == monitor.path) {
            Some(known) => *known = monitor,
            None => monitors.push(monitor),
        }
    }

    /// A collector begins.
    pub fn begin(&self, path: &Path, section: Section, now: Monotonic) {
        self.with(path, section, |state| state.running = Some(now));
    }

    /// A collector has ended.
    pub fn end(&self, path: &Path, section: Section, samples: Samples, is_success: bool, now: Monotonic) {
        self.with(path, section, |state| {
            let took = state.running.take().map(|began| now.since(began)).unwrap_or_default();
            state.last = Some(Outcome { is_success, took, samples });
        });
    }

    /// Whether a collector could read everything the last time; `None` before the first time.
    pub(super) fn was_success(&self, path: &Path, section: Section) -> Option<bool> {
        let mut last = None;
        self.with(path, section, |state| last = state.last.as_ref().map(|last| last.is_success));
        last
    }

    /// The metrics as they are at a moment.
    fn families(&self, now: Monotonic) -> Vec<MetricFamily> {
        let monitors = self.monitors.lock();
        let mut families = BTreeMap::<&str, Family<'_>>::new();
        let (mut successes, mut durations) = (Vec::new(), Vec::new());
        for monitor in monitors.iter() {
            let file = monitor.path.display().to_string();
            let hangs = monitor.hangs(now);
            for state in &monitor.collectors {
                let labels = || vec![label("collector", state.section.key()), label("file", &file)];
                let (is_success, took) = match (hangs, state.running, &state.last) {
                    (Some(time), Some(_), _) => (false, time),
                    (_, _, Some(last)) => (last.is_success && hangs.is_none(), last.took),
                    (_, _, None) => continue,
                };
                successes.push(metric(labels(), Kind::Gauge, f64::from(u8::from(is_success))));
                durations.push(metric(labels(), Kind::Gauge, took.as_secs_f64()));
                if let (None, Some(last)) = (hangs, &state.last) {
                    monitor.show(&last.samples, &mut families);
                }
            }
        }
        let own = CollectorMetrics::ROWS.into_iter().zip([successes, durations]);
        let own = own.map(|(row, metrics)| family(row.name, row.help, Kind::Gauge, metrics));
        let measured = families.into_iter().map(|(name, Family { id, metrics, .. })| {
            let row = id.metric();
            family(name, row.help, row.kind, metrics)
        });
        own.chain(measured).collect()
    }

    fn with(&self, path: &Path, section: Section, change: impl FnOnce(&mut State)) {
        let mut monitors = self.monitors.lock();
        let monitor = monitors.iter_mut().find(|monitor| monitor.path == path);
        if let Some(state) = monitor.and_then(|m| m.collectors.iter_mut().find(|state| state.section == section)) {
            change(state);
        }
    }
}

impl Collector for StatsPage {
    /// Nothing is fixed: the names come from config files, which can change.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.families(Now::read().mono)
    }
}

// === impl Monitor ===

impl Monitor {
    /// For how long one of its collectors has hung, if one does.
    fn hangs(&self, now: Monotonic) -> Option<Duration> {
        let running = self.collectors.iter().filter_map(|state| Some(now.since(state.running?)));
        running.max().filter(|time| *time > self.patience)
    }

    /// Two monitors may measure the same under one name; of a series that both have the first one's value counts.
    fn show<'a>(&'a self, samples: &'a Samples, families: &mut BTreeMap<&'a str, Family<'a>>) {
        for (id, series) in samples.iter() {
            let Some(name) = self.names.get(&id) else { continue };
            let family = match families.entry(name) {
                Entry::Vacant(entry) => {
                    entry.insert(Family { id, metrics: Vec::with_capacity(series.len()), seen: HashSet::new() })
                }
                // Only in between two changes of files that would not go together.
                Entry::Occupied(entry) if entry.get().id != id => continue,
                Entry::Occupied(entry) => entry.into_mut(),
            };
            let row = id.metric();
            for one in series {
                if family.seen.insert(&one.labels) {
                    let labels = row.labels.iter().zip(&one.labels).map(|(name, value)| label(name, value.as_str()));
                    family.metrics.push(metric(labels.collect(), row.kind, one.value));
                }
            }
        }
    }
}

fn family(name: &str, help: &str, kind: Kind, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(match kind {
        Kind::Gauge => MetricType::GAUGE,
        Kind::Counter => MetricType::COUNTER,
    });
    family.set_metric(metrics);
    family
}

fn metric(labels: Vec<LabelPair>, kind: Kind, value: f64) -> Metric {
    let mut metric = Metric::from_label(labels);
    match kind {
        Kind::Gauge => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
    }
    metric
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

#[cfg(test)]
mod tests;
