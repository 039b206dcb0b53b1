//! What npd costs and how quick it is, measured on this machine against the goals, as one Markdown table.
//!
//! `npd-bench [rules] [stats] [plugins] [flood] [latency] [idle] [replay]`: all sections when none is named. Everything that is compared comes
//! from the same run: the shipped rules against each regex in turn, the probes against `/dev/kmsg` alone. Figures are
//! medians of several rounds. A goal that is missed is shown as missed; the exit code is 1 when something could not
//! be measured.

mod flood;
mod idle;
mod latency;
mod plugins;
mod replay;
mod rules;
mod sample;
mod stats;
mod table;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use npd_tests::{
    driver::{agent::Setup, binary, monitor::Monitor},
    host::fault::{setting::Setting, tracefs::Tracefs},
};

use self::table::{Row, Table};

/// A part of the table.
type Section = fn() -> Result<Vec<Row>>;

const SECTIONS: [(&str, Section); 7] = [
    ("rules", rules::measure),
    ("stats", stats::measure),
    ("plugins", plugins::measure),
    ("flood", flood::measure),
    ("latency", latency::measure),
    ("idle", idle::measure),
    ("replay", replay::measure),
];

fn main() -> Result<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| SECTIONS.iter().all(|(known, _)| known != name)) {
        let known: Vec<_> = SECTIONS.iter().map(|(name, _)| *name).collect();
        bail!("there is no section {unknown}, there are {}", known.join(", "));
    }
    // Without root only the rules and the stats can be measured.
    let _machine = if rustix::process::geteuid().is_root() { Some(prepare()?) } else { None };
    let mut table = Table::default();
    for (name, measure) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            writeln!(io::stderr(), "measuring {name} …").context("nobody reads what is measured")?;
            // One that cannot be measured takes nothing away from the others.
            table.extend(measure().unwrap_or_else(|error| vec![Row::failed(name, &error)]));
        }
    }
    write!(io::stdout(), "{table}").context("nobody reads the table")?;
    Ok(if table.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// tracefs for the probes; a console that does not print what we write, which would cost a millisecond a line.
fn prepare() -> Result<(Tracefs, Setting)> {
    Ok((Tracefs::mounted()?, Setting::set("/proc/sys/kernel/printk", "1")?))
}

/// An agent as it is shipped, its state kept, plus one monitor of our own.
fn agent(source: &str, monitor: &Monitor) -> Result<Setup> {
    let mut setup = Setup::new()?.stateful().monitor(monitor)?.arg(format!("--kernel-source={source}"));
    for name in ["kernel-monitor.json", "readonly-monitor.json"] {
        setup = setup.config(binary::shipped_config(name));
    }
    Ok(setup)
}
