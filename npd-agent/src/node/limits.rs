//! How much is used of what the kernel bounds for the whole node, in its words: for the metric and for the check.

/// How much of a table is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Entries in use.
    pub used: u64,
    /// Entries that there can be; 0 where there is no limit.
    pub limit: u64,
}

/// The threads of all namespaces, of /proc/loadavg: `0.20 0.18 0.12 1/80 11206`, running and all.
#[must_use]
pub fn threads(loadavg: &str) -> Option<u64> {
    loadavg.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

/// The open files of the node, of /proc/sys/fs/file-nr: `1184 0 9223372036854775807`, allocated, free (0 since 2.6), the
/// most.
#[must_use]
pub fn open_files(file_nr: &str) -> Option<Usage> {
    let numbers: Vec<u64> = file_nr.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    let [allocated, free, limit] = numbers[..] else { return None };
    Some(Usage { used: allocated.saturating_sub(free), limit })
}
