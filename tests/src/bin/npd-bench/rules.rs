//! One innocent line against many rules.

use std::{hint::black_box, num::NonZeroUsize};

use anyhow::{Context, Result, ensure};
use npd_agent::{
    config,
    rules::{Hit, Pattern, Rules},
    time::Timestamp,
};
use npd_tests::driver::binary::shipped_config;
use regex::bytes::Regex;

use crate::{
    sample::{cpu_time, median},
    table::Row,
};

const LINE: &[u8] = b"IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link okay";
const ROUNDS: usize = 21;
/// As many as node-problem-detector ships.
const FEW: usize = 14;
const MANY: usize = 200;

pub(crate) fn measure() -> Result<Vec<Row>> {
    ensure!(LINE.len() == 46, "the line has {} bytes", LINE.len());
    let loaded = config::load(&[shipped_config("kernel-monitor.json")]).context("the shipped monitor is wrong")?;
    let shipped: Vec<String> =
        loaded.system_logs.iter().flat_map(|log| &log.rules).map(|rule| rule.pattern.source().to_owned()).collect();
    let few = &shipped[..shipped.len().min(FEW)];
    let mut many = shipped.clone();
    many.extend((shipped.len()..MANY).map(|number| {
        format!(r"npd_driver_{number} \S+: device \w+ failed in phase {number} with status -?\d+( \(.*\))?")
    }));
    Ok(vec![compare(few, 25.0)?, compare(&shipped, 25.0)?, compare(&many, 80.0)?])
}

fn compare(sources: &[String], goal: f64) -> Result<Row> {
    let patterns = sources.iter().map(|source| Pattern::parse(source));
    let patterns = patterns.collect::<Result<Vec<_>, _>>().context("a pattern is wrong")?;
    let mut rules = Rules::new(patterns, NonZeroUsize::MIN.saturating_add(9));
    let regexes = sources.iter().map(|source| Regex::new(&format!(r"(?:{source})\z")));
    let regexes = regexes.collect::<Result<Vec<_>, _>>().context("a pattern is wrong")?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut hits = 0;
    for _ in 0..ROUNDS {
        ours.push(nanos(50_000, || {
            rules.push(black_box(LINE), Timestamp::from_unix_nanos(0), &mut |_: Hit| hits += 1);
        }));
        theirs.push(nanos(500, || {
            hits += regexes.iter().filter(|regex| regex.is_match(black_box(LINE))).count();
        }));
    }
    ensure!(hits == 0, "the line is not innocent");
    let (ours, theirs) = (median(&ours), median(&theirs));
    let row = Row::new(
        format!("an innocent line of {} bytes against {} rules", LINE.len(), sources.len()),
        format!("{ours:.1} ns"),
    )
    .against("each regex in turn", &format!("{theirs:.0} ns"), ours, theirs);
    Ok(row.goal(format!("≤ {goal} ns and ≥ 25×"), ours <= goal && theirs >= 25.0 * ours))
}

/// The CPU time of one call, from many; what others do with the CPU meanwhile is not counted.
fn nanos(calls: u32, mut call: impl FnMut()) -> f64 {
    let started = cpu_time();
    for _ in 0..calls {
        call();
    }
    cpu_time().saturating_sub(started).as_nanos() as f64 / f64::from(calls)
}
