//! What a test needs of the machine. Each of these is silent when it is there, and otherwise gives a
//! [`skip`](super::skip) that says what is missing.

use std::{env, ffi::CString, fs, os::unix::ffi::OsStrExt, path::Path};

use anyhow::{Context, Result};
use rustix::fs::{Access, AtFlags, CWD};

use super::skip;
use crate::{driver::process, host::fault::memory_cgroup};

/// Capability numbers of `linux/capability.h`.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Root with the capability to mount, as a VM or a privileged container has it.
pub fn root() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(skip("needs root"));
    }
    if !has_capability(CAP_SYS_ADMIN)? {
        return Err(skip("needs CAP_SYS_ADMIN"));
    }
    file("/dev/kmsg")
}

/// Root on a kernel whose probes the agent can use.
pub fn probes() -> Result<()> {
    root()?;
    for (name, number) in [("CAP_BPF", CAP_BPF), ("CAP_PERFMON", CAP_PERFMON)] {
        if !has_capability(number)? {
            return Err(skip(format!("needs {name}")));
        }
    }
    file("/sys/kernel/tracing")
}

/// Loop devices, and the programs to put an ext4 on them.
pub fn ext4() -> Result<()> {
    file_system("ext4")
}

/// Loop devices, and the programs to put an XFS on them.
pub fn xfs() -> Result<()> {
    file_system("xfs")
}

fn file_system(kind: &str) -> Result<()> {
    root()?;
    loop_devices()?;
    tool(&format!("mkfs.{kind}"))?;
    if !fs::read_to_string("/proc/filesystems").context("cannot read /proc/filesystems")?.contains(kind) {
        return Err(skip(format!("needs {kind} in the kernel")));
    }
    Ok(())
}

/// Loop devices.
pub fn loop_devices() -> Result<()> {
    root()?;
    tool("losetup")?;
    file("/dev/loop-control")
}

/// The kernel's detector of hung tasks.
pub fn hung_task_detector() -> Result<()> {
    ext4()?;
    file("/proc/sys/kernel/hung_task_timeout_secs")
}

/// A memory cgroup that the test may make.
pub fn memory_cgroup() -> Result<()> {
    root()?;
    if memory_cgroup::parent().is_none() {
        return Err(skip("needs a memory cgroup controller, v1 or v2"));
    }
    Ok(())
}

/// A program on the search path.
pub fn tool(name: &str) -> Result<()> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(Into::into));
    if folders.any(|folder| is_executable(&folder.join(name))) { Ok(()) } else { Err(skip(format!("needs {name}"))) }
}

fn is_executable(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::empty()).is_ok()
}

/// A file or folder.
pub fn file(path: &str) -> Result<()> {
    if Path::new(path).exists() { Ok(()) } else { Err(skip(format!("needs {path}"))) }
}

fn has_capability(number: u32) -> Result<bool> {
    Ok(process::capabilities("self", "CapEff")? & (1 << number) != 0)
}
