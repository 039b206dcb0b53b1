//! Is a component of the node healthy? node-problem-detector's health-checker as a library, and checks of the kernel's limits.
//!
//! One function per check; each returns a [`Health`], at once or within its timeout. No check starts a program, except for crictl
//! if its path is given, and none mistakes "cannot tell" for "unhealthy": a socket that may not be opened, a name that does not
//! resolve or a kernel without a feature say nothing about the health of anything.
//!
//! [`checker`] combines the checks of a component as the program does, with log patterns and repair.

pub mod args;
pub mod basic_regex;
pub mod built_in;
pub mod checker;
pub mod clock;
pub mod cri;
pub mod docker;
pub mod http_get;
pub mod limits;
pub mod log_pattern;
pub mod node_agents;
pub mod repair;
mod result;
mod socket;
pub mod systemd;

pub use self::result::Health;
