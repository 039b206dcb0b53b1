//! Is a part of the node well? node-problem-detector's health-checker as a library, and checks of the kernel's limits.
//!
//! One function a check; each gives a [`Verdict`], at once or within its time. No check starts a program, except for crictl where
//! its path was given, and none takes "I cannot tell" for "it is broken": a socket that may not be opened, a name that
//! does not resolve or a kernel without a feature say nothing about the health of anything.
//!
//! [`checker`] puts the checks of a component together as the program does, with log patterns and repair.

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
mod socket;
pub mod systemd;
mod verdict;

pub use self::verdict::Verdict;
