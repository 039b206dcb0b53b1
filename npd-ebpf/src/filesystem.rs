//! `ext4:ext4_error`, `ext4:ext4_shutdown`, `xfs:xfs_force_shutdown`: a file system found itself broken.

use aya_ebpf::{Global, macros::tracepoint, programs::TracePointContext};
use npd_common::Kind;

use crate::output::submit;

/// The offset of `function`, a kernel string, in the record of `ext4_error`; set by the agent.
#[unsafe(no_mangle)]
static EXT4_ERROR_FUNCTION_AT: Global<u32> = Global::new(u32::MAX);

/// Passes on an ext4 error and the name of the function that found it.
#[tracepoint]
pub fn ext4_error(ctx: TracePointContext) -> u32 {
    submit(&ctx, Kind::Ext4Error, EXT4_ERROR_FUNCTION_AT.load());
    0
}

/// Passes on the shutdown of an ext4 file system.
#[tracepoint]
pub fn ext4_shutdown(ctx: TracePointContext) -> u32 {
    submit(&ctx, Kind::Ext4Shutdown, u32::MAX);
    0
}

/// Passes on the shutdown of an XFS file system.
#[tracepoint]
pub fn xfs_shutdown(ctx: TracePointContext) -> u32 {
    submit(&ctx, Kind::XfsShutdown, u32::MAX);
    0
}
