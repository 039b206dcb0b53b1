//! How much is used of what the kernel bounds for the whole node.

use super::{Collector, sample::Samples};
use crate::{
    metric::MetricId,
    node::{
        Node,
        files::CollectError,
        limits::{self, Usage},
    },
    time::Monotonic,
};

/// The collector of `limits`.
pub(super) struct Limits;

impl Collector for Limits {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let (files, tasks) = (files(node, out), tasks(node, out));
        // There where the module is loaded, and of this network namespace.
        let conntrack = |name| node.proc_number(&format!("sys/net/netfilter/nf_conntrack_{name}"));
        if let (Some(count), Some(most)) = (conntrack("count"), conntrack("max")) {
            add(out, "conntrack", count, most);
        }
        files.and(tasks)
    }
}

fn files(node: &Node, out: &mut Samples) -> Result<(), CollectError> {
    let used = limits::open_files(&node.proc("sys/fs/file-nr")?);
    let Usage { used, limit } = used.ok_or_else(|| node.lacks("sys/fs/file-nr", "three numbers"))?;
    add(out, "open_files", used, limit);
    Ok(())
}

/// Every thread has a number of its own.
fn tasks(node: &Node, out: &mut Samples) -> Result<(), CollectError> {
    let threads = limits::threads(&node.proc("loadavg")?);
    let threads = threads.ok_or_else(|| node.lacks("loadavg", "number of threads"))?;
    for (limit, file) in [("pids", "sys/kernel/pid_max"), ("threads", "sys/kernel/threads-max")] {
        if let Some(most) = node.proc_number(file) {
            add(out, limit, threads, most);
        }
    }
    Ok(())
}

fn add(out: &mut Samples, limit: &'static str, used: u64, most: u64) {
    out.add(MetricId::LimitsUsed, [limit.into()], used as f64);
    out.add(MetricId::LimitsMaximum, [limit.into()], most as f64);
    if most > 0 {
        out.add(MetricId::LimitsRatio, [limit.into()], used as f64 / most as f64);
    }
}
