//! What memory is used for: /proc/meminfo.

use super::{Collector, sample::Samples};
use crate::{
    metric::MetricId,
    node::{Node, files::CollectError},
    time::Monotonic,
};

/// Metrics that are one line of /proc/meminfo each: metric, state and line.
const LINES: [(MetricId, &str, &str); 6] = [
    (MetricId::MemoryAnonymousUsed, "active", "Active(anon)"),
    (MetricId::MemoryAnonymousUsed, "inactive", "Inactive(anon)"),
    (MetricId::MemoryPageCacheUsed, "active", "Active(file)"),
    (MetricId::MemoryPageCacheUsed, "inactive", "Inactive(file)"),
    (MetricId::MemoryDirtyUsed, "dirty", "Dirty"),
    (MetricId::MemoryDirtyUsed, "writeback", "Writeback"),
];

/// The collector of `memory`.
pub(super) struct Memory;

impl Collector for Memory {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let text = node.proc("meminfo")?;
        let line = |name: &str| text.lines().find_map(|line| bytes(line.strip_prefix(name)?));
        let total = line("MemTotal").ok_or_else(|| node.lacks("meminfo", "MemTotal"))?;
        let free = line("MemFree").ok_or_else(|| node.lacks("meminfo", "MemFree"))?;
        let [buffered, cached, slab] = ["Buffers", "Cached", "Slab"].map(|name| line(name).unwrap_or(0));
        let used = [free, buffered, cached, slab].into_iter().fold(total, u64::saturating_sub);
        for (state, value) in
            [("free", free), ("buffered", buffered), ("cached", cached), ("slab", slab), ("used", used)]
        {
            out.add(MetricId::MemoryBytesUsed, [state.into()], value as f64);
        }
        if total > 0 {
            out.add(MetricId::MemoryPercentUsed, ["used".into()], used as f64 * 100.0 / total as f64);
        }
        for (id, state, name) in LINES {
            if let Some(value) = line(name) {
                out.add(id, [state.into()], value as f64);
            }
        }
        for (id, name) in
            [(MetricId::MemoryUnevictableUsed, "Unevictable"), (MetricId::MemoryAvailable, "MemAvailable")]
        {
            if let Some(value) = line(name) {
                out.add(id, [], value as f64);
            }
        }
        Ok(())
    }
}

/// What follows a line's name: `:   24684092 kB`.
fn bytes(rest: &str) -> Option<u64> {
    let number = rest.strip_prefix(':')?.split_ascii_whitespace().next()?;
    Some(number.parse::<u64>().ok()?.saturating_mul(1024))
}
