//! `cargo xtask test`: everything that must hold before a change is proposed.
//!
//! The stages run in order, cheapest first, and the first that fails ends the run. The last line, `N passed, N failed, N skipped`, is
//! the sum of all test programs' own closing lines and is what CI reads.

use std::{
    ffi::OsString,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::Result;
use clap::ValueEnum as _;

use crate::{
    build, deb, deny, dist, image, setup,
    step::{self, Step},
    toolchain::{Compiler, Places, TARGET, Toolchain},
    workspace::{cargo, cargo_home, host_triple, is_root, program, scratch_dir, search_path, target_dir},
};

/// Which stages to run.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Run only these stages [default: all but `deploy`]
    #[arg(value_enum)]
    stages: Vec<Stage>,
    /// Run the stage `deploy` too
    #[arg(long)]
    deploy: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// Check the formatting with rustfmt
    Format,
    /// Check licences, versions and sources of the dependencies against deny.toml
    Deny,
    /// Run clippy, also on builds without some of the parts
    Lint,
    /// Run unit and property tests, which do not need root
    Unit,
    /// Run the built agent against this machine's kernel, as root
    Kernel,
    /// Build the release twice, compare it, pack images and a package, and run them in containers and under systemd, as root
    Deploy,
}

/// The default features of npd-agent, each with the feature that implies it.
const FEATURES: [(&str, Option<&str>); 6] = [
    ("custom-plugin", None),
    ("ebpf", None),
    ("health-checks", None),
    ("journald", Some("health-checks")),
    ("kubernetes", None),
    ("system-stats", None),
];

/// The sum of the test programs' closing lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// The verb. It prints its own error, so that the tally remains the last line.
pub(crate) fn test(args: &Args) -> ExitCode {
    let begun = Instant::now();
    let mut tally = Tally::default();
    let outcome = run(args, &mut tally);
    println!("\ntotal: {}", step::seconds(begun.elapsed()));
    if outcome.is_err() && tally.failed == 0 {
        // A step without tests failed, or a test program ended before its closing line.
        tally.failed = 1;
    }
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    };
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    code
}

fn run(args: &Args, tally: &mut Tally) -> Result<()> {
    setup::setup()?;
    for stage in Stage::value_variants() {
        if args.wants(*stage) {
            stage.run(tally)?;
        }
    }
    Ok(())
}

// === impl Args ===

impl Args {
    fn wants(&self, stage: Stage) -> bool {
        self.stages.contains(&stage) || if stage == Stage::Deploy { self.deploy } else { self.stages.is_empty() }
    }
}

// === impl Stage ===

impl Stage {
    fn run(self, tally: &mut Tally) -> Result<()> {
        match self {
            Self::Format => {
                let step = Step::loud("format");
                step.run(cargo().args(["fmt", "--all", "--check"]))?;
                step.done();
            }
            Self::Deny => {
                let step = Step::loud("licences, versions and sources of the dependencies");
                deny::check(|line| tally.count(line))?;
                step.done();
            }
            Self::Lint => {
                let step = Step::loud("lint");
                // The probes too: they compile for the host, and everybody has this clippy.
                step.run(cargo().args([
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--features",
                    "npd-tests/deploy",
                    "--",
                    "-Dwarnings",
                ]))?;
                step.done();
                lint_for_bpf()?;
                lint_without_parts()?;
            }
            Self::Unit => {
                let step = Step::loud("unit and property tests");
                let unit = ["test", "--workspace", "--exclude", "npd-tests", "--no-fail-fast"];
                step.watch(cargo().args(unit), |line| tally.count(line))?;
                step.done();
                let step = Step::loud("tests of a build without parts");
                let none = ["test", "--package", "npd-agent", "--no-default-features", "--test", "features"];
                step.watch(cargo().args(none), |line| tally.count(line))?;
                step.done();
            }
            Self::Kernel => {
                setup::for_manifests();
                let (name, agent) = build::Args::default().build_for_tests()?;
                let step = Step::loud("tests against the real kernel");
                let mut command = cargo();
                command.args(["test", "--package", "npd-tests", "--no-fail-fast"]);
                as_root(&mut command, &[(name, agent)]);
                step.watch(&mut command, |line| tally.count(line))?;
                step.done();
            }
            Self::Deploy => {
                setup::for_deploy();
                let dist = dist::make()?;
                dist::check(&dist)?;
                let (images, package) = (image::make_all(&dist)?, deb::make(&dist)?);
                let step = Step::loud("tests of the images and the package");
                let mut command = cargo();
                command.args(["test", "--package", "npd-tests", "--no-fail-fast", "--features", "deploy"]);
                command.args(["--test", "image", "--test", "package"]);
                let agent = dist.join("npd-agent");
                let places = [
                    ("NPD_AGENT_BIN", agent),
                    ("NPD_CARGO_HOME", cargo_home()?),
                    ("NPD_DEB", package),
                    ("NPD_DIST_DIR", dist),
                    ("NPD_IMAGE_DIR", images),
                ];
                as_root(&mut command, &places.map(|(name, path)| (name, path.into_os_string())));
                step.watch(&mut command, |line| tally.count(line))?;
                step.done();
            }
        }
        Ok(())
    }
}

/// Makes cargo run the test programs as root, with these variables, although it compiles them as the user.
fn as_root(command: &mut Command, variables: &[(&str, OsString)]) {
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    if !is_root() && program("sudo").is_some() {
        let runner = format!("CARGO_TARGET_{}_RUNNER", host_triple().to_uppercase().replace('-', "_"));
        let named =
            variables.iter().fold(String::new(), |text, (name, value)| text + &format!("{name}={} ", value.display()));
        command.env(runner, format!("sudo env {named}PATH={}", search_path().display()));
    }
}

/// Lints the probes again, for the target that they run on.
fn lint_for_bpf() -> Result<()> {
    let toolchain = Toolchain::find(&Places::from_env(), &scratch_dir());
    let Some(toolchain) = toolchain.filter(|toolchain| toolchain.clippy_driver().exists()) else {
        step::note("the BPF tool chain has no clippy: the probes were linted for the host only");
        return Ok(());
    };
    let step = Step::loud("lint the probes for BPF");
    let mut command = match &toolchain.compiler {
        Compiler::Nightly { sysroot } => {
            let mut command = Command::new(sysroot.join("bin/cargo"));
            command.args(["check", "-Zbuild-std=core"]);
            command
        }
        Compiler::Precompiled { .. } => {
            let mut command = cargo();
            command.arg("check").env("RUSTC_BOOTSTRAP", "1");
            command
        }
    };
    command
        // With the target directory and the profile of the agent's build script, which has built their dependencies there.
        .args(["--package", "npd-ebpf", "--target", TARGET, "--profile", "bpf", "--target-dir"])
        .arg(target_dir().join("bpf"))
        .env("RUSTC", toolchain.compiler.rustc())
        .env("RUSTC_WORKSPACE_WRAPPER", toolchain.clippy_driver())
        .env("CARGO_ENCODED_RUSTFLAGS", format!("--cfg=bpf_target_arch=\"{}\"\x1f-Dwarnings", std::env::consts::ARCH));
    step.run(&mut command)?;
    step.done();
    Ok(())
}

/// Lints builds with no part, with one part, and with all parts but one.
fn lint_without_parts() -> Result<()> {
    let step = Step::loud("lint without parts");
    let lint = |features: &str, targets: &[&str]| {
        println!("   with {}", if features.is_empty() { "nothing" } else { features });
        let mut command = cargo();
        command.args(["clippy", "--package", "npd-agent", "--no-default-features", "--features", features]);
        step.run(command.args(targets).args(["--quiet", "--", "-Dwarnings"]))
    };
    lint("", &["--all-targets"])?;
    for (feature, _) in FEATURES {
        lint(feature, &[])?;
    }
    for (without, implied_by) in FEATURES {
        lint(&all_but(without, implied_by), &[])?;
    }
    step.done();
    Ok(())
}

fn all_but(without: &str, implied_by: Option<&str>) -> String {
    let rest = FEATURES.map(|(feature, _)| feature).into_iter();
    rest.filter(|feature| *feature != without && Some(*feature) != implied_by).collect::<Vec<_>>().join(",")
}

// === impl Tally ===

impl Tally {
    /// Adds `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`; other lines are ignored.
    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        for part in result.split(['.', ';']) {
            let Some((number, word)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_is_tested_only_on_request() {
        let wanted = |stages: &[Stage], deploy| {
            let args = Args { stages: stages.to_vec(), deploy };
            Stage::value_variants().iter().filter(|stage| args.wants(**stage)).count()
        };
        assert_eq!(wanted(&[], false), 5);
        assert_eq!(wanted(&[], true), 6);
        assert_eq!(wanted(&[Stage::Deploy], false), 1);
        assert_eq!(wanted(&[Stage::Lint], true), 2);
    }

    fn tally(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            tally.count(line);
        }
        tally
    }

    #[test]
    fn every_feature_is_left_out_once_with_what_implies_it() {
        let default: Vec<_> = FEATURES.iter().map(|(feature, _)| format!("{feature:?}")).collect();
        let default = format!("\ndefault = [{}]\n", default.join(", "));
        assert!(include_str!("../../npd-agent/Cargo.toml").contains(&default), "npd-agent has other features");
        assert_eq!(all_but("ebpf", None), "custom-plugin,health-checks,journald,kubernetes,system-stats");
        assert_eq!(all_but("journald", Some("health-checks")), "custom-plugin,ebpf,kubernetes,system-stats");
    }

    #[test]
    fn the_closing_lines_of_all_test_programs_are_summed() {
        let lines = [
            "running 5 tests",
            "test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s",
            "test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.50s",
        ];
        assert_eq!(tally(&lines), Tally { passed: 6, failed: 3, skipped: 1 });
    }

    #[test]
    fn what_a_test_prints_is_not_counted() {
        assert_eq!(tally(&["12 passed; 4 failed", "  test result: ok. 1 passed", ""]), Tally::default());
    }
}
