//! `sched:sched_process_hang`: khungtaskd found a task in state D for too long.
//!
//! It fires at each check while the task hangs, whether or not the kernel still prints about it.

use aya_ebpf::{macros::tracepoint, programs::TracePointContext};
use npd_common::Kind;

use crate::output::submit;

/// Passes on the hung task. The running task is khungtaskd, not the culprit.
#[tracepoint]
pub fn hung_task(ctx: TracePointContext) -> u32 {
    submit(&ctx, Kind::HungTask, u32::MAX);
    0
}
