//! The metrics of the kernel log.

use std::sync::Arc;

use parking_lot::Mutex;

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{
    mode::Mode,
    probes::{Counters, PROBES, ProbeReport, ProbeState},
};

/// The metrics of the kernel log. Clones share them.
#[derive(Clone)]
pub struct KernelMetrics {
    mode: IntGaugeVec,
    probe: IntGaugeVec,
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

/// The probes' own counters, read from the kernel on each scrape. Reloading the probes resets them to zero,
/// which Prometheus understands.
#[derive(Clone)]
struct ProbeCounters {
    maps: Arc<Mutex<Option<Counters>>>,
    seen: Desc,
    dropped: Desc,
}

// === impl KernelMetrics ===

impl KernelMetrics {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// If the registry has metrics of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let records = IntCounterVec::new(
            Opts::new("npd_kernel_records_total", "Records of the kernel log, by the stream that had them first"),
            &["origin"],
        )?;
        let metrics = Self {
            mode: IntGaugeVec::new(
                Opts::new("npd_kernel_log_mode", "1 for the way the kernel log is read"),
                &["mode"],
            )?,
            probe: IntGaugeVec::new(
                Opts::new("npd_kernel_probe", "1 for the state each probe is in"),
                &["probe", "state"],
            )?,
            from_probe: records.with_label_values(&["probe"]),
            from_kmsg: records.with_label_values(&["kmsg"]),
            lost: IntCounter::new(
                "npd_kernel_records_lost_total",
                "Records of the kernel log that were lost from both streams",
            )?,
            suppressed: IntCounter::new(
                "npd_kernel_duplicates_suppressed_total",
                "Kernel events and lines not reported because their counterpart was",
            )?,
            hung_tasks: IntGauge::new("npd_hung_tasks", "Tasks that hang now, according to the hung-task probe")?,
            counters: ProbeCounters::new()?,
        };
        registry.register(Box::new(metrics.mode.clone()))?;
        registry.register(Box::new(metrics.probe.clone()))?;
        registry.register(Box::new(records))?;
        registry.register(Box::new(metrics.lost.clone()))?;
        registry.register(Box::new(metrics.suppressed.clone()))?;
        registry.register(Box::new(metrics.hung_tasks.clone()))?;
        registry.register(Box::new(metrics.counters.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn set_mode(&self, now: Mode) {
        for mode in Mode::ALL {
            self.mode.with_label_values(&[mode.as_str()]).set(i64::from(mode == now));
        }
    }

    pub(crate) fn set_probe(&self, report: &ProbeReport) {
        for state in ProbeState::ALL {
            let value = i64::from(state == report.state);
            self.probe.with_label_values(&[report.probe.name, state.as_str()]).set(value);
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

    /// Adds what was counted since the last time to the metrics; `suppressed` is the number of all suppressed duplicates.
    pub(crate) fn publish(&mut self, suppressed: u64) {
        self.metrics.from_probe.inc_by(std::mem::take(&mut self.from_probe));
        self.metrics.from_kmsg.inc_by(std::mem::take(&mut self.from_kmsg));
        self.metrics.suppressed.inc_by(suppressed - self.suppressed);
        self.suppressed = suppressed;
    }
}

// === impl ProbeCounters ===

const SEEN: (&str, &str) = ("npd_kernel_probe_seen_total", "How often each probe fired");
const DROPPED: (&str, &str) =
    ("npd_kernel_probe_dropped_total", "Records that each probe dropped because the ring was full");

impl ProbeCounters {
    fn new() -> prometheus::Result<Self> {
        let desc = |(name, help): (&str, &str)| {
            counter_of((name, help))?
                .desc()
                .first()
                .map(|desc| (*desc).clone())
                .ok_or_else(|| prometheus::Error::Msg(format!("{name} has no description")))
        };
        Ok(Self { maps: Arc::default(), seen: desc(SEEN)?, dropped: desc(DROPPED)? })
    }
}

impl Collector for ProbeCounters {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.seen, &self.dropped]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let maps = self.maps.lock();
        let (Some(maps), Ok(seen), Ok(dropped)) = (&*maps, counter_of(SEEN), counter_of(DROPPED)) else {
            return Vec::new();
        };
        for probe in PROBES {
            if let Some((fired, full)) = maps.read(probe.kind) {
                seen.with_label_values(&[probe.name]).inc_by(fired);
                dropped.with_label_values(&[probe.name]).inc_by(full);
            }
        }
        [seen.collect(), dropped.collect()].concat()
    }
}

fn counter_of((name, help): (&str, &str)) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), &["probe"])
}
