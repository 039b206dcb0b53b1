//! The kernel's structured events: decoded into the kernel's own words and fields, each paired with its printed line.

pub(crate) mod decode;
pub(crate) mod format;
pub(crate) mod hang_watch;
pub(crate) mod hung;
pub(crate) mod hung_memory;
pub(crate) mod lookup;
pub(crate) mod oom_kill;
pub(crate) mod pairing;
#[cfg(feature = "ebpf")]
pub(crate) mod tracefs;
