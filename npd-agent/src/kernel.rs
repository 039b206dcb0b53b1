//! The kernel log and the kernel's structured events.

pub mod calibration;
pub mod event;
pub mod format;
pub mod hung;
mod hung_memory;
pub mod kmsg;
pub mod log;
pub mod merge;
pub mod metrics;
pub mod oom_kill;
pub mod piece;
pub mod probes;
mod router;
pub mod tail;
pub mod tracefs;
pub mod twins;
