//! What the probes' events leave to be asked of /proc and /sys: names, groups, and whether a task still hangs.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use procfs::process::Process;

use crate::source::kernel::events::hung::TaskState;

/// How many cgroup directories are looked at to find one by its inode.
const CGROUPS_MAX: usize = 20_000;

/// The questions; a trait so that decoding is tested without a kernel.
pub trait Host {
    /// The name of a block device, such as `sda1`.
    fn device(&self, major: u32, minor: u32) -> Option<String>;
    /// `kernel.hung_task_timeout_secs`.
    fn hung_task_timeout(&self) -> Option<u64>;
    /// `kernel.hung_task_check_interval_secs`.
    fn hung_task_interval(&self) -> Option<u64>;
    /// The process that a thread belongs to.
    fn process_of(&self, pid: u32) -> Option<u32>;
    /// The cgroup of a task, as a path such as `/kubepods.slice/…`.
    fn cgroup_of(&self, pid: u32) -> Option<String>;
    /// The cgroup-v2 directory with this inode.
    fn cgroup_by_inode(&self, inode: u64) -> Option<String>;
    /// What a task is doing; `None` when it is gone.
    fn task(&self, pid: u32) -> Option<TaskState>;
}

/// The node as /proc and /sys show it.
#[derive(Clone, Debug)]
pub struct Proc {
    proc: PathBuf,
    sys: PathBuf,
}

// === impl Proc ===

impl Default for Proc {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into() }
    }
}

impl Proc {
    fn sysctl(&self, name: &str) -> Option<u64> {
        fs::read_to_string(self.proc.join("sys/kernel").join(name)).ok()?.trim().parse().ok()
    }

    fn process(&self, pid: u32) -> Option<Process> {
        Process::new_with_root(self.proc.join(pid.to_string())).ok()
    }
}

impl Host for Proc {
    fn device(&self, major: u32, minor: u32) -> Option<String> {
        let link = fs::read_link(self.sys.join(format!("dev/block/{major}:{minor}"))).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    fn hung_task_timeout(&self) -> Option<u64> {
        self.sysctl("hung_task_timeout_secs")
    }

    fn hung_task_interval(&self) -> Option<u64> {
        self.sysctl("hung_task_check_interval_secs").filter(|secs| *secs != 0)
    }

    fn process_of(&self, pid: u32) -> Option<u32> {
        self.process(pid)?.status().ok()?.tgid.try_into().ok()
    }

    fn cgroup_of(&self, pid: u32) -> Option<String> {
        let groups = self.process(pid)?.cgroups().ok()?.0;
        // That of the memory controller on cgroup v1, else the one of the unified hierarchy.
        let memory = groups.iter().find(|group| group.controllers.iter().any(|name| name == "memory"));
        let group = memory.or_else(|| groups.iter().find(|group| group.hierarchy == 0))?;
        Some(group.pathname.clone())
    }

    fn cgroup_by_inode(&self, inode: u64) -> Option<String> {
        let root = [self.sys.join("fs/cgroup/unified"), self.sys.join("fs/cgroup")]
            .into_iter()
            .find(|path| path.join("cgroup.procs").exists())?;
        let mut looked_at = 0;
        let mut todo = vec![root.clone()];
        while let Some(dir) = todo.pop() {
            if fs::metadata(&dir).is_ok_and(|metadata| metadata.ino() == inode) {
                return Some(Path::new("/").join(dir.strip_prefix(&root).ok()?).to_string_lossy().into_owned());
            }
            looked_at += 1;
            if looked_at > CGROUPS_MAX {
                return None;
            }
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            todo.extend(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
        }
        None
    }

    fn task(&self, pid: u32) -> Option<TaskState> {
        let process = self.process(pid)?;
        let (stat, status) = (process.stat().ok()?, process.status().ok()?);
        Some(TaskState {
            start: stat.starttime,
            switches: status.voluntary_ctxt_switches? + status.nonvoluntary_ctxt_switches?,
            uninterruptible: stat.state == 'D',
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_in_proc() {
        let host = Proc::default();
        let pid = std::process::id();
        assert_eq!(host.process_of(pid), Some(pid));
        let state = host.task(pid).unwrap();
        assert!(!state.uninterruptible && state.start > 0 && state.switches > 0);
        assert_eq!(host.task(u32::MAX), None);
        assert!(host.cgroup_of(pid).is_some_and(|path| path.starts_with('/')));
    }
}
