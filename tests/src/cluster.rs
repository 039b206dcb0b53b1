//! The cluster that the agent reports to, and what is deployed to it.

pub mod apiserver;
pub mod deploy;
