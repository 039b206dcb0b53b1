//! `cargo xtask test deny`: the licences, versions and sources of all crates of the workspace, held against `deny.toml` by cargo-deny.
//!
//! A check that has never failed proves little: each rule is also run on a forged input that it must refuse. All runs see the same graph,
//! which `cargo metadata` gives from the committed `Cargo.lock`; cargo-deny itself is kept off the network. Known vulnerabilities are
//! checked only where an advisory database has been fetched, and are counted as skipped elsewhere.

mod database;
mod forgery;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    tool,
    workspace::{cargo, program, root, scratch_dir},
};
use forgery::{CRATE, FORGERIES, Forgery, Inputs};

/// The cargo-deny that is used.
const VERSION: &str = "0.20.2";
/// What is built for; the `targets` of `deny.toml`.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];
/// The checks of cargo-deny that need nothing but the source.
const CHECKS: [&str; 3] = ["licenses", "bans", "sources"];
/// The check that needs a database.
const ADVISORIES: &str = "advisories";
/// A skip that is no longer needed is a claim that is no longer true.
const STRICT: [&str; 4] = ["--deny", "unmatched-skip", "--deny", "unnecessary-skip"];

/// cargo-deny, and the folder of its inputs.
struct CargoDeny {
    program: PathBuf,
    folder: PathBuf,
}

/// What became of one check.
enum Outcome {
    Passed,
    /// What is shown about it.
    Failed(String),
    /// Why it could not run.
    Skipped(String),
}

/// Prints the outcomes as a test program does, and counts them.
struct Report {
    begun: Instant,
    passed: u32,
    failed: u32,
    skipped: u32,
}

/// Runs all checks and passes the closing line to `count`.
pub(crate) fn check(mut count: impl FnMut(&str)) -> Result<()> {
    let mut report = Report { begun: Instant::now(), passed: 0, failed: 0, skipped: 0 };
    match CargoDeny::get() {
        Ok(cargo_deny) => {
            let forged_databases = cargo_deny.folder.join("advisory-dbs");
            let inputs = Inputs { config: read_config()?, metadata: metadata()?, forged_databases };
            run(&cargo_deny, &inputs, &mut report)?;
        }
        Err(error) => skip_all(&format!("cargo-deny {VERSION} is not available: {error:#}"), &mut report),
    }
    let line = report.closing_line();
    println!("\n{line}");
    count(&line);
    if report.failed > 0 {
        bail!("{} checks of the dependencies failed: see above, and deny.toml", report.failed);
    }
    Ok(())
}

fn run(cargo_deny: &CargoDeny, inputs: &Inputs, report: &mut Report) -> Result<()> {
    cargo_deny.write(inputs)?;
    for name in CHECKS {
        report.add(name, real(&cargo_deny.check(name)?));
    }
    let databases = database::default_folder()?;
    let outcome = if database::is_fetched(&databases) {
        real(&cargo_deny.check(ADVISORIES)?)
    } else {
        Outcome::Skipped(format!("no advisory database in {}: run `cargo deny fetch db`", databases.display()))
    };
    report.add(ADVISORIES, outcome);
    database::forge(&inputs.forged_databases, CRATE)?;
    for forgery in FORGERIES {
        cargo_deny.write(&forgery.forge(inputs)?)?;
        report.add(forgery.name, forged(forgery, &cargo_deny.check(forgery.check)?));
    }
    Ok(())
}

/// Counts every check as skipped.
fn skip_all(reason: &str, report: &mut Report) {
    for name in CHECKS.into_iter().chain([ADVISORIES]).chain(FORGERIES.iter().map(|forgery| forgery.name)) {
        report.add(name, Outcome::Skipped(reason.to_owned()));
    }
}

/// The outcome of a check of the workspace itself.
fn real(output: &Output) -> Outcome {
    if output.status.success() { Outcome::Passed } else { Outcome::Failed(text(output)) }
}

/// The outcome of a check of a forged input: it has to fail, and for the right reason.
fn forged(forgery: &Forgery, output: &Output) -> Outcome {
    let text = text(output);
    if output.status.success() {
        return Outcome::Failed("cargo-deny accepted it".to_owned());
    }
    if text.contains(&format!("error[{}]", forgery.code)) {
        Outcome::Passed
    } else {
        Outcome::Failed(format!("cargo-deny refused it, but not with error[{}]:\n{text}", forgery.code))
    }
}

/// Both outputs; cargo-deny writes its findings to stderr.
fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn read_config() -> Result<String> {
    let path = root().join("deny.toml");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The graph of all crates that a build for [`TARGETS`] may need. It fetches no crate that only other systems need.
fn metadata() -> Result<Value> {
    let mut command = cargo();
    command.args(["metadata", "--locked", "--all-features", "--format-version", "1"]);
    command.args(TARGETS.map(|target| format!("--filter-platform={target}")));
    let output = command.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata's output is not JSON")
}

// === impl CargoDeny ===

impl CargoDeny {
    /// The installed one if it is of this version, or else a compiled one.
    fn get() -> Result<Self> {
        let installed = program("cargo-deny").filter(|program| is_version(program));
        let program = match installed {
            Some(program) => program,
            None => tool::folder_of("cargo-deny", VERSION)?.join("cargo-deny"),
        };
        let folder = scratch_dir().join("deny");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { program, folder })
    }

    /// Writes the inputs of the next checks.
    fn write(&self, inputs: &Inputs) -> Result<()> {
        for (path, text) in [(self.config(), &inputs.config), (self.metadata(), &inputs.metadata.to_string())] {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn check(&self, name: &str) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command.current_dir(root()).args(["--offline", "--locked", "--all-features", "--color", "never"]);
        command.arg("--config").arg(self.config()).arg("--metadata-path").arg(self.metadata());
        command.args(["check", "--hide-inclusion-graph"]).args(STRICT).arg(name);
        command.output().with_context(|| format!("cannot start {}", self.program.display()))
    }

    fn config(&self) -> PathBuf {
        self.folder.join("deny.toml")
    }

    fn metadata(&self) -> PathBuf {
        self.folder.join("metadata.json")
    }
}

/// Another version may know other keys, or call its findings by other names.
fn is_version(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == format!("cargo-deny {VERSION}"))
}

// === impl Report ===

impl Report {
    fn add(&mut self, name: &str, outcome: Outcome) {
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                println!("test {name} ... ok");
            }
            Outcome::Failed(why) => {
                self.failed += 1;
                println!("test {name} ... FAILED\n{}", why.trim_end());
            }
            Outcome::Skipped(why) => {
                self.skipped += 1;
                println!("test {name} ... ignored, {why}");
            }
        }
    }

    fn closing_line(&self) -> String {
        let word = if self.failed == 0 { "ok" } else { "FAILED" };
        let Self { passed, failed, skipped, .. } = self;
        let seconds = self.begun.elapsed().as_secs_f32();
        format!("test result: {word}. {passed} passed; {failed} failed; {skipped} ignored; finished in {seconds:.2}s")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn output(code: i32, stderr: &str) -> Output {
        Output { status: std::process::ExitStatus::from_raw(code << 8), stdout: Vec::new(), stderr: stderr.into() }
    }

    #[test]
    fn the_checks_are_for_the_targets_of_the_config() {
        let targets = format!("\ntargets = {TARGETS:?}\n");
        assert!(read_config().unwrap().contains(&targets), "deny.toml has other targets than {TARGETS:?}");
    }

    #[test]
    fn a_forgery_that_is_accepted_fails() {
        assert!(matches!(forged(&FORGERIES[0], &output(0, "licenses ok")), Outcome::Failed(_)));
    }

    #[test]
    fn a_forgery_that_is_refused_for_another_reason_fails() {
        assert!(matches!(forged(&FORGERIES[0], &output(1, "error[io]: no space left")), Outcome::Failed(_)));
        let refused = format!("error[{}]: as it should be", FORGERIES[0].code);
        assert!(matches!(forged(&FORGERIES[0], &output(1, &refused)), Outcome::Passed));
    }

    #[test]
    fn a_failed_check_shows_what_cargo_deny_found() {
        let Outcome::Failed(why) = real(&output(1, "error[duplicate]: found 2")) else { panic!("it did not fail") };
        assert_eq!(why, "error[duplicate]: found 2");
    }

    #[test]
    fn without_cargo_deny_every_check_is_counted_as_skipped() {
        let mut report = Report { begun: Instant::now(), passed: 0, failed: 0, skipped: 0 };
        skip_all("it cannot be compiled", &mut report);
        let all = CHECKS.len() + 1 + FORGERIES.len();
        assert!(report.closing_line().starts_with(&format!("test result: ok. 0 passed; 0 failed; {all} ignored; ")));
    }

    #[test]
    fn every_outcome_is_counted_in_the_closing_line() {
        let mut report = Report { begun: Instant::now(), passed: 0, failed: 0, skipped: 0 };
        report.add("one", Outcome::Passed);
        report.add("two", Outcome::Passed);
        report.add("three", Outcome::Skipped("why".to_owned()));
        assert!(report.closing_line().starts_with("test result: ok. 2 passed; 0 failed; 1 ignored; "));
        report.add("four", Outcome::Failed("why".to_owned()));
        assert!(report.closing_line().starts_with("test result: FAILED. 2 passed; 1 failed; 1 ignored; "));
    }
}
