//! The eBPF probes, one file per family.
//!
//! For `bpfel-unknown-none` this is the object that the agent loads. For the host it only compiles, so that clippy and
//! rust-analyzer see the probes like any other crate.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![allow(unsafe_code, reason = "a probe reads raw kernel memory")]
#![allow(unreachable_pub, reason = "the kernel and the agent reach programs and maps by their exported names")]
#![allow(clippy::cast_ptr_alignment, reason = "the helpers read the kernel's memory at any alignment")]
#![allow(
    clippy::inline_always,
    reason = "a call costs a stack frame of the 512 bytes and hides bounds from the verifier"
)]
#![allow(clippy::match_overlapping_arm, reason = "steps of sizes read best by their upper bounds")]
#![allow(clippy::needless_pass_by_value, reason = "aya's macros hand over the context")]

mod block;
mod filesystem;
mod hung_task;
mod oom;
mod output;
mod printk;

/// The kernel lets only programs with this licence use its GPL-only helpers.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
