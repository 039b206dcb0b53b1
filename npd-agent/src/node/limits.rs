//! How much is used of the resources that the kernel limits for the whole node, as the kernel reports it: for the
//! metric and for the check.

/// How much of a table is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Entries in use.
    pub used: u64,
    /// Maximum number of entries; 0 if there is no limit.
    pub limit: u64,
}

/// The threads of all namespaces, from /proc/loadavg: in `0.20 0.18 0.12 1/80 11206` one of 80 is running.
#[must_use]
pub(crate) fn threads(loadavg: &str) -> Option<u64> {
    loadavg.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

/// The open files of the node, from /proc/sys/fs/file-nr: `1184 0 9223372036854775807` are allocated, free (0 since
/// 2.6) and maximum.
#[must_use]
pub(crate) fn open_files(file_nr: &str) -> Option<Usage> {
    let numbers: Vec<u64> = file_nr.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    let [allocated, free, limit] = numbers[..] else { return None };
    Some(Usage { used: allocated.saturating_sub(free), limit })
}
