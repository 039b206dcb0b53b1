//! Load, and where the time of the CPUs goes: /proc/loadavg and /proc/stat.

use std::{str::SplitAsciiWhitespace, sync::Arc};

use super::{Collector, sample::Samples};
use crate::{
    metric::MetricId,
    node::{Node, files::CollectError},
    time::Monotonic,
};

/// The states of a CPU in the order of /proc/stat, as `cpu/usage_time` and as `system/cpu_stat` call them.
const STATES: [(&str, &str); 10] = [
    ("user", "user"),
    ("nice", "nice"),
    ("system", "system"),
    ("idle", "idle"),
    ("iowait", "iowait"),
    ("irq", "iRQ"),
    ("softirq", "softIRQ"),
    ("steal", "steal"),
    ("guest", "guest"),
    ("guest_nice", "guestNice"),
];

/// What is read from /proc/stat.
const FROM_STAT: &[MetricId] = &[
    MetricId::CpuUsageTime,
    MetricId::SystemProcesses,
    MetricId::SystemProcsRunning,
    MetricId::SystemProcsBlocked,
    MetricId::SystemInterrupts,
    MetricId::SystemCpuStat,
];

/// The collector of `cpu`.
pub(super) struct Cpu {
    /// Of one tick, in which /proc/stat counts.
    ticks_per_second: f64,
}

// === impl Cpu ===

impl Cpu {
    pub(super) fn new() -> Self {
        Self { ticks_per_second: rustix::param::clock_ticks_per_second() as f64 }
    }

    fn stat(&self, node: &Node, out: &mut Samples) -> Result<(), CollectError> {
        const SIMPLE: [(&str, MetricId); 4] = [
            ("processes", MetricId::SystemProcesses),
            ("procs_running", MetricId::SystemProcsRunning),
            ("procs_blocked", MetricId::SystemProcsBlocked),
            // The sum comes first, then each interrupt by itself.
            ("intr", MetricId::SystemInterrupts),
        ];
        let text = node.proc("stat")?;
        let mut has_cpu = false;
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let Some(key) = words.next() else { continue };
            if let Some((_, id)) = SIMPLE.iter().find(|(name, _)| *name == key) {
                if let Some(value) = words.next().and_then(|word| word.parse::<u64>().ok()) {
                    out.add(*id, [], value as f64);
                }
            } else if key == "cpu" {
                has_cpu = true;
                for ((state, _), seconds) in self.times(words) {
                    out.add(MetricId::CpuUsageTime, [state.into()], seconds);
                }
            } else if key.starts_with("cpu") && out.wants(&[MetricId::SystemCpuStat]) {
                let cpu: Arc<str> = key.into();
                for ((_, stage), seconds) in self.times(words) {
                    out.add(MetricId::SystemCpuStat, [(&cpu).into(), stage.into()], seconds);
                }
            }
        }
        if has_cpu { Ok(()) } else { Err(node.lacks("stat", "line of all CPUs")) }
    }

    fn times<'t>(
        &self,
        words: SplitAsciiWhitespace<'t>,
    ) -> impl Iterator<Item = ((&'static str, &'static str), f64)> + use<'t> {
        let ticks_per_second = self.ticks_per_second;
        let ticks = words.map_while(|word| word.parse::<u64>().ok());
        STATES.into_iter().zip(ticks).map(move |(state, ticks)| (state, ticks as f64 / ticks_per_second))
    }
}

impl Collector for Cpu {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let load = load(node, out);
        if out.wants(FROM_STAT) {
            self.stat(node, out)?;
        }
        load
    }
}

fn load(node: &Node, out: &mut Samples) -> Result<(), CollectError> {
    const LOADS: [MetricId; 3] = [MetricId::CpuLoad1, MetricId::CpuLoad5, MetricId::CpuLoad15];
    if !out.wants(&LOADS) && !out.wants(&[MetricId::CpuRunnableTasks]) {
        return Ok(());
    }
    let text = node.proc("loadavg")?;
    let loads: Vec<f64> = text.split_ascii_whitespace().map_while(|word| word.parse().ok()).take(3).collect();
    let [first, _, _] = loads[..] else { return Err(node.lacks("loadavg", "three averages")) };
    out.add(MetricId::CpuRunnableTasks, [], first);
    for (id, load) in LOADS.into_iter().zip(loads) {
        out.add(id, [], load);
    }
    Ok(())
}
