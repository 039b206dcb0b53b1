//! What the events do not say and the node has to be asked for: names, cgroups, and whether a task still hangs.

use crate::node::Node;

/// The questions to the node; a trait, so that decoding can be tested without a kernel.
pub(crate) trait Lookup {
    /// The name of a block device, such as `sda1`.
    fn device(&self, major: u32, minor: u32) -> Option<String>;
    /// `kernel.hung_task_timeout_secs`.
    fn hung_task_timeout(&self) -> Option<u64>;
    /// `kernel.hung_task_check_interval_secs`; `None` if it is 0, which stands for the timeout.
    fn hung_task_interval(&self) -> Option<u64>;
    /// The process that a thread belongs to.
    fn process_of(&self, pid: u32) -> Option<u32>;
    /// The cgroup of a task, as a path such as `/kubepods.slice/…`.
    fn cgroup_of(&self, pid: u32) -> Option<String>;
    /// The cgroup-v2 directory with this inode.
    fn cgroup_by_inode(&self, inode: u64) -> Option<String>;
}

impl Lookup for Node {
    fn device(&self, major: u32, minor: u32) -> Option<String> {
        self.block_device(major, minor)
    }

    fn hung_task_timeout(&self) -> Option<u64> {
        self.sysctl("kernel/hung_task_timeout_secs")?.try_into().ok()
    }

    fn hung_task_interval(&self) -> Option<u64> {
        self.sysctl("kernel/hung_task_check_interval_secs")?.try_into().ok().filter(|secs| *secs != 0)
    }

    fn process_of(&self, pid: u32) -> Option<u32> {
        self.process_of(pid)
    }

    fn cgroup_of(&self, pid: u32) -> Option<String> {
        self.cgroup_of(pid)
    }

    fn cgroup_by_inode(&self, inode: u64) -> Option<String> {
        self.cgroup_by_inode(inode)
    }
}
