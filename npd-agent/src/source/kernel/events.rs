//! The kernel's structured events: decoded into the kernel's own words and fields, each paired with its printed line.

pub mod decode;
pub mod format;
pub(crate) mod hang_watch;
pub mod hung;
pub(crate) mod hung_memory;
pub mod lookup;
pub mod oom_kill;
pub mod pairing;
pub mod tracefs;
