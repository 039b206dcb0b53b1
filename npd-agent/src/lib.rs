//! npd: sees kernel and system problems of a node the moment they happen, and tells the cluster.
//!
//! The flow is one way: sources ([`source`], [`kernel`]) give [`record`]s, monitors ([`monitor`]) match them against [`rules`]
//! and give statuses ([`problem`]), the [`detector`] hands these to the exporters ([`exporter`]).

pub mod agent;
pub mod cli;
pub mod config;
pub mod detector;
pub mod exporter;
mod fnv;
pub mod kernel;
pub mod memory;
pub mod metrics;
pub mod monitor;
pub mod path_watch;
pub mod problem;
pub mod record;
pub mod reload;
pub mod replay;
pub mod rules;
pub mod source;
pub mod state;
pub mod time;
