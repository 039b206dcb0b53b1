//! The manifests of `deploy/`: what kubectl and helm make of them is what Kubernetes takes, belongs together, and starts an
//! agent that understands its arguments and may do what it is to do.

mod agents;
mod chart;
mod objects;
mod rendering;
mod rights;

use std::process::ExitCode;

use npd_tests::driver::suite::Suite;

fn main() -> ExitCode {
    let mut suite = Suite::default();
    objects::add(&mut suite);
    agents::add(&mut suite);
    rights::add(&mut suite);
    chart::add(&mut suite);
    suite.run_on(2)
}
