//! The kernel log and the kernel's structured events.

pub mod calibration;
pub mod kmsg;
pub mod merge;
pub mod piece;
pub mod tail;
