//! The configuration of system stats monitors in a build without them: no file makes one.

#[path = "raw.rs"]
#[expect(dead_code, unreachable_pub, reason = "only the table of keys is used: to tell such a file from others")]
mod raw;

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
};

pub use self::raw::SYSTEM_STATS;

use super::{
    json::Document,
    report::{ConfigError, Findings},
};

/// Never made.
#[derive(Clone, Debug)]
pub struct SystemStatsConfig {
    /// As it would be with them.
    pub path: PathBuf,
    /// As it would be with them.
    pub digest: u64,
    /// What nobody has.
    pub never: Infallible,
}

/// Nothing: the file has been refused before.
pub(super) fn read(_path: &Path, _document: &Document<'_>, _findings: &mut Findings) -> Option<SystemStatsConfig> {
    None
}

/// Never called with anything.
pub(crate) fn conflicts<'a>(
    config: &'a SystemStatsConfig,
    _others: impl IntoIterator<Item = &'a SystemStatsConfig>,
) -> Vec<ConfigError> {
    match config.never {}
}
