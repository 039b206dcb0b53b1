//! Real problems of a real kernel, made on purpose and undone again.
//!
//! Each fault is a value: making it breaks something, dropping it mends it, also when a test fails in between. What
//! belongs to the whole machine (sysctls) is restored to what it was. Nothing here can bring the machine down, even
//! with `panic=1` on the kernel's command line.

pub mod block;
pub mod disk;
pub mod driver_message;
pub mod ext4;
pub mod hung_task;
mod ioctl;
pub mod memory_cgroup;
pub mod setting;
pub mod tracefs;
pub mod victim;
pub mod xfs;
