//! Questions to the node: its /proc and /sys, its clock, its limits, the cgroups of its pods.
//!
//! Nothing here decides anything. It reads what the kernel says and gives it to whoever asks.

pub mod clock;
pub(crate) mod files;
pub mod host;
pub mod limits;
pub(crate) mod mounts;
pub mod pod;
