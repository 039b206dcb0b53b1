//! npd: detects kernel and system problems of a node the moment they happen, and reports them to the cluster.
//!
//! Data flows one way: sources ([`source`]) produce [`record`]s, monitors ([`monitor`]) match them against [`rules`] and produce
//! statuses ([`problem`]), and the [`detector`] passes these to the exporters ([`exporter`]).

pub(crate) mod admin;
pub mod agent;
pub(crate) mod back_off;
pub mod cli;
pub mod command;
pub(crate) mod component;
pub mod config;
pub(crate) mod detector;
pub(crate) mod error;
pub mod exporter;
pub mod feature;
pub(crate) mod fingerprint;
pub mod go;
#[cfg(feature = "health-checks")]
pub mod health;
#[cfg(not(feature = "health-checks"))]
#[path = "health/absent.rs"]
pub mod health;
pub(crate) mod log_once;
pub mod metric;
pub mod monitor;
pub mod node;
pub(crate) mod path_watch;
pub mod problem;
pub mod process;
pub mod record;
pub mod rules;
pub mod source;
pub(crate) mod state;
#[cfg(any(feature = "custom-plugin", feature = "kubernetes"))]
pub(crate) mod text;
pub mod time;
