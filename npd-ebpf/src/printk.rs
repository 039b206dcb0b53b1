//! `printk:console`: every fragment of text the kernel prints.
//!
//! A raw tracepoint, `(const char *text, size_t len)`: it needs no tracefs and `text` points into the printk
//! ring itself. The eight bytes before a record's first fragment are the id of its data block, from which the agent
//! computes the sequence number; the newline of a complete record is within three bytes after the text
//! (see [`npd_common::TAIL_SIZE`]). So one read of `8 + len + 3` bytes fetches everything.
//!
//! It fires under `printk_enter_irqsave` with interrupts off: a fragment printed by an NMI inside it is not seen,
//! and shows as a hole in the sequence that the agent fills from /dev/kmsg.

use aya_ebpf::{
    helpers::{bpf_ktime_get_ns, generated::bpf_probe_read_kernel},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use aya_log_ebpf::{debug, warn};
use npd_common::{Header, Kind, TAIL_SIZE, TEXT_MAX};

use crate::output::{RECORDS, dropped, seen};

const BLOCK_ID_SIZE: usize = 8;

/// Copies each fragment of text into the ring.
#[raw_tracepoint(tracepoint = "console")]
pub fn printk(ctx: RawTracePointContext) -> i32 {
    seen(Kind::Printk);
    let text: u64 = ctx.arg(0);
    let len: u64 = ctx.arg(1);
    let len = if len > TEXT_MAX as u64 { TEXT_MAX as u64 } else { len };
    // The verifier requires each reservation to have a constant size: the smallest that fits.
    match len as usize + BLOCK_ID_SIZE + TAIL_SIZE {
        ..64 => submit::<64>(&ctx, text, len),
        ..128 => submit::<128>(&ctx, text, len),
        ..256 => submit::<256>(&ctx, text, len),
        ..512 => submit::<512>(&ctx, text, len),
        _ => submit::<2048>(&ctx, text, len),
    }
    0
}

/// Only wakes the reader: for kernels that let no program read kernel memory (lockdown=confidentiality).
#[raw_tracepoint(tracepoint = "console")]
pub fn printk_doorbell(ctx: RawTracePointContext) -> i32 {
    seen(Kind::Printk);
    let Some(mut entry) = RECORDS.reserve::<Header>(0) else {
        dropped(Kind::Printk);
        return 0;
    };
    entry.write(header(ctx.arg(0), ctx.arg(1), 1));
    entry.submit(0);
    0
}

#[repr(C)]
struct Fragment<const BODY: usize> {
    header: Header,
    body: [u8; BODY],
}

/// `BODY` is a power of two above what is read, so that a mask proves the bound to the verifier.
#[inline(always)]
fn submit<const BODY: usize>(ctx: &RawTracePointContext, text: u64, len: u64) {
    let Some(mut entry) = RECORDS.reserve::<Fragment<BODY>>(0) else {
        dropped(Kind::Printk);
        debug!(ctx, "the ring is full: {} bytes of text are dropped", len);
        return;
    };
    let fragment = entry.as_mut_ptr();
    let size = (len as usize + BLOCK_ID_SIZE + TAIL_SIZE) & (BODY - 1);
    // SAFETY: `fragment` points to a reserved, writable record of this size, and `size` is below BODY. The helper
    // checks the kernel address itself.
    unsafe {
        let body = (&raw mut (*fragment).body).cast();
        let read = bpf_probe_read_kernel(body, size as u32, (text - BLOCK_ID_SIZE as u64) as *const _);
        (*fragment).header = header(text, len, u8::from(read < 0));
        if read < 0 {
            warn!(ctx, "{} bytes of text at {:x} cannot be read", len, text);
        }
    }
    // The kernel wakes the reader only if it has caught up: in a flood that is once per batch.
    entry.submit(0);
}

#[inline(always)]
fn header(address: u64, len: u64, blind: u8) -> Header {
    // SAFETY: the helper has no preconditions.
    let ktime = unsafe { bpf_ktime_get_ns() };
    Header { ktime, address, len: len as u16, kind: Kind::Printk as u8, blind, reserved: 0 }
}
