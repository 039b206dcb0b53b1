//! Entries with trusted fields, as journald would have written them.

use npd_tests::host::journald_namespace::ExportedEntry;

pub(crate) const BOOT: &str = "0a2e6e5f5a0d4a3fb12f9a33a1b4d8c1";

/// Its message is its number.
pub(crate) fn exported(number: u64, boot: &str, fields: &[(&str, &str)]) -> ExportedEntry {
    let realtime = 1_700_000_000_000_000 + number * 1000;
    let mut entry = vec![
        ("__REALTIME_TIMESTAMP".to_owned(), realtime.to_string().into_bytes()),
        ("__MONOTONIC_TIMESTAMP".to_owned(), (number * 1000).to_string().into_bytes()),
        ("_BOOT_ID".to_owned(), boot.as_bytes().to_vec()),
        ("MESSAGE".to_owned(), number.to_string().into_bytes()),
    ];
    entry.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
    entry
}
