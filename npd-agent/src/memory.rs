//! The agent's own memory.

/// Gives back to the system what only the start needed: parsing configs and loading the probes leaves half of the
/// heap free but resident, and an agent that runs for months on every node should not keep it.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        #[allow(unsafe_code, reason = "glibc has no safe interface")]
        // SAFETY: malloc_trim takes the allocator's own locks, may be called at any time, and touches free memory only.
        let _released = unsafe { libc::malloc_trim(0) };
    }
}
