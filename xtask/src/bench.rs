//! `cargo xtask bench`: measures the shipped build on this machine. A missed goal is shown, but is not a failure: the machine may have
//! been busy.

use std::ffi::OsString;

use anyhow::Result;

use crate::{
    build, setup,
    step::Step,
    workspace::{as_root, cargo, target_dir},
};

/// The verb.
pub(crate) fn bench(sections: &[OsString]) -> Result<()> {
    setup::setup()?;
    let (name, agent) = build::Args::SHIPPED.build_for_tests()?;
    let step = Step::loud("build the benchmark");
    step.run(cargo().args(["build", "--release", "--package", "npd-tests", "--bins"]))?;
    step.done();

    let step = Step::loud("measure");
    let mut assignment = OsString::from(name);
    assignment.push("=");
    assignment.push(agent);
    let bench = target_dir().join("release/npd-bench");
    step.run(as_root("env", "measuring the kernel log")?.arg(assignment).arg(bench).args(sections))?;
    step.done();
    Ok(())
}
