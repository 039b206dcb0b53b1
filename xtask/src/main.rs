//! `cargo xtask`: how npd is set up, built, run, tested and measured. People and CI use the same verbs.
//!
//! Each verb is one module. The shipped programs need none of them, and plain cargo works as well once `setup` has run.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool writes to the terminal")]

mod bench;
mod build;
mod codegen;
mod deb;
mod deny;
mod dist;
mod image;
mod remap;
mod run;
mod setup;
mod step;
mod test;
mod tool;
mod toolchain;
mod workspace;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

/// Set up, build, run, test and measure npd.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Start here:
  cargo xtask run       run the agent on this machine and see it find a problem
  cargo xtask test      run everything that must pass before a change is proposed, as CI does

All verbs begin with what setup does, so setup alone is only needed before plain cargo commands.";

#[derive(Subcommand)]
enum Verb {
    /// Find or install the BPF tool chain and the programs that the tests need
    Setup,
    /// Build the agent with its probes, and print its path and size
    Build(build::Args),
    /// Build the static release programs, with manual pages, completions, checksums and bills of materials
    Dist(dist::Args),
    /// Build container images as OCI layouts, without a container engine
    Image(image::Args),
    /// Run the agent as root on this machine, without a cluster
    Run(run::Args),
    /// Check formatting, dependencies and lints, and run all tests, cheapest first
    Test(test::Args),
    /// Build the Debian package, which includes the systemd unit
    Deb,
    /// Write the files that are generated from the code, such as the schemas of the config files
    Codegen,
    /// Measure latency, cost and losses of the static release build on this machine
    Bench {
        /// Measure only these: rules, stats, plugins, flood, latency, idle, replay
        sections: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Setup => setup::setup(),
        Verb::Build(args) => build::build(args),
        Verb::Dist(args) => dist::dist(&args),
        Verb::Image(args) => image::image(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Test(args) => return test::test(&args),
        Verb::Deb => deb::deb(),
        Verb::Codegen => codegen::codegen(),
        Verb::Bench { sections } => bench::bench(&sections),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_after_the_dashes_are_passed_to_the_agent() {
        let cli = Cli::parse_from(["xtask", "run", "--release", "--", "--prometheus-port=0", "--release"]);
        assert!(matches!(cli.verb, Verb::Run(_)));
    }
}
