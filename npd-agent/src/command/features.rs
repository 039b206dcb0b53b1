//! `npd-agent features`: the state of each probe, how the kernel log would be read, and what is built in.

use std::{error::Error, process::ExitCode};

use prometheus::Registry;

use super::terminal;
use crate::{
    cli::Args,
    error::chain,
    feature::Feature,
    node::Node,
    record::Record,
    source::kernel::{
        log::{KernelLog, Resume},
        metrics::KernelMetrics,
        probes::{ProbeReport, Probes},
    },
};

/// Prints the table. It is read where nothing else works, so nothing makes it fail.
#[must_use]
pub fn features(args: &Args) -> ExitCode {
    terminal::print(&table(args))
}

fn table(args: &Args) -> String {
    let options = args.kernel_options(&Node::from_env());
    let sink = Box::new(|_: &Record<'_>| ());
    let opened = KernelMetrics::register(&Registry::new())
        .map_err(Box::<dyn Error>::from)
        .and_then(|metrics| Ok(KernelLog::open(options.clone(), Resume::default(), sink, metrics)?));
    let (probes, mode) = match opened {
        Ok(log) => (log.probes().to_vec(), log.mode().as_str().to_owned()),
        Err(error) => {
            let probes = Probes::load(&options.node, options.ring_size, false)
                .map_or_else(|none| none, |(p, ..)| p.reports().to_vec());
            (probes, format!("none: {}", chain(&*error)))
        }
    };
    let mut table = format!("{:<14} {:<26} {:<12} WHY\n", "PROBE", "TRACEPOINT", "STATE");
    for ProbeReport { probe, state, why } in probes {
        let row = format!("{:<14} {probe:<26} {state:<12} {why}", probe.name);
        table.push_str(row.trim_end());
        table.push('\n');
    }
    let built: Vec<_> = Feature::ALL.into_iter().filter(|part| part.is_built()).map(Feature::as_str).collect();
    let built = if built.is_empty() { "none of the optional features".to_owned() } else { built.join(", ") };
    format!("{table}\nkernel log: {mode}\nbuilt with: {built}\n")
}
