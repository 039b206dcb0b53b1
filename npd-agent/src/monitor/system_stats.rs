//! The system stats monitor: the state of the node as numbers, and the thresholds that turn them into problems.
//!
//! A config file is one monitor with its own thread, on which its collectors run one after the other: a read that hangs
//! in the kernel delays this monitor and no other. The results of a collector are on the metrics page as soon as it is
//! done; a series that it no longer finds disappears from there. A collector that fails is logged and does not affect the
//! others.
//!
//! Counters are the kernel's own: they are exported as they are, so they survive a restart of the agent and start over
//! with the node.

mod alert;
mod clock;
mod cpu;
mod disk;
mod hardware;
mod host;
mod limits;
mod memory;
mod net;
mod os_feature;
mod page;
mod pressure;
pub mod sample;
mod tasks;
mod vm;

use std::sync::Arc;

use self::sample::Samples;
pub use self::{alert::Alerts, page::StatsPage};
use crate::{
    config::system_stats::SystemStatsConfig,
    metric::{MetricId, Section},
    node::{Node, files::CollectError},
    time::Monotonic,
};

/// Reads one part of the node.
trait Collector: Send {
    /// Reads it as it is `now`. What can be read counts even if something else cannot.
    fn collect(&mut self, node: &Node, now: Monotonic, out: &mut Samples) -> Result<(), CollectError>;
}

/// The collectors that a config file asks for.
pub struct Collectors {
    collectors: Vec<(Section, Vec<MetricId>, Box<dyn Collector>)>,
}

// === impl Collectors ===

impl Collectors {
    /// A collector exists if one of its metrics is wanted.
    #[must_use]
    pub fn new(config: &SystemStatsConfig) -> Self {
        let collectors = Section::ALL.into_iter().filter_map(|section| {
            let wanted: Vec<_> = config.metrics.iter().map(|metric| metric.id).collect();
            let wanted: Vec<_> = wanted.into_iter().filter(|id| id.metric().section == section).collect();
            (!wanted.is_empty()).then(|| (section, wanted, build(section, config)))
        });
        Self { collectors: collectors.collect() }
    }

    /// Their sections, in the order in which they run.
    pub fn sections(&self) -> impl Iterator<Item = Section> {
        self.collectors.iter().map(|(section, ..)| *section)
    }

    /// Runs one of them.
    pub fn collect(&mut self, section: Section, node: &Node, now: Monotonic) -> (Samples, Result<(), CollectError>) {
        let found = self.collectors.iter_mut().find(|(known, ..)| *known == section);
        let Some((_, wanted, collector)) = found else { return (Samples::default(), Ok(())) };
        let mut samples = Samples::new(wanted.iter().copied());
        let outcome = collector.collect(node, now, &mut samples);
        (samples, outcome)
    }
}

fn build(section: Section, config: &SystemStatsConfig) -> Box<dyn Collector> {
    match section {
        Section::Cpu => Box::new(cpu::Cpu::new()),
        Section::Disk => Box::new(disk::Disk::new(config.disk)),
        Section::Host => Box::new(host::Host),
        Section::Memory => Box::new(memory::Memory),
        Section::OsFeature => Box::new(os_feature::OsFeature::new(Arc::clone(&config.known_modules))),
        Section::Net => Box::new(net::Net::new(config.exclude_interfaces.clone())),
        Section::Pressure => Box::new(pressure::Pressure),
        Section::Limits => Box::new(limits::Limits),
        Section::Tasks => Box::new(tasks::Tasks),
        Section::Vm => Box::new(vm::Vm),
        Section::Hardware => Box::new(hardware::Hardware),
        Section::Clock => Box::new(clock::Clock),
    }
}

pub(crate) mod runner;
#[cfg(test)]
mod tests;
