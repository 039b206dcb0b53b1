//! The metrics of the kernel log.

use std::sync::Arc;

use parking_lot::Mutex;

use prometheus::{
    IntCounter, IntGauge, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{
    mode::Mode,
    probes::{Counters, PROBES, ProbeReport, ProbeState},
};
use crate::metric::own::{KernelLogMetrics, LabelValue, Origin, ProbeMetrics};

/// The metrics of the kernel log. Clones share them.
#[derive(Clone)]
pub(crate) struct KernelMetrics {
    table: KernelLogMetrics,
    from_probe: IntCounter,
    from_kmsg: IntCounter,
    pub(crate) lost: IntCounter,
    suppressed: IntCounter,
    pub(crate) hung_tasks: IntGauge,
    counters: ProbeCounters,
}

/// Counts of a cycle, kept off the shared counters: a line costs no atomic operation.
pub(crate) struct RecordCounts {
    pub(crate) from_probe: u64,
    pub(crate) from_kmsg: u64,
    /// How many suppressed duplicates are published.
    suppressed: u64,
    metrics: KernelMetrics,
}

/// The probes' own counters, read from the kernel when the page is requested. Reloading the probes resets them to zero,
/// which Prometheus understands.
#[derive(Clone)]
struct ProbeCounters {
    maps: Arc<Mutex<Option<Counters>>>,
    /// What the counters are called; without values.
    described: ProbeMetrics,
}

// === impl KernelMetrics ===

impl KernelMetrics {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// If the registry already has metrics of these names.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let table = KernelLogMetrics::register(registry)?;
        let counters = ProbeCounters { maps: Arc::default(), described: ProbeMetrics::new()? };
        registry.register(Box::new(counters.clone()))?;
        Ok(Self {
            from_probe: table.records(Origin::Probe),
            from_kmsg: table.records(Origin::Kmsg),
            lost: table.records_lost(),
            suppressed: table.duplicates_suppressed(),
            hung_tasks: table.hung_tasks(),
            table,
            counters,
        })
    }

    pub(crate) fn set_mode(&self, now: Mode) {
        for mode in Mode::ALL {
            self.table.mode(mode).set(i64::from(mode == now));
        }
    }

    pub(crate) fn set_probe(&self, report: &ProbeReport) {
        for state in ProbeState::ALL {
            self.table.probe(report.probe.name, state).set(i64::from(state == report.state));
        }
    }

    /// Reads the probes' counters from these maps from now on.
    pub(crate) fn set_counters(&self, counters: Option<Counters>) {
        *self.counters.maps.lock() = counters;
    }

    /// How many records found the ring full, over all probes.
    pub(crate) fn dropped(&self) -> u64 {
        let counters = self.counters.maps.lock();
        let Some(counters) = &*counters else { return 0 };
        PROBES.iter().filter_map(|probe| counters.read(probe.kind)).map(|(_, dropped)| dropped).sum()
    }
}

// === impl RecordCounts ===

impl RecordCounts {
    pub(crate) fn new(metrics: KernelMetrics) -> Self {
        Self { from_probe: 0, from_kmsg: 0, suppressed: 0, metrics }
    }

    /// Adds the counts since the last call to the metrics; `suppressed` is the number of all suppressed duplicates.
    pub(crate) fn publish(&mut self, suppressed: u64) {
        self.metrics.from_probe.inc_by(std::mem::take(&mut self.from_probe));
        self.metrics.from_kmsg.inc_by(std::mem::take(&mut self.from_kmsg));
        self.metrics.suppressed.inc_by(suppressed - self.suppressed);
        self.suppressed = suppressed;
    }
}

impl LabelValue for Mode {
    fn as_str(&self) -> &str {
        (*self).as_str()
    }
}

impl LabelValue for ProbeState {
    fn as_str(&self) -> &str {
        (*self).as_str()
    }
}

// === impl ProbeCounters ===

impl Collector for ProbeCounters {
    fn desc(&self) -> Vec<&Desc> {
        self.described.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let maps = self.maps.lock();
        let (Some(maps), Ok(metrics)) = (&*maps, ProbeMetrics::new()) else { return Vec::new() };
        for probe in PROBES {
            if let Some((fired, full)) = maps.read(probe.kind) {
                metrics.seen(probe.name).inc_by(fired);
                metrics.dropped(probe.name).inc_by(full);
            }
        }
        metrics.collect()
    }
}
