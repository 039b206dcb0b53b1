//! The shipped log monitors against what kernels and daemons really print.
//!
//! `corpus/*/*.txt` says of single lines what the rules make of them. A file is read from top to bottom:
//!
//! * `# config: docker-monitor.json` first: the monitors, in `config/`, that its lines are for;
//! * `# expect: OOMKilling`: which reasons each line from here on must have, exactly these and in any order;
//!   `over:OOMKilling` for a line that says that the problem is over, `none` for an innocent one. Of a log file whole
//!   lines are held: `skipped` are those that the monitor passes over, `unreadable` those without time or message.
//!
//! Other lines that start with `#` are comments, blank lines count for nothing. What takes several lines and time to
//! happen is played to a whole monitor. No kernel and no agent is needed.

use std::{collections::BTreeSet, process::ExitCode, sync::Arc};

use anyhow::{Result, ensure};
use npd_agent::time::Timestamp;
use npd_tests::driver::suite::Suite;

use self::{
    counts::{crash_loop, given_up, restarts_after_boot, restarts_by_hand, restarts_in_two_lines, thresholds},
    lines::{all_are_hit, check, corpus, corpus_folder},
    shipped::{Shipped, same_rules, shipped},
    subjects::{bad_blocks, rechecks},
};

mod counts;
mod lines;
mod node;
mod shipped;
mod subjects;

/// All times are this or later: 2026-11-24T09:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_nanos(1_795_510_800 * SECOND);
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600;

fn main() -> Result<ExitCode> {
    let mut suite = Suite::default();
    let shipped = Arc::new(shipped()?);
    let mut hit = BTreeSet::new();
    for file in corpus()? {
        let name = file.strip_prefix(corpus_folder()).unwrap_or(&file).with_extension("").display().to_string();
        let (wrong, hits) = match check(&file, &shipped) {
            Ok(checked) => (Ok(checked.wrong), checked.hit),
            Err(error) => (Err(error), BTreeSet::new()),
        };
        hit.extend(hits);
        suite.test(format!("{name}: each line has exactly the reasons it should have"), move || {
            let wrong = wrong?;
            ensure!(wrong.is_empty(), "{} lines are wrong:\n{}", wrong.len(), wrong.join("\n"));
            Ok(())
        });
    }
    let monitors = Arc::clone(&shipped);
    suite.test("each pattern of each monitor is hit by a line of the corpus", move || all_are_hit(&monitors, &hit));

    let mut test = |claim: &str, run: fn(&Shipped) -> Result<()>| {
        let shipped = Arc::clone(&shipped);
        suite.test(claim, move || run(&shipped));
    };
    test("a monitor of a log file has the rules of the monitor that it stands in for", same_rules);
    test("a frequent problem is reported at its count, not before it, and ends when it becomes rare", thresholds);
    test("restarts that systemd 229 to 242 tells of in two lines count once", restarts_in_two_lines);
    test("an administrator's restarts are not frequent restarts", restarts_by_hand);
    test("restarts soon after boot do not count", restarts_after_boot);
    test("a service that systemd gave up holds its condition until it is started", given_up);
    test("bad blocks are distinguished by disk and kind, and end one by one", bad_blocks);
    test("what the node can be asked about names whom to ask about", rechecks);
    test("starts in a crash loop are folded, and all are counted", crash_loop);
    Ok(suite.run())
}
