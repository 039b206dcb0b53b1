//! What the probes' events leave to be asked of /proc and /sys: names, groups, and whether a task still hangs.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::hung::TaskState;

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

    fn status_field(&self, pid: u32, name: &str) -> Option<String> {
        let status = fs::read_to_string(self.proc.join(pid.to_string()).join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
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
        self.status_field(pid, "Tgid")?.parse().ok()
    }

    fn cgroup_of(&self, pid: u32) -> Option<String> {
        cgroup_in(&fs::read_to_string(self.proc.join(pid.to_string()).join("cgroup")).ok()?)
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
        let stat = fs::read_to_string(self.proc.join(pid.to_string()).join("stat")).ok()?;
        // The name may contain anything, so the fields are counted from its closing parenthesis.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let uninterruptible = fields.next()? == "D";
        let start = fields.nth(18)?.parse().ok()?;
        let voluntary: u64 = self.status_field(pid, "voluntary_ctxt_switches")?.parse().ok()?;
        let involuntary: u64 = self.status_field(pid, "nonvoluntary_ctxt_switches")?.parse().ok()?;
        Some(TaskState { start, switches: voluntary + involuntary, uninterruptible })
    }
}

/// The group of a task from its `/proc/<pid>/cgroup`: that of the memory controller on cgroup v1, else the one of
/// the unified hierarchy.
fn cgroup_in(text: &str) -> Option<String> {
    let groups: Vec<(&str, &str)> =
        text.lines().filter_map(|line| line.split_once(':').and_then(|(_, rest)| rest.split_once(':'))).collect();
    let memory = groups.iter().find(|(controllers, _)| controllers.split(',').any(|c| c == "memory"));
    let group = memory.or_else(|| groups.iter().find(|(controllers, _)| controllers.is_empty()))?;
    Some(group.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tasks_group_is_that_of_its_memory() {
        assert_eq!(cgroup_in("0::/kubepods.slice/x\n").as_deref(), Some("/kubepods.slice/x"));
        assert_eq!(cgroup_in("9:name=systemd:/\n4:memory:/a:b\n0::/\n").as_deref(), Some("/a:b"));
        assert_eq!(cgroup_in(""), None);
    }

    #[test]
    fn this_process_is_found_in_proc() {
        let host = Proc::default();
        let pid = std::process::id();
        assert_eq!(host.process_of(pid), Some(pid));
        let state = host.task(pid).unwrap();
        assert!(!state.uninterruptible && state.start > 0 && state.switches > 0);
        assert_eq!(host.task(u32::MAX), None);
    }
}
