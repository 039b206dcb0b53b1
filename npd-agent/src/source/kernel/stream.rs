//! The kernel log's two streams, the printk probe and /dev/kmsg, as one sequence: each record once, in order, losses counted.

pub(crate) mod calibration;
pub(crate) mod fragment;
pub(crate) mod merge;
pub(crate) mod tail;
