//! `cargo xtask codegen`: writes what is generated from the code. The tests say when it has to be run.

use anyhow::Result;

use crate::{setup, step::Step, workspace::cargo};

/// The verb.
pub(crate) fn codegen() -> Result<()> {
    setup::setup()?;
    let step = Step::loud("generate");
    step.run(cargo().args(["run", "--quiet", "--package", "npd-tests", "--bin", "npd-codegen"]))?;
    step.done();
    Ok(())
}
