//! What the programs do: one file per verb.

pub mod check_config;
pub mod features;
#[cfg(feature = "health-checks")]
pub mod health_checker;
pub mod log_counter;
pub mod replay;
pub mod run;
pub mod terminal;
