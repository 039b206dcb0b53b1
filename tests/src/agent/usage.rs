//! What a process costs, from `/proc`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Readings of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes, file pages such as the program itself included.
    pub resident: u64,
    /// Time on a CPU, user and system, of all threads that live.
    ///
    /// From `schedstat`, in nanoseconds; `stat` counts in hundredths of a second.
    pub cpu: Duration,
    /// How often its threads went to sleep by themselves; each is a wake-up later.
    pub voluntary_switches: u64,
}

// === impl Usage ===

impl Usage {
    /// Reads a process.
    pub fn of(pid: u32) -> Result<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let resident = number(&read(&process.join("status"))?, "VmRSS:")? * 1024;
        let (mut cpu, mut voluntary_switches) = (0, 0);
        let tasks = process.join("task");
        for task in fs::read_dir(&tasks).with_context(|| format!("cannot list {}", tasks.display()))? {
            let task = task.context("cannot list the threads")?.path();
            let schedstat = read(&task.join("schedstat"))?;
            let on_cpu = schedstat.split(' ').next().context("an empty schedstat")?;
            cpu += on_cpu.parse::<u64>().context("schedstat does not start with a number")?;
            voluntary_switches += number(&read(&task.join("status"))?, "voluntary_ctxt_switches:")?;
        }
        Ok(Self { resident, cpu: Duration::from_nanos(cpu), voluntary_switches })
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn number(text: &str, name: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    let digits = value.split_whitespace().next().with_context(|| format!("{name} is empty"))?;
    digits.parse().with_context(|| format!("{name} {digits:?} is no number"))
}
