//! `npd-agent replay`: which rules would fire on this log, and what would come of it?
//!
//! A log is read once from its start, by the rules of one or several config files, with the time that its records
//! have. Nothing is watched, reported or kept, and what only a running node can tell (a rule's `recheck`) is not asked.

mod entry;
mod output;

use std::{
    fs::File,
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;

pub use self::entry::Format;

use self::{
    entry::{Entries, Entry},
    output::{Found, Output},
};
use crate::{
    config::{self, ConfigErrors, LogInput, Warning},
    monitor::system_log::SystemLog,
    problem::Fields,
    record::{Place, Record},
    source::journal::Filter,
    time::{BootTimes, Now, Timestamp},
};

/// What to replay.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The config files.
    pub configs: Vec<PathBuf>,
    /// The log; nothing or `-` for standard input.
    pub log: Option<PathBuf>,
    /// How the log is written; nothing to tell by its first line, or as plain lines for a `filelog` config.
    pub format: Option<Format>,
    /// One JSON object a match, instead of text.
    pub json: bool,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Lines of the log.
    pub lines: u64,
    /// Records among them.
    pub records: u64,
    /// Records in which a config's time or message could not be found.
    pub unreadable: u64,
    /// Matches of rules.
    pub matches: u64,
}

/// Why a log cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A config file is wrong.
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
    /// The reader of the results has gone.
    #[error("cannot write the results")]
    Write(#[source] io::Error),
}

static NO_FIELDS: Fields = Fields::none();

/// A monitor with what it needs to read a log.
struct Player {
    source: String,
    input: LogInput,
    /// Which entries of a journal it reads.
    filter: Filter,
    monitor: SystemLog,
    rules: Vec<output::Rule>,
}

/// Replays a log; matches go to `out` as they are found. Warnings about the configs go to `warn`.
pub fn replay(
    options: &ReplayOptions,
    out: &mut dyn Write,
    mut warn: impl FnMut(&Warning),
) -> Result<Replayed, ReplayError> {
    let loaded = config::load(&options.configs)?;
    loaded.warnings.iter().for_each(&mut warn);
    // Everything counts, however old.
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
    let (log, what) = open(options.log.as_deref())?;
    let read_failed = |source| ReplayError::Read { what: what.clone(), source };
    // What a file's lines look like says its config.
    let is_file = players.iter().any(|player| matches!(player.input, LogInput::File { .. }));
    let format = options.format.or(is_file.then_some(Format::Plain));
    let mut entries = Entries::new(BufReader::with_capacity(256 << 10, log), format).map_err(read_failed)?;
    let zone = TimeZone::system();
    let now = Now::read().wall;
    let mut output = Output::new(out, options.json);
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
    /// Takes an entry; `false` when the config cannot read it.
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
        let mut found = Found::default();
        self.monitor.advance(at, &mut found);
        self.monitor.record(&record, &mut found);
        output.found(entry.line, &self.source, &self.rules, &found, known_time)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
