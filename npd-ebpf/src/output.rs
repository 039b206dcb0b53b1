//! The way out of the kernel: the ring buffer, the counters, and the record of a classic tracepoint.

use aya_ebpf::{
    EbpfContext,
    bindings::BPF_RB_FORCE_WAKEUP,
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_ns,
        bpf_probe_read_kernel, generated,
    },
    macros::map,
    maps::{PerCpuArray, RingBuf},
    programs::TracePointContext,
};
use aya_log_ebpf::{debug, warn};
use npd_common::{Context, Header, KINDS, Kind, RAW_MAX, STRING_MAX};

/// All records of all probes. The agent sets the size when it loads the programs.
#[map]
pub static RECORDS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// How often each probe fired, by [`Kind`].
#[map]
static SEEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(KINDS, 0);

/// How many records of each probe found the ring full, by [`Kind`].
#[map]
static DROPPED: PerCpuArray<u64> = PerCpuArray::with_max_entries(KINDS, 0);

/// The record of a classic tracepoint.
#[repr(C)]
struct Event {
    header: Header,
    context: Context,
    raw: [u8; RAW_MAX],
    string: [u8; STRING_MAX],
}

/// Counts one firing of a probe.
#[inline(always)]
pub fn seen(kind: Kind) {
    add_one(&SEEN, kind);
}

/// Counts one record that found the ring full.
#[inline(always)]
pub fn dropped(kind: Kind) {
    add_one(&DROPPED, kind);
}

#[inline(always)]
fn add_one(counters: &PerCpuArray<u64>, kind: Kind) {
    if let Some(count) = counters.get_ptr_mut(kind as u32) {
        // SAFETY: the pointer is to this CPU's slot, which lives as long as the map. A probe that interrupts
        // another of the same kind on this CPU may lose a count, which is all that can happen.
        unsafe { *count += 1 };
    }
}

/// Passes on the record of a classic tracepoint as the kernel wrote it, and the string it points to, if any.
///
/// `string_at` is the offset of a `const char *` in the record, or `u32::MAX`.
#[inline(always)]
pub fn submit(ctx: &TracePointContext, kind: Kind, string_at: u32) {
    seen(kind);
    let Some(mut entry) = RECORDS.reserve::<Event>(0) else {
        dropped(kind);
        debug!(ctx, "the ring is full: one record of kind {} is dropped", kind as u8);
        return;
    };
    let event = entry.as_mut_ptr();
    let pid_tgid = bpf_get_current_pid_tgid();
    // SAFETY: `event` points to a reserved, writable record of this size; `ctx` to the tracepoint's record in a
    // per-CPU buffer much larger than RAW_MAX. The helpers check every kernel address themselves.
    unsafe {
        (*event).header = Header {
            ktime: bpf_ktime_get_ns(),
            address: 0,
            len: RAW_MAX as u16,
            kind: kind as u8,
            blind: 0,
            reserved: 0,
        };
        let mut context = Context {
            cgroup: bpf_get_current_cgroup_id(),
            pid: pid_tgid as u32,
            tgid: (pid_tgid >> 32) as u32,
            comm: bpf_get_current_comm().unwrap_or_default(),
            string: 0,
        };
        let raw = (&raw mut (*event).raw).cast();
        if generated::bpf_probe_read_kernel(raw, RAW_MAX as u32, ctx.as_ptr().cast_const()) < 0 {
            (*event).header.blind = 1;
            warn!(ctx, "the record of a tracepoint of kind {} cannot be read", kind as u8);
        }
        let string = (&raw mut (*event).string).cast::<u8>();
        *string = 0;
        if string_at != u32::MAX
            && let Ok(address) = bpf_probe_read_kernel(ctx.as_ptr().cast::<u8>().add(string_at as usize).cast::<u64>())
            && generated::bpf_probe_read_kernel_str(string.cast(), STRING_MAX as u32, address as *const _) > 0
        {
            context.string = 1;
        }
        (*event).context = context;
    }
    // Structured events are rare: each wakes the reader, instead of waiting for the next one to do so.
    entry.submit(u64::from(BPF_RB_FORCE_WAKEUP));
}
