//! `npd-agent replay`: which rules match a log, and what would follow?
//!
//! A log is read once from its start, by the rules of one or more config files, with the times of its records. Nothing is watched,
//! reported or stored, and what only a running node can answer (a rule's `recheck`) is not asked.

mod entry;
mod output;

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
    process::ExitCode,
};

use jiff::tz::TimeZone;

use self::{
    entry::{Entries, Entry},
    output::{Findings, Output},
};
use super::terminal::{FATAL, print_diagnostic};
use crate::{
    cli::{ReplayArgs, ReplayFormat},
    config::{self, ConfigErrors, LogInput, Warning},
    error::chain,
    monitor::system_log::SystemLog,
    problem::Fields,
    record::{Place, Record},
    source::journal::Filter,
    time::{BootTimes, Now, Timestamp},
};

/// What a replay has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Replayed {
    /// Lines of the log.
    lines: u64,
    /// Records among them.
    records: u64,
    /// Records that do not have the timestamp or message that a config expects.
    unreadable: u64,
    /// Matches of rules.
    matches: u64,
}

/// Why a log cannot be replayed.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    /// A config file has errors.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The log cannot be opened or read.
    #[error("cannot read {what}")]
    Read {
        /// The log.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The results cannot be written.
    #[error("cannot write the results")]
    Write(#[source] io::Error),
}

static NO_FIELDS: Fields = Fields::none();

/// A monitor, and what it needs to read a log.
struct Player {
    source: String,
    input: LogInput,
    /// Selects the journal entries that it reads.
    filter: Filter,
    monitor: SystemLog,
    rules: Vec<output::Rule>,
}

/// Replays a log and prints what its rules find.
#[must_use]
pub fn replay(args: &ReplayArgs) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let warn = |warning: &Warning| print_diagnostic(&format!("warning: {warning}"));
    match replay_to(args, &mut out, warn) {
        Ok(_) => ExitCode::SUCCESS,
        // The reader of the results has seen enough.
        Err(ReplayError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            print_diagnostic(&format!("error: {}", chain(&error)));
            FATAL.into()
        }
    }
}

/// Replays a log; matches go to `out` as they are found. Warnings about the configs go to `warn`.
fn replay_to(args: &ReplayArgs, out: &mut dyn Write, mut warn: impl FnMut(&Warning)) -> Result<Replayed, ReplayError> {
    let loaded = config::load(&args.configs)?;
    loaded.warnings.iter().for_each(&mut warn);
    // All records count, however old they are.
    let ever = Timestamp::from_unix_nanos(i64::MIN);
    let players = loaded.system_logs.into_iter().map(|config| {
        let rules = config.rules.iter().map(|rule| output::Rule::new(rule, &config.conditions)).collect();
        let (source, input) = (config.source.to_string(), config.input.clone());
        let filter = match &input {
            LogInput::Journal { filter, .. } => Filter::new(filter),
            LogInput::KernelLog | LogInput::File { .. } => Filter::default(),
        };
        let mut monitor = SystemLog::new(config, BootTimes { now: ever, boot: ever });
        monitor.resume();
        Player { source, input, filter, monitor, rules }
    });
    let mut players: Vec<_> = players.collect();
    let (log, what) = open(args.log.as_deref())?;
    let read_failed = |source| ReplayError::Read { what: what.clone(), source };
    // The config of a log file defines the format of its lines.
    let is_file = players.iter().any(|player| matches!(player.input, LogInput::File { .. }));
    let format = args.format.or(is_file.then_some(ReplayFormat::Plain));
    let mut entries = Entries::new(BufReader::with_capacity(256 << 10, log), format).map_err(read_failed)?;
    let zone = TimeZone::system();
    let now = Now::read().wall;
    let mut output = Output::new(out, args.json);
    let mut replayed = Replayed::default();
    while let Some(entry) = entries.next().map_err(read_failed)? {
        replayed.records += 1;
        for player in &mut players {
            let played = player.play(&entry, &zone, now, &mut output);
            replayed.unreadable += u64::from(!played.map_err(ReplayError::Write)?);
        }
    }
    replayed.lines = entries.lines();
    replayed.matches = output.matches();
    for player in &players {
        output.conditions(&player.source, &player.monitor.initial_status().conditions).map_err(ReplayError::Write)?;
    }
    output.summary(&replayed).map_err(ReplayError::Write)?;
    Ok(replayed)
}

fn open(path: Option<&Path>) -> Result<(Box<dyn Read>, String), ReplayError> {
    match path.filter(|path| *path != Path::new("-")) {
        None => Ok((Box::new(io::stdin()), "standard input".to_owned())),
        Some(path) => {
            let what = path.display().to_string();
            match File::open(path) {
                Ok(file) => Ok((Box::new(file), what)),
                Err(source) => Err(ReplayError::Read { what, source }),
            }
        }
    }
}

// === impl Player ===

impl Player {
    /// Processes an entry; `false` if it does not have the format of the config.
    fn play(
        &mut self,
        entry: &Entry<'_>,
        zone: &TimeZone,
        now: Timestamp,
        output: &mut Output<'_>,
    ) -> io::Result<bool> {
        if !self.monitor.may_concern(entry.text) {
            return Ok(true);
        }
        let (mut at, mut known_time) = (entry.at.unwrap_or_default(), entry.is_absolute);
        let mut message = std::borrow::Cow::Borrowed(entry.text);
        match &self.input {
            LogInput::File { format, .. } if entry.is_whole_line => {
                if format.skips(entry.text) {
                    return Ok(true);
                }
                let (Ok(read_at), Ok(text)) = (format.timestamp(entry.text, zone, now), format.message(entry.text))
                else {
                    return Ok(false);
                };
                if format.timestamp.is_some() {
                    (at, known_time) = (read_at, true);
                }
                message = text;
            }
            LogInput::Journal { .. } if !entry.is_whole_line && !entry.passes(&self.filter) => return Ok(true),
            _ => {}
        }
        let record = Record {
            text: message.trim_ascii(),
            at,
            priority: None,
            fields: entry.fields.unwrap_or(&NO_FIELDS),
            known: false,
            place: Place::Nowhere,
        };
        let mut findings = Findings::default();
        self.monitor.advance(at, &mut findings);
        self.monitor.record(&record, &mut findings);
        output.findings(entry.line, &self.source, &self.rules, &findings, known_time)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
