//! `cargo xtask`: how npd is set up, built, run, tested and measured. People and CI use the same verbs.
//!
//! Each verb is one module. None of them is needed by the shipped programs, and plain cargo works as well once `setup` has run.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks through the terminal")]

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

/// Sets up, builds, runs, tests and measures npd.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Start here:
  cargo xtask run       see the agent find a problem on this machine
  cargo xtask test      what must pass before a change is proposed; CI runs nothing else

run, build, test and bench do what setup does first, so setup alone is only needed before plain cargo commands.";

#[derive(Subcommand)]
enum Verb {
    /// For a fresh machine: finds or installs the BPF tool chain and what the tests need
    Setup,
    /// For packagers: builds the agent with its probes, and says where it is and how large
    Build(build::Args),
    /// For packagers: the static release programs with manual pages, completions, checksums and a bill of materials
    Dist(dist::Args),
    /// For packagers: container images as OCI layouts, without a container engine
    Image(image::Args),
    /// For the curious: runs the agent as root on this machine, without a cluster
    Run(run::Args),
    /// For contributors and CI: formatting, lints, unit and property tests, then the real kernel
    Test(test::Args),
    /// For packagers: makes the Debian package with the systemd unit
    Deb,
    /// For contributors: writes what is generated from the code, such as the schema of the config files
    Codegen,
    /// For the doubtful: measures latency, cost and losses of the release build on this machine
    Bench {
        /// Only these sections, of rules, flood, latency, idle and replay
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
    fn what_follows_the_dashes_is_the_agents() {
        let cli = Cli::parse_from(["xtask", "run", "--release", "--", "--prometheus-port=0", "--release"]);
        assert!(matches!(cli.verb, Verb::Run(_)));
    }
}
