//! Questions to the node: its /proc and /sys, its clock, its limits, its tasks and the cgroups of its pods.
//!
//! There is one [`Node`], made at the start and passed down, so that `$HOST_PROC` and the like apply everywhere.
//! Nothing here makes decisions: it reads what the kernel reports.

pub(crate) mod cgroup;
pub mod clock;
#[cfg(feature = "system-stats")]
pub(crate) mod files;
#[cfg(any(feature = "health-checks", feature = "system-stats"))]
pub(crate) mod limits;
#[cfg(feature = "system-stats")]
pub(crate) mod mounts;
pub(crate) mod pod;
pub mod space;
pub(crate) mod tasks;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use self::{clock::ClockState, space::Space};

/// The node, and where its files are.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its /proc.
    pub proc: PathBuf,
    /// Its /sys.
    pub sys: PathBuf,
    /// Its /etc.
    pub etc: PathBuf,
    /// Its /: mount points are looked up below it.
    pub root: PathBuf,
    /// How full the file system at a mount point is.
    pub space: fn(&Path) -> io::Result<Space>,
    /// The state of its clock in the kernel.
    pub clock: fn() -> io::Result<ClockState>,
}

// === impl Node ===

impl Default for Node {
    /// The node that the agent runs on, seen through its own /proc and /sys.
    fn default() -> Self {
        Self::new(|_| None)
    }
}

impl Node {
    /// The node as node-problem-detector finds it: in `$HOST_PROC`, `$HOST_SYS`, `$HOST_ETC` and `$HOST_ROOT`, if they
    /// are set.
    #[must_use]
    pub fn new(env: impl Fn(&str) -> Option<OsString>) -> Self {
        let folder = |name, default: PathBuf| env(name).filter(|path| !path.is_empty()).map_or(default, PathBuf::from);
        let root = folder("HOST_ROOT", "/".into());
        Self {
            proc: folder("HOST_PROC", "/proc".into()),
            sys: folder("HOST_SYS", "/sys".into()),
            etc: folder("HOST_ETC", root.join("etc")),
            root,
            space: space::read,
            clock: clock::read,
        }
    }

    /// The node that the environment of this process describes.
    #[must_use]
    pub fn from_env() -> Self {
        Self::new(|name| std::env::var_os(name))
    }

    /// The same node with another /proc, such as the `procPath` of a config file, if there is one.
    #[must_use]
    pub fn with_proc(self, proc: Option<&Path>) -> Self {
        Self { proc: proc.map_or(self.proc, Path::to_owned), ..self }
    }

    /// The id of this boot. Every /proc of the running kernel has it, so one that `$HOST_PROC` does not show is no obstacle.
    pub fn boot_id(&self) -> io::Result<String> {
        const BOOT_ID: &str = "sys/kernel/random/boot_id";
        let id = std::fs::read_to_string(self.proc.join(BOOT_ID));
        Ok(id.or_else(|_| std::fs::read_to_string(Path::new("/proc").join(BOOT_ID)))?.trim().to_owned())
    }

    /// A kernel setting that is a number, by its path such as `kernel/hung_task_timeout_secs`.
    #[must_use]
    pub fn sysctl(&self, name: &str) -> Option<i64> {
        std::fs::read_to_string(self.proc.join("sys").join(name)).ok()?.trim().parse().ok()
    }

    /// The name of a block device, such as `sda1`.
    #[must_use]
    pub fn block_device(&self, major: u32, minor: u32) -> Option<String> {
        let link = std::fs::read_link(self.sys.join(format!("dev/block/{major}:{minor}"))).ok()?;
        Some(link.file_name()?.to_string_lossy().into_owned())
    }

    /// A mount point as a path that can be asked.
    #[cfg(any(test, feature = "system-stats"))]
    pub(crate) fn below_root(&self, mount_point: &str) -> PathBuf {
        self.root.join(mount_point.trim_start_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_locates_the_node_and_the_config_takes_precedence() {
        let env = |name: &str| match name {
            "HOST_PROC" => Some("/host/proc".into()),
            "HOST_ROOT" => Some("/host/root".into()),
            "HOST_SYS" => Some("".into()),
            _ => None,
        };
        let node = Node::new(env);
        assert_eq!(node.proc, Path::new("/host/proc"));
        assert_eq!(node.sys, Path::new("/sys"));
        assert_eq!(node.etc, Path::new("/host/root/etc"));
        assert_eq!(node.below_root("/var/lib"), Path::new("/host/root/var/lib"));
        assert_eq!(Node::new(env).with_proc(Some(Path::new("/p"))).proc, Path::new("/p"));
    }
}
