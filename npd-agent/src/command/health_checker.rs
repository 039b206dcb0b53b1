//! `health-checker`: checks one component of the node once and, if it is unhealthy, repairs its service.

use std::process::ExitCode;

use super::terminal;
use crate::{cli::health_checker::HealthCheckerArgs, health::Health};

const UNHEALTHY: u8 = 1;
const UNKNOWN: u8 = 2;

/// Runs the check. Prints one line unless the component is healthy.
pub async fn check_health(args: HealthCheckerArgs) -> ExitCode {
    args.klog.start_log();
    let check = match args.component.check() {
        Ok(check) => check,
        Err(error) => return terminal::print_status(UNKNOWN, &error.to_string()),
    };
    match check.run().await {
        Health::Healthy => ExitCode::SUCCESS,
        Health::Unhealthy(_) => terminal::print_status(UNHEALTHY, &check.unhealthy()),
        Health::CannotTell(why) => terminal::print_status(UNKNOWN, &check.cannot_tell(&why)),
    }
}
