//! Configuration files: read, checked as a whole, and only then used.
//!
//! The files are node-problem-detector's and are read as its decoder reads them ([`json`], [`decode`]). Where it would
//! stop at the first error, crash, or accept what can never work, this reports: all errors of all files in one run,
//! each with file, line, column and JSON pointer, and warnings for what it silently ignores. A checked configuration
//! holds compiled patterns and typed durations and cannot be wrong any more. Nothing here starts anything.

#[cfg(feature = "custom-plugin")]
pub mod custom_plugin;
#[cfg(not(feature = "custom-plugin"))]
#[path = "config/custom_plugin/absent.rs"]
pub mod custom_plugin;
mod decode;
pub mod key;
mod monitor_kind;
pub mod reload;
mod report;
pub mod system_log;
#[cfg(feature = "system-stats")]
pub mod system_stats;
#[cfg(not(feature = "system-stats"))]
#[path = "config/system_stats/absent.rs"]
pub mod system_stats;

use std::{
    fs::{File, FileType, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

pub use self::{
    custom_plugin::CustomPluginConfig,
    monitor_kind::{MonitorKind, guess},
    report::{ConfigError, ConfigErrors, KnownNames, Location, Notice, Problem, Warning},
    system_log::{ConditionDefinition, Effect, LogInput, Rule, SystemLogConfig},
    system_stats::SystemStatsConfig,
};

pub(crate) use self::system_stats::conflicts;

use crate::{fingerprint, go::json};

/// Maximum size of a file in bytes.
pub const MAX_FILE_SIZE: u64 = 16 << 20;

/// A config file and the monitor that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// The file, as named on the command line.
    pub path: PathBuf,
    /// The monitor.
    pub monitor: MonitorKind,
}

/// The whole configuration, checked.
#[derive(Debug, Default)]
pub struct Loaded {
    /// One for each file of `--config.system-log-monitor`, in their order.
    pub system_logs: Vec<SystemLogConfig>,
    /// One for each file of `--config.custom-plugin-monitor`, in their order.
    pub custom_plugins: Vec<CustomPluginConfig>,
    /// One for each file of `--config.system-stats-monitor`, in their order.
    pub system_stats: Vec<SystemStatsConfig>,
    /// The warnings about the files.
    pub warnings: Vec<Warning>,
}

/// Loads the files of system log monitors. A path that is given twice is loaded once.
///
/// # Errors
///
/// All errors of all files; see [`Problem`].
pub fn load(paths: &[PathBuf]) -> Result<Loaded, ConfigErrors> {
    load_files(&paths.iter().map(ConfigFile::system_log).collect::<Vec<_>>())
}

/// Loads files of any monitors. A file that is given twice to one of them is loaded once, and a log monitor that is given as a
/// custom plugin monitor is loaded as a log monitor: node-problem-detector's own files for counting lines run a program.
///
/// # Errors
///
/// All errors of all files; see [`Problem`].
pub fn load_files(files: &[ConfigFile]) -> Result<Loaded, ConfigErrors> {
    let mut loaded = Loaded::default();
    let mut errors = Vec::new();
    for (i, file) in files.iter().enumerate() {
        if files[..i].contains(file) {
            loaded.warnings.push(Warning { file: file.path.clone(), location: None, notice: Notice::FileTwice });
            continue;
        }
        if let Err(found) = loaded.read(file, files) {
            errors.extend(found);
        }
    }
    for (i, config) in loaded.system_stats.iter().enumerate() {
        errors.extend(conflicts(config, &loaded.system_stats[..i]));
    }
    if errors.is_empty() { Ok(loaded) } else { Err(ConfigErrors { errors, warnings: loaded.warnings }) }
}

/// Loads the new text of a file that has changed while the agent runs.
///
/// # Errors
///
/// As [`load`]; the file must still be for the same monitor.
pub fn load_text(file: &ConfigFile, text: &[u8]) -> Result<Loaded, ConfigErrors> {
    let mut loaded = Loaded::default();
    let added =
        parse(&file.path, text).and_then(|document| loaded.add(&file.path, file.monitor, &document, digest(text)));
    match added {
        Ok(()) => Ok(loaded),
        Err(errors) => Err(ConfigErrors { errors, warnings: loaded.warnings }),
    }
}

/// Reads the content of a file as [`load`] would.
pub fn read_text(path: &Path) -> Result<Vec<u8>, ConfigErrors> {
    let failed = |problem| ConfigError { file: path.to_owned(), location: None, problem };
    read_file(path).map_err(|problem| ConfigErrors { errors: vec![failed(problem)], warnings: Vec::new() })
}

fn parse<'t>(path: &Path, text: &'t [u8]) -> Result<json::Document<'t>, Vec<ConfigError>> {
    json::parse(text).map_err(|error| {
        let location = Some(Location { position: error.position, pointer: String::new() });
        vec![ConfigError { file: path.to_owned(), location, problem: Problem::Syntax(error.what) }]
    })
}

/// A digest of a file's text. Texts with the same digest are taken to be the same; a collision between config files is not
/// to be expected.
#[must_use]
pub fn digest(text: &[u8]) -> u64 {
    fingerprint::extend(fingerprint::EMPTY, text)
}

// === impl ConfigFile ===

impl ConfigFile {
    /// A file for a system log monitor.
    #[must_use]
    pub fn system_log(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), monitor: MonitorKind::SystemLog }
    }

    /// A file for a custom plugin monitor.
    #[must_use]
    pub fn custom_plugin(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), monitor: MonitorKind::CustomPlugin }
    }

    /// A file for a system stats monitor.
    #[must_use]
    pub fn system_stats(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), monitor: MonitorKind::SystemStats }
    }
}

// === impl Loaded ===

impl Loaded {
    /// Reads a file and adds its configuration; `all` are the files on the command line.
    fn read(&mut self, file: &ConfigFile, all: &[ConfigFile]) -> Result<(), Vec<ConfigError>> {
        let text = read_text(&file.path).map_err(|found| found.errors)?;
        let document = parse(&file.path, &text)?;
        let monitor = file.monitor.or_log_monitor(&document);
        if monitor != file.monitor {
            let twice = all.contains(&ConfigFile { monitor, ..file.clone() });
            let notice = if twice { Notice::FileTwice } else { Notice::LogMonitor };
            self.warnings.push(Warning { file: file.path.clone(), location: None, notice });
            if twice {
                return Ok(());
            }
        }
        self.add(&file.path, monitor, &document, digest(&text))
    }

    /// Adds the configuration of a file.
    fn add(
        &mut self,
        path: &Path,
        monitor: MonitorKind,
        document: &json::Document<'_>,
        digest: u64,
    ) -> Result<(), Vec<ConfigError>> {
        let mut findings = report::Findings::default();
        if let Err((at, missing)) = monitor.require(document) {
            findings.error(at, Problem::NotBuilt(missing));
            return Err(findings.finish(path).0);
        }
        let is_good = match monitor {
            MonitorKind::SystemLog => system_log::read(path, document, &mut findings)
                .map(|config| self.system_logs.push(SystemLogConfig { digest, ..config })),
            MonitorKind::CustomPlugin => custom_plugin::read(path, document, &mut findings)
                .map(|config| self.custom_plugins.push(CustomPluginConfig { digest, ..config })),
            MonitorKind::SystemStats => system_stats::read(path, document, &mut findings)
                .map(|config| self.system_stats.push(SystemStatsConfig { digest, ..config })),
        };
        let (errors, warnings) = findings.finish(path);
        self.warnings.extend(warnings);
        is_good.ok_or(errors)
    }

    /// The files, each with the digest of its text.
    pub fn files(&self) -> impl Iterator<Item = (ConfigFile, u64)> {
        let file = |path: &Path, monitor, digest| (ConfigFile { path: path.to_owned(), monitor }, digest);
        let logs = self.system_logs.iter().map(move |config| file(&config.path, MonitorKind::SystemLog, config.digest));
        let plugins = self.custom_plugins.iter().map(move |c| file(&c.path, MonitorKind::CustomPlugin, c.digest));
        let stats = self.system_stats.iter().map(move |c| file(&c.path, MonitorKind::SystemStats, c.digest));
        logs.chain(plugins).chain(stats)
    }
}

/// Reads a regular file of bounded size. Opening some devices has effects, opening a FIFO waits for a writer, and
/// `/dev/zero` has no end: none of them is opened, and a change between the check and the opening does no harm.
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
