//! The agent on log files and journals: what is written while it runs, while it does not, and across rotations. No
//! test in here touches the kernel log.

use std::process::ExitCode;

use anyhow::{Result, bail};
use npd_tests::driver::{agent::problem::Problem, suite::Suite};

mod filelog;
mod journald;
mod reload;
mod storm;

fn main() -> ExitCode {
    let mut suite = Suite::default();
    filelog::add(&mut suite);
    journald::add(&mut suite);
    reload::add(&mut suite);
    storm::add(&mut suite);
    suite.run()
}

/// Checks that these texts were reported, each as often as it stands here, in any order.
fn expect_texts(problems: &[Problem], expected: &[&str]) -> Result<()> {
    let mut found: Vec<_> = problems.iter().map(|problem| problem.text.as_str()).collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    if found != expected {
        bail!("expected {expected:?}, reported {found:?}");
    }
    Ok(())
}
