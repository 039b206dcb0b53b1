//! npd: sees kernel and system problems of a node the moment they happen, and tells the cluster.

pub mod kernel;
pub mod problem;
pub mod time;
