//! The plugins health-checker and log-counter as a plugin monitor runs them: what they print and end with, and the same
//! checks inside the agent. The
//! components are real servers on real sockets, systemd is an object on a D-Bus daemon of the test's own, the journal
//! that of a journald of its own.

use std::process::ExitCode;

use npd_tests::driver::suite::Suite;

mod background;
mod built_in;
mod bus;
mod counter;
mod cri;
mod docker;
mod http;
mod log_patterns;
mod node_agents;
mod program;
mod repair;
mod runtime;
mod usage;

fn main() -> ExitCode {
    let mut suite = Suite::default();
    usage::add(&mut suite);
    node_agents::add(&mut suite);
    docker::add(&mut suite);
    cri::add(&mut suite);
    repair::add(&mut suite);
    log_patterns::add(&mut suite);
    counter::add(&mut suite);
    built_in::add(&mut suite);
    suite.run()
}
