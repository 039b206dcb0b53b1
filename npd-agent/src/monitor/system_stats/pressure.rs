//! How long tasks waited for a CPU, memory, I/O or interrupts: /proc/pressure.
//!
//! # Kernel
//!
//! Since 4.20 with CONFIG_PSI; `irq` since 6.1. Where it is not built or switched off there are no series.

use super::{
    Collector,
    sample::{Samples, Text},
};
use crate::{
    metric::MetricId,
    node::{Node, files::CollectError},
    time::Monotonic,
};

const RESOURCES: [(&str, &str); 4] =
    [("cpu", "pressure/cpu"), ("io", "pressure/io"), ("irq", "pressure/irq"), ("memory", "pressure/memory")];
const WINDOWS: [(&str, &str); 3] = [("avg10", "10s"), ("avg60", "60s"), ("avg300", "300s")];

/// The collector of `pressure`.
pub(super) struct Pressure;

impl Collector for Pressure {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let mut outcome = Ok(());
        for (resource, file) in RESOURCES {
            let text = node.proc_if_there(file);
            if let Ok(Some(text)) = &text {
                text.lines().for_each(|line| read_line(line, resource, out));
            }
            outcome = outcome.and(text.map(drop));
        }
        outcome
    }
}

/// `some avg10=0.02 avg60=0.98 avg300=1.40 total=93912589`: percent, and microseconds.
//
// Not by `procfs::parse_pressure_record`: its averages are `f32`, so that 0.64 percent becomes 0.006399999856948852
// instead of 0.0064, and it panics on a line that is only `some`. Its `CpuPressure` needs a line `full`, which kernels
// before 5.13 do not have, and it has no type for `irq`.
fn read_line(line: &str, resource: &'static str, out: &mut Samples) {
    let mut words = line.split_ascii_whitespace();
    let kind: Text = match words.next() {
        Some("some") => "some".into(),
        Some("full") => "full".into(),
        _ => return,
    };
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        let window = WINDOWS.iter().find(|(name, _)| *name == key);
        if let (Some((_, window)), Ok(percent)) = (window, value.parse::<f64>()) {
            out.add(MetricId::PressureRatio, [kind.clone(), resource.into(), (*window).into()], percent / 100.0);
        } else if let ("total", Ok(micros)) = (key, value.parse::<u64>()) {
            out.add(MetricId::PressureSeconds, [kind.clone(), resource.into()], micros as f64 / 1e6);
        }
    }
}
