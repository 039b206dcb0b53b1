//! The kernel log's two streams, the printk probe and /dev/kmsg, as one sequence: each record once, in order, losses counted.

pub mod calibration;
pub mod fragment;
pub mod merge;
pub mod tail;
