//! A memory cgroup so small that a process in it is killed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::victim::Victim;
use crate::{
    driver::poll::{self, SOON},
    nonce,
};

/// The name of the process that is killed.
pub const COMM: &str = "npd-oom";

/// Where a memory cgroup can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// The memory controller's own hierarchy.
    V1,
    /// The unified hierarchy, with the memory controller in it.
    V2,
}

/// A memory cgroup; removed when dropped.
#[derive(Debug)]
pub struct MemoryCgroup {
    path: PathBuf,
    /// Itself and those around it that are the test's.
    depth: usize,
}

/// A process that the OOM killer has taken.
#[derive(Clone, Debug)]
pub struct Killed {
    /// Its process id.
    pub pid: u32,
    /// Its cgroup as the kernel writes it, such as `/npd-1a2b`.
    pub cgroup: String,
}

/// Finds a memory controller.
#[must_use]
pub fn parent() -> Option<Parent> {
    if Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() {
        return Some(Parent::V1);
    }
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").ok()?;
    controllers.split_whitespace().any(|name| name == "memory").then_some(Parent::V2)
}

/// Has one process killed in a cgroup of its own.
pub fn kill_one() -> Result<Killed> {
    MemoryCgroup::new(20 << 20)?.kill_one()
}

// === impl MemoryCgroup ===

impl MemoryCgroup {
    /// A cgroup with this limit in bytes, and no swap.
    pub fn new(limit: u64) -> Result<Self> {
        Self::at(&[&format!("npd-{}", nonce())], limit)
    }

    /// One within others, as a container runtime makes them; `names` are those of all of them, which must be new.
    pub fn at(names: &[&str], limit: u64) -> Result<Self> {
        let parent = parent().context("there is no memory controller")?;
        let (root, limit_file, swap_file) = match parent {
            Parent::V1 => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.swappiness"),
            Parent::V2 => ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
        };
        let mut group = Self { path: root.into(), depth: 0 };
        for name in names {
            if parent == Parent::V2 {
                write(&group.path.join("cgroup.subtree_control"), "+memory")?;
            }
            let path = group.path.join(name);
            fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
            group.path = path;
            group.depth += 1;
        }
        write(&group.path.join(limit_file), &limit.to_string())?;
        // Absent in a kernel without swap.
        drop(fs::write(group.path.join(swap_file), "0"));
        Ok(group)
    }

    /// Puts a process in that eats ten times the limit, and waits for its death.
    pub fn kill_one(&self) -> Result<Killed> {
        let mut victim = Victim::start(COMM, &["eat", "200"])?;
        write(&self.path.join("cgroup.procs"), &victim.pid().to_string())?;
        victim.order()?;
        victim.wait_for_death()?;
        let mut names: Vec<_> = self.path.iter().rev().take(self.depth).map(|name| name.to_string_lossy()).collect();
        names.reverse();
        Ok(Killed { pid: victim.pid(), cgroup: format!("/{}", names.join("/")) })
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // The kernel takes a moment to let the last process go.
        for path in self.path.ancestors().take(self.depth) {
            drop(poll::wait_until("the cgroup to be empty", SOON, || fs::remove_dir(path).is_ok()));
        }
    }
}

fn write(path: &Path, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("cannot write {value} to {}", path.display()))
}
