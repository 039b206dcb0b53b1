//! klog's flags, which all plugins of node-problem-detector take.

use clap::ArgAction;

use super::log::{self, LogFormat};
use crate::go::flag::parse_bool;

/// What a plugin logs to standard error, which is not part of a plugin's output.
#[derive(Clone, Debug, clap::Args)]
pub struct KlogArgs {
    /// Log verbosity: 0 logs what an operator needs, 1 or more logs everything. $RUST_LOG takes precedence.
    #[arg(short, long = "v", default_value_t = 0, allow_negative_numbers = true, value_name = "LEVEL")]
    pub verbosity: i32,

    #[arg(long, hide = true, value_name = "PATTERN=LEVEL[,…]")]
    vmodule: Option<String>,

    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", value_parser = parse_bool, action = ArgAction::Set)]
    logtostderr: bool,
}

// === impl KlogArgs ===

impl KlogArgs {
    /// Starts the log of this process.
    pub fn start_log(&self) {
        log::start(if self.verbosity > 0 { "debug" } else { "info" }, LogFormat::Text);
    }
}
