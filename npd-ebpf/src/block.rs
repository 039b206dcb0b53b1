//! `block:block_rq_error` (Linux 5.18): a block request failed. Before it, `block:block_rq_complete` with an error.

use aya_ebpf::{EbpfContext, Global, helpers::bpf_probe_read_kernel, macros::tracepoint, programs::TracePointContext};
use npd_common::Kind;

use crate::output::submit;

/// The offset of `error` in the record of `block_rq_complete`; set by the agent.
#[unsafe(no_mangle)]
static BLOCK_COMPLETE_ERROR_AT: Global<u32> = Global::new(0);

/// Passes on each failed request. The running task is not the culprit.
#[tracepoint]
pub fn block_error(ctx: TracePointContext) -> u32 {
    submit(&ctx, Kind::BlockError, u32::MAX);
    0
}

/// The same for kernels that lack `block_rq_error`: every request ends here, so the successful ones are
/// filtered out in the kernel.
#[tracepoint]
pub fn block_complete(ctx: TracePointContext) -> u32 {
    let at = BLOCK_COMPLETE_ERROR_AT.load() as usize;
    // SAFETY: the helper checks the address; the offset is within the tracepoint's record.
    let error = unsafe { bpf_probe_read_kernel(ctx.as_ptr().cast::<u8>().add(at).cast::<i32>()) };
    if error != Ok(0) {
        submit(&ctx, Kind::BlockError, u32::MAX);
    }
    0
}
