//! The system stats monitor: what is measured of recorded nodes, of a large one and of this machine, and the documents
//! that are made from its table.

mod documents;
mod live;
mod nodes;

use std::process::ExitCode;

use npd_tests::driver::suite::Suite;

fn main() -> ExitCode {
    let mut suite = Suite::default();
    nodes::add(&mut suite);
    documents::add(&mut suite);
    live::add(&mut suite);
    suite.run()
}
