//! The agent's own memory.

use std::{path::Path, time::Duration};

use procfs::process::{MMPermissions, MMapPath, Process};

/// When everything that belongs to start-up, such as the first request to the API server, is over.
const STARTED: Duration = Duration::from_secs(5);

/// Releases the memory that only start-up needed, once that is over.
pub async fn release_after_start() {
    tokio::time::sleep(STARTED).await;
    release();
}

/// Releases the memory that only start-up needed: an agent that runs for months on every node should not keep it.
///
/// After configs are parsed and the probes loaded, half of the heap is free but resident, and half of the program's mapped text
/// never runs again.
fn release() {
    #[cfg(target_env = "gnu")]
    {
        #[allow(unsafe_code, reason = "glibc has no safe interface")]
        // SAFETY: malloc_trim takes the allocator's own locks, may be called at any time, and touches free memory only.
        let _released = unsafe { libc::malloc_trim(0) };
    }
    // What is not found here merely stays resident.
    let Ok(maps) = Process::myself().and_then(|process| process.maps()) else { return };
    let Ok(program) = std::env::current_exe() else { return };
    for map in maps {
        if map.perms == MMPermissions::READ | MMPermissions::EXECUTE | MMPermissions::PRIVATE
            && matches!(&map.pathname, MMapPath::Path(path) if Path::new(path) == program)
        {
            unmap_text(map.address);
        }
    }
}

/// Unmaps part of the program's text; a page that runs again comes back from the page cache.
fn unmap_text((start, end): (u64, u64)) {
    let start = std::ptr::with_exposed_provenance_mut(start as usize);
    let length = (end as usize).saturating_sub(start as usize);
    #[allow(unsafe_code, reason = "memory is advised by its address")]
    // SAFETY: the range is a private read-only mapping of this program's file, so its pages are those of the file and nothing is
    // lost with them.
    let _best_effort = unsafe { rustix::mm::madvise(start, length, rustix::mm::Advice::LinuxDontNeed) };
}
