//! The journal's reader on what a real journald writes, and against what journalctl says.
//!
//! The reader is used as a library; no agent runs. Each test has a journald of its own, or files that
//! systemd-journal-remote wrote.

use std::process::ExitCode;

use anyhow::Result;
use npd_tests::{
    driver::suite::{Suite, skip},
    host::journald_namespace,
};

mod cost;
mod damage;
mod exported;
mod lines;
mod live;
mod moving;
mod warnings;
mod written;

fn main() -> ExitCode {
    let mut suite = Suite::default();
    written::add(&mut suite);
    live::add(&mut suite);
    moving::add(&mut suite);
    damage::add(&mut suite);
    cost::add(&mut suite);
    suite.run()
}

/// Adds a test that needs a journald.
fn test(suite: &mut Suite, claim: &str, run: fn() -> Result<()>) {
    suite.test(format!("journal: {claim}"), move || match journald_namespace::missing() {
        Some(what) => Err(skip(what)),
        None => run(),
    });
}
