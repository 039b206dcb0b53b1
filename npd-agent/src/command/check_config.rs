//! `npd-agent check-config`: all errors in config files, and everything in them that is probably a mistake.

use std::{path::PathBuf, process::ExitCode};

use super::terminal;
use crate::config::{self, ConfigErrors, ConfigFile};

/// Checks the files. Fails if any of them has an error.
#[must_use]
pub fn check_config(files: &[PathBuf]) -> ExitCode {
    let file = |path: &PathBuf| ConfigFile { path: path.clone(), monitor: config::guess(path) };
    let (errors, warnings) = match config::load_files(&files.iter().map(file).collect::<Vec<_>>()) {
        Ok(loaded) => (Vec::new(), loaded.warnings),
        Err(ConfigErrors { errors, warnings }) => (errors, warnings),
    };
    let warned = warnings.iter().map(|warning| format!("warning: {warning}"));
    let failed = errors.iter().map(|error| format!("error: {error}"));
    let sum = format!("{} files, {} errors, {} warnings", files.len(), errors.len(), warnings.len());
    let printed = terminal::print(&(warned.chain(failed).chain([sum]).collect::<Vec<_>>().join("\n") + "\n"));
    if errors.is_empty() { printed } else { ExitCode::from(1) }
}
