//! klog's flags, and the log of the programs that a plugin monitor starts.

use clap::ArgAction;

use crate::go::flag::parse_bool;

/// What is logged to standard error, which is no part of a plugin's output.
#[derive(Clone, Debug, clap::Args)]
pub struct KlogArgs {
    /// How much is logged to standard error: 0 what an operator wants to see, 1 and more everything. $RUST_LOG
    /// overrides it.
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
    pub fn start(&self) {
        let level = if self.verbosity > 0 { "debug" } else { "info" };
        let filter = tracing_subscriber::EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    }
}
