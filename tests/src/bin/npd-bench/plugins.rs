//! What 200 plugins cost that run once a second, beyond themselves.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use npd_tests::driver::{
    agent::{Agent, Setup, metrics::Metrics},
    poll,
};
use serde_json::json;

use crate::table::Row;

const PLUGINS: usize = 200;
const LONG: Duration = Duration::from_secs(10);

pub(crate) fn measure() -> Result<Vec<Row>> {
    let setup = Setup::new()?;
    let rules: Vec<_> = (0..PLUGINS)
        .map(|number| json!({"type": "temporary", "reason": format!("R{number}"), "path": "/bin/true"}))
        .collect();
    let config = json!({
        "plugin": "custom", "source": "bench", "rules": rules,
        "pluginConfig": {"invoke_interval": "1s", "timeout": "1s", "concurrency": 8},
    });
    let path = setup.folder().join("plugins.json");
    fs::write(&path, config.to_string()).context("cannot write the config")?;
    // As a service manager and a container runtime start it.
    let setup = setup.working_folder("/");
    let agent = setup.arg(format!("--config.custom-plugin-monitor={}", path.display())).start()?;
    poll::pause(LONG / 5);
    let (cpu, before) = (agent.usage()?, runs(&agent.metrics()?));
    let children = children(&agent)?;
    poll::pause(LONG);
    // The children first: what they have used is counted when they are waited for.
    let children_after = self::children(&agent)?;
    let (after, cpu_after) = (runs(&agent.metrics()?), agent.usage()?);
    agent.stop()?;
    let share = cpu_after.since(&cpu).cpu.as_secs_f64() / LONG.as_secs_f64() * 100.0;
    let theirs = children_after.saturating_sub(children).as_secs_f64() / LONG.as_secs_f64() * 100.0;
    let rate = (after - before) / LONG.as_secs_f64();
    let each = cpu_after.since(&cpu).cpu.as_secs_f64() * 1e6 / (after - before).max(1.0);
    let (resident, goal) = (cpu_after.resident.total() as f64 / f64::from(1 << 20), PLUGINS as f64);
    Ok(vec![
        Row::new(format!("{PLUGINS} plugins a second: CPU of a core"), format!("{share:.1} %"))
            .against("the plugins themselves, /bin/true", &format!("{theirs:.1} %"), share, theirs)
            .goal("< 5 %", share < 5.0),
        Row::new("one run: CPU", format!("{each:.0} µs")),
        Row::new("runs a second", format!("{rate:.0}")).goal(format!("{goal}"), rate > goal * 0.95),
        Row::new(format!("resident memory with {PLUGINS} plugins"), format!("{resident:.1} MiB")),
    ])
}

fn runs(metrics: &Metrics) -> f64 {
    metrics.series("npd_plugin_runs_total").iter().map(|(_, count)| count).sum()
}

/// The CPU time of all children that it has waited for.
fn children(agent: &Agent) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", agent.pid())).context("cannot read its stat")?;
    let fields: Vec<_> = stat.rsplit_once(") ").context("an odd stat")?.1.split(' ').collect();
    let ticks =
        |index: usize| -> Result<u64> { fields.get(index).context("a short stat")?.parse().context("no number") };
    // cutime and cstime, the fields 16 and 17.
    let ticks = ticks(13)? + ticks(14)?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}
