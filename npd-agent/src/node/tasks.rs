//! Tasks: what a task is doing, and which process and cgroup it belongs to.

use procfs::process::Process;

use super::Node;

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskState {
    /// When it started, in clock ticks since boot: together with the pid this identifies the task.
    pub start: u64,
    /// How often it was scheduled.
    pub switches: u64,
    /// Whether it is in state D.
    pub uninterruptible: bool,
}

// === impl Node ===

impl Node {
    fn process(&self, pid: u32) -> Option<Process> {
        Process::new_with_root(self.proc.join(pid.to_string())).ok()
    }

    /// The process that a thread belongs to.
    #[must_use]
    pub fn process_of(&self, pid: u32) -> Option<u32> {
        self.process(pid)?.status().ok()?.tgid.try_into().ok()
    }

    /// The cgroup of a task, as a path such as `/kubepods.slice/…`: on cgroup v1 that of the memory controller, else
    /// that of the unified hierarchy.
    #[must_use]
    pub fn cgroup_of(&self, pid: u32) -> Option<String> {
        let groups = self.process(pid)?.cgroups().ok()?.0;
        let memory = groups.iter().find(|group| group.controllers.iter().any(|name| name == "memory"));
        let group = memory.or_else(|| groups.iter().find(|group| group.hierarchy == 0))?;
        Some(group.pathname.clone())
    }

    /// What a task is doing; `None` if it is gone.
    #[must_use]
    pub fn task(&self, pid: u32) -> Option<TaskState> {
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
        let node = Node::default();
        let pid = std::process::id();
        assert_eq!(node.process_of(pid), Some(pid));
        let state = node.task(pid).unwrap();
        assert!(!state.uninterruptible && state.start > 0 && state.switches > 0);
        assert_eq!(node.task(u32::MAX), None);
        assert!(node.cgroup_of(pid).is_some_and(|path| path.starts_with('/')));
    }
}
