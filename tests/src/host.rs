//! The machine below the agent: faults of its kernel, its kernel log, its journals, networks and containers, and recorded nodes.

pub mod container;
pub mod fault;
pub mod journald_namespace;
pub mod kmsg;
pub mod network_namespace;
pub mod node;
