//! The configuration of system stats monitors in a build without them: no file makes one.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
};

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
