//! The agent's own memory.

use std::{path::Path, time::Duration};

use procfs::process::{MMPermissions, MMapPath, Process};

/// The last of the start, such as the first exchange with an API server, is over by then.
const STARTED: Duration = Duration::from_secs(5);

/// Gives back what only the start needed, once it is over.
pub async fn give_back_after_start() {
    tokio::time::sleep(STARTED).await;
    give_back();
}

/// Gives back to the system what only the start needed: an agent that runs for months on every node should not keep it.
///
/// Parsing configs and loading the probes leaves half of the heap free but resident, and half of the program's text
/// mapped that is never run again.
fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        #[allow(unsafe_code, reason = "glibc has no safe interface")]
        // SAFETY: malloc_trim takes the allocator's own locks, may be called at any time, and touches free memory only.
        let _released = unsafe { libc::malloc_trim(0) };
    }
    // What this does not find stays resident, that is all.
    let Ok(maps) = Process::myself().and_then(|process| process.maps()) else { return };
    let Ok(program) = std::env::current_exe() else { return };
    for map in maps {
        if map.perms == MMPermissions::READ | MMPermissions::EXECUTE | MMPermissions::PRIVATE
            && matches!(&map.pathname, MMapPath::Path(path) if Path::new(path) == program)
        {
            forget_text(map.address);
        }
    }
}

/// Unmaps the pages of a part of the program's text for now; the next one that is run comes back from the page cache.
fn forget_text((start, end): (u64, u64)) {
    let start = std::ptr::with_exposed_provenance_mut(start as usize);
    let length = (end as usize).saturating_sub(start as usize);
    #[allow(unsafe_code, reason = "memory is advised by its address")]
    // SAFETY: the range is a private mapping of this program's file that cannot be written to, so that its pages are
    // those of the file and nothing is lost with them.
    let _best_effort = unsafe { rustix::mm::madvise(start, length, rustix::mm::Advice::LinuxDontNeed) };
}
