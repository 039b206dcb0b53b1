//! Where the kernel publishes its tracepoints.
//!
//! tracefs is mounted on every node that systemd runs. Where it is not, and the agent may mount, it mounts it for
//! the thread that loads the probes alone: in a mount namespace of its own, so that the node does not change.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    thread::UnshareFlags,
};

/// Not below `$HOST_SYS`: attaching goes through these very paths, and tracefs is a mount of its own that a bind of the
/// node's /sys need not contain.
const FOLDERS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Why no tracepoint can be looked up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TracefsError {
    /// It is mounted but not readable: that needs uid 0 or CAP_DAC_READ_SEARCH.
    #[error("{} cannot be read", path.display())]
    Forbidden {
        /// Where it is mounted.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is not mounted, and the agent may not mount it.
    #[error("tracefs is not mounted at /sys/kernel/tracing, and cannot be mounted")]
    Missing {
        /// Why it cannot be mounted.
        source: io::Error,
    },
}

/// Finds tracefs, or mounts it for the calling thread.
pub(crate) fn find_or_mount() -> Result<PathBuf, TracefsError> {
    for folder in FOLDERS {
        let path = PathBuf::from(folder);
        match std::fs::read_dir(path.join("events")) {
            Ok(_) => return Ok(path),
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                return Err(TracefsError::Forbidden { path, source });
            }
            Err(_) => {}
        }
    }
    let path = PathBuf::from(FOLDERS[0]);
    mount_for_this_thread(&path).map_err(|source| TracefsError::Missing { source })?;
    Ok(path)
}

fn mount_for_this_thread(path: &Path) -> io::Result<()> {
    #[allow(unsafe_code, reason = "leaving the shared file system context cannot be expressed safely")]
    // SAFETY: this thread stops sharing its working directory, root and mounts with the others; nothing here or in
    // the libraries it calls relies on sharing them. File descriptors stay shared.
    unsafe {
        rustix::thread::unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS)?;
    }
    // Mounts of the node still propagate to here, but none propagates back.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    mount("tracefs", path, "tracefs", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)?;
    Ok(())
}
