//! What the kernel does when memory is short: /proc/vmstat.

use super::{Collector, sample::Samples};
use crate::{
    metric::MetricId,
    node::{Node, files::CollectError},
    time::Monotonic,
};

/// What scans for pages to reclaim, and the line that counts it.
const SCANNERS: [(&str, &str); 4] = [
    ("direct", "pgscan_direct"),
    ("khugepaged", "pgscan_khugepaged"),
    ("kswapd", "pgscan_kswapd"),
    ("proactive", "pgscan_proactive"),
];

/// The collector of `vm`.
pub(super) struct Vm;

impl Collector for Vm {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let text = node.proc("vmstat")?;
        for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            let scanner = SCANNERS.iter().find(|(_, line)| *line == name);
            let Some(value) = value.parse::<u64>().ok().filter(|_| scanner.is_some() || name == "oom_kill") else {
                continue;
            };
            match scanner {
                Some((scanner, _)) => out.add(MetricId::VmScannedPages, [(*scanner).into()], value as f64),
                None => out.add(MetricId::VmOomKills, [], value as f64),
            }
        }
        Ok(())
    }
}
