//! The configuration of custom plugin monitors in a build without them: no file makes one.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
};

use super::{json::Document, report::Findings};

/// Never made.
#[derive(Clone, Debug)]
pub struct CustomPluginConfig {
    /// As it would be with them.
    pub path: PathBuf,
    /// As it would be with them.
    pub digest: u64,
    /// What nobody has.
    pub never: Infallible,
}

/// Nothing: the file has been refused before.
pub(super) fn read(_path: &Path, _document: &Document<'_>, _findings: &mut Findings) -> Option<CustomPluginConfig> {
    None
}
