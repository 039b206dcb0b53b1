//! health-checker: a plugin that checks whether a component of the node is healthy, and repairs its service.

use std::process::ExitCode;

use clap::Parser as _;
use npd_agent::{cli::health_checker::HealthCheckerArgs, command::health_checker::check_health};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    check_health(HealthCheckerArgs::parse()).await
}
