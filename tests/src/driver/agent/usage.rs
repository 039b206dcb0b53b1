//! What a process costs, from `/proc`.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result};

/// Readings of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What is in memory.
    pub resident: Resident,
    threads: BTreeMap<String, Spent>,
}

/// Resident memory in bytes, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Heap and stacks.
    pub anonymous: u64,
    /// Pages of files, the program itself above all; other processes may share them.
    pub files: u64,
    /// Shared memory.
    pub shared: u64,
}

/// What threads have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Time on a CPU, user and system.
    pub cpu: Duration,
    /// How often they went to sleep by themselves; each is a wake-up later.
    pub voluntary_switches: u64,
}

// === impl Usage ===

impl Usage {
    /// Reads a process.
    pub fn of(pid: u32) -> Result<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let status = read(&process.join("status"))?;
        let bytes = |name: &str| number(&status, name).map(|kibibytes| kibibytes * 1024);
        let resident =
            Resident { anonymous: bytes("RssAnon:")?, files: bytes("RssFile:")?, shared: bytes("RssShmem:")? };
        let tasks = process.join("task");
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(&tasks).with_context(|| format!("cannot list {}", tasks.display()))? {
            let task = task.context("cannot list the threads")?;
            // A thread may end while we look.
            if let Ok(spent) = Spent::of(&task.path()) {
                threads.insert(task.file_name().to_string_lossy().into_owned(), spent);
            }
        }
        Ok(Self { resident, threads })
    }

    /// What was used since an earlier moment. What a thread did that has ended meanwhile is not in it.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Spent {
        let mut sum = Spent::default();
        for (thread, now) in &self.threads {
            let before = earlier.threads.get(thread).copied().unwrap_or_default();
            sum.cpu += now.cpu.saturating_sub(before.cpu);
            sum.voluntary_switches += now.voluntary_switches.saturating_sub(before.voluntary_switches);
        }
        sum
    }
}

// === impl Resident ===

impl Resident {
    /// All kinds together, as `ps` says.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.anonymous + self.files + self.shared
    }
}

// === impl Spent ===

impl Spent {
    /// `schedstat` counts in nanoseconds, `stat` only in hundredths of a second.
    fn of(task: &Path) -> Result<Self> {
        let schedstat = read(&task.join("schedstat"))?;
        let on_cpu = schedstat.split(' ').next().context("an empty schedstat")?;
        Ok(Self {
            cpu: Duration::from_nanos(on_cpu.parse().context("schedstat does not start with a number")?),
            voluntary_switches: number(&read(&task.join("status"))?, "voluntary_ctxt_switches:")?,
        })
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
