//! Configuration files: read, checked as a whole, and only then used.
//!
//! The files are node-problem-detector's and are read as its decoder reads them ([`json`], [`decode`]). Where it would
//! stop at the first error, crash, or accept what can never work, this reports: all errors of all files in one run,
//! each with file, line, column and JSON pointer, and warnings for what it silently ignores. A checked configuration
//! holds compiled patterns and typed durations and cannot be wrong any more. Nothing here starts anything.

mod decode;
pub mod duration;
pub mod json;
mod report;
mod rfc3339;
pub mod system_log;

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use self::duration::{DurationError, GoDuration, parse_duration};
pub use self::report::{ConfigError, ConfigErrors, Declared, Notice, Place, Problem, Warning};
pub use self::system_log::{ConditionDefinition, Effect, LogInput, Rule, SystemLogConfig};

use crate::fnv;

/// The most bytes a file may have.
pub const MAX_FILE_SIZE: u64 = 16 << 20;

/// All configuration there is, checked.
#[derive(Debug, Default)]
pub struct Loaded {
    /// One for each file of `--config.system-log-monitor`, in their order.
    pub system_logs: Vec<SystemLogConfig>,
    /// What is odd about the files.
    pub warnings: Vec<Warning>,
}

/// Loads the files of system log monitors. A path that is given twice is loaded once.
///
/// # Errors
///
/// Everything that is wrong with any of the files; see [`Problem`].
pub fn load(paths: &[PathBuf]) -> Result<Loaded, ConfigErrors> {
    let mut loaded = Loaded::default();
    let mut errors = Vec::new();
    for (i, path) in paths.iter().enumerate() {
        if paths[..i].contains(path) {
            loaded.warnings.push(Warning { file: path.clone(), place: None, notice: Notice::FileTwice });
            continue;
        }
        match load_system_log(path, &mut loaded.warnings) {
            Ok(config) => loaded.system_logs.push(config),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() { Ok(loaded) } else { Err(ConfigErrors { errors, warnings: loaded.warnings }) }
}

/// Loads one file that was read already, for a change of it while the agent runs.
///
/// # Errors
///
/// As [`load`].
pub fn load_text(path: &Path, text: &[u8]) -> Result<Loaded, ConfigErrors> {
    let mut warnings = Vec::new();
    match read_system_log(path, text, &mut warnings) {
        Ok(config) => Ok(Loaded { system_logs: vec![config], warnings }),
        Err(errors) => Err(ConfigErrors { errors, warnings }),
    }
}

/// Reads the content of a file as [`load`] would.
pub fn read_text(path: &Path) -> Result<Vec<u8>, ConfigErrors> {
    let failed = |problem| ConfigError { file: path.to_owned(), place: None, problem };
    read_file(path).map_err(|problem| ConfigErrors { errors: vec![failed(problem)], warnings: Vec::new() })
}

fn load_system_log(path: &Path, warnings: &mut Vec<Warning>) -> Result<SystemLogConfig, Vec<ConfigError>> {
    let text = read_text(path).map_err(|found| found.errors)?;
    read_system_log(path, &text, warnings)
}

/// Two texts with the same digest are the same, for all that the content of config files can be.
#[must_use]
pub fn digest(text: &[u8]) -> u64 {
    fnv::extend(fnv::EMPTY, text)
}

fn read_system_log(path: &Path, text: &[u8], warnings: &mut Vec<Warning>) -> Result<SystemLogConfig, Vec<ConfigError>> {
    let document = json::parse(text).map_err(|error| {
        let place = Some(Place { position: error.position, pointer: String::new() });
        vec![ConfigError { file: path.to_owned(), place, problem: Problem::Syntax(error.what) }]
    })?;
    let mut findings = report::Findings::default();
    let config = system_log::read(path, &document, &mut findings)
        .map(|config| SystemLogConfig { digest: digest(text), ..config });
    let (errors, found) = findings.finish(path);
    warnings.extend(found);
    config.ok_or(errors)
}

/// Reads a regular file of bounded size. Opening some devices has effects, opening a FIFO waits for a writer, and
/// `/dev/zero` has no end: none of them is opened, and a change between the look and the opening does no harm.
fn read_file(path: &Path) -> Result<Vec<u8>, Problem> {
    check_regular(std::fs::metadata(path).map_err(Problem::Unreadable)?.file_type())?;
    let file = open(path).map_err(Problem::Unreadable)?;
    check_regular(file.metadata().map_err(Problem::Unreadable)?.file_type())?;
    let mut text = Vec::new();
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut text).map_err(Problem::Unreadable)?;
    if text.len() as u64 > MAX_FILE_SIZE { Err(Problem::TooLarge(MAX_FILE_SIZE)) } else { Ok(text) }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn check_regular(kind: FileType) -> Result<(), Problem> {
    match kind {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(Problem::NotAFile("a directory")),
        kind if kind.is_fifo() => Err(Problem::NotAFile("a FIFO")),
        kind if kind.is_socket() => Err(Problem::NotAFile("a socket")),
        _ => Err(Problem::NotAFile("a device")),
    }
}

#[cfg(test)]
mod tests;
