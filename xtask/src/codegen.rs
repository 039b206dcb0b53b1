//! `cargo xtask codegen`: writes the files that are generated from the code. A test fails when they are out of date.

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
