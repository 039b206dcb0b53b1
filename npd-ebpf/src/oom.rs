//! `oom:mark_victim`: the OOM killer chose a task.

use aya_ebpf::{macros::tracepoint, programs::TracePointContext};
use npd_common::Kind;

use crate::output::submit;

/// Passes on the victim. The running task is the one whose allocation failed; in a memory cgroup it is of the
/// same cgroup as the victim.
#[tracepoint]
pub fn oom_victim(ctx: TracePointContext) -> u32 {
    submit(&ctx, Kind::OomVictim, u32::MAX);
    0
}
