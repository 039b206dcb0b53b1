//! The eBPF probes, one file a family.
//!
//! For `bpfel-unknown-none` this is the object that the agent loads. For the host it only compiles, so that clippy and
//! rust-analyzer see the probes like any other crate.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![allow(unsafe_code, reason = "a probe reads raw kernel memory")]

mod block;
mod filesystem;
mod hung_task;
mod oom;
mod output;
mod printk;

/// The kernel lends its GPL-only helpers to programs with this licence.
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
