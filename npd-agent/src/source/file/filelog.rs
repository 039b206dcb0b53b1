//! A log file as a source, for one monitor.
//!
//! A line is parsed only if a rule may match it. For all others a look at the raw bytes is enough, since the text that
//! a rule requires in a message is also in the line that contains the message.

use std::{ops::ControlFlow, path::PathBuf, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use prometheus::IntCounter;

use super::line_format::{LineError, LineFormat};
use crate::{
    log_once::LogOnce,
    metric::own::AgentMetrics,
    problem::Fields,
    record::{Place, Position, PositionKind, Record},
    source::{
        Health, LogSource, SourceError, Stop,
        file::tail::{FileState, FileTail, Line},
        subscriber::Subscriber,
    },
    time::{Monotonic, Now, Timestamp},
};

/// Minimum interval between warnings about lines that cannot be read.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);
/// Number of lines after which the stop signal is checked.
const PATIENCE: u32 = 4096;
/// How many bytes of the newest line are kept to find its time.
const NEWEST_MAX: usize = 4096;

/// What to read.
#[derive(Clone, Debug)]
pub(crate) struct FilelogOptions {
    /// The name of the source.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The format of its lines.
    pub format: Arc<LineFormat>,
}

/// A log file.
pub(crate) struct Filelog<S> {
    reader: Reader<S>,
    lost: IntCounter,
    tail: Option<FileTail>,
}

/// Turns lines into records.
struct Reader<S> {
    options: FilelogOptions,
    subscriber: S,
    zone: TimeZone,
    unreadable: IntCounter,
    next_warning: Monotonic,
    /// Skip what is already in the file: it is from before the start. Only for files whose lines have no time.
    skip: bool,
    newest: Vec<u8>,
}

// === impl Filelog ===

impl<S: Subscriber> Filelog<S> {
    /// The file, read for `subscriber`.
    #[must_use]
    pub(crate) fn new(options: FilelogOptions, subscriber: S, metrics: &AgentMetrics) -> Self {
        let lost = metrics.lost(&options.name);
        let reader = Reader {
            subscriber,
            zone: TimeZone::system(),
            unreadable: metrics.unreadable(&options.name),
            next_warning: Monotonic::default(),
            skip: false,
            newest: Vec::new(),
            options,
        };
        Self { reader, lost, tail: None }
    }
}

impl<S: Subscriber> LogSource for Filelog<S> {
    fn open(&mut self) -> Result<(), SourceError> {
        let from = match self.reader.subscriber.position(PositionKind::File) {
            Some(Position::File(position)) => Some(position),
            _ => None,
        };
        self.reader.skip = from.is_none() && self.reader.options.format.timestamp.is_none();
        let mut tail = FileTail::new(&self.reader.options.path, from).map_err(SourceError::new)?;
        // The current file is the first one, whatever happens to it next. If it cannot be read, the error is logged by
        // the retry.
        let first = tail.read(&mut |line| {
            self.reader.line(line);
            ControlFlow::Break(())
        });
        self.lost.inc_by(first.map_or(0, |outcome| u64::from(outcome.lost)));
        self.tail = Some(tail);
        Ok(())
    }

    fn run(&mut self, stop: &Stop, health: &Health) -> Result<(), SourceError> {
        let Self { reader, lost, tail } = self;
        let Some(tail) = tail else { return Ok(()) };
        let mut trouble = LogOnce::default();
        let mut missing = false;
        loop {
            let stopped = stop.is_given();
            let mut lines = 0_u32;
            let outcome = tail.read(&mut |line| {
                reader.line(line);
                lines = lines.wrapping_add(1);
                if lines.is_multiple_of(PATIENCE) && !stopped && stop.is_given() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            let now = Now::read();
            reader.passed(tail, now.wall);
            let more = match outcome {
                Ok(outcome) => {
                    trouble.clear();
                    lost.inc_by(u64::from(outcome.lost));
                    if outcome.rotations > 0 || outcome.truncations > 0 {
                        let path = reader.options.path.display();
                        tracing::debug!(%path, outcome.rotations, outcome.truncations, "log file rotated");
                    }
                    outcome.more
                }
                Err(error) => {
                    trouble.error(&error, |_| {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(source = reader.options.name, error, "cannot read log file");
                    });
                    false
                }
            };
            if !more {
                reader.skip = false;
            }
            reader.subscriber.rest(now.mono);
            let state = tail.state();
            match state {
                FileState::Following => health.set_up(),
                _ => health.set_down("the file does not exist or cannot be read"),
            }
            if (state == FileState::Missing) != missing {
                missing = state == FileState::Missing;
                let path = reader.options.path.display();
                if missing {
                    tracing::warn!(source = reader.options.name, %path, "log file does not exist: waiting for it");
                } else {
                    tracing::info!(source = reader.options.name, %path, "log file found");
                }
            }
            if stopped {
                return Ok(());
            }
            if more {
                health.begin_step();
            } else {
                health.end_step();
                stop.wait(Some(std::os::fd::AsFd::as_fd(tail)), tail.timeout()).map_err(SourceError::new)?;
                health.begin_step();
            }
        }
    }
}

// === impl Reader ===

impl<S: Subscriber> Reader<S> {
    fn line(&mut self, line: &Line<'_>) {
        if self.skip {
            return;
        }
        self.newest.clear();
        self.newest.extend_from_slice(line.text.get(..NEWEST_MAX).unwrap_or(line.text));
        if !self.subscriber.may_concern(line.text) || self.options.format.skips(line.text) {
            return;
        }
        let now = Now::read();
        match self.read(line.text, now.wall) {
            Ok((at, message)) => {
                let record = Record {
                    text: &message,
                    at,
                    priority: None,
                    fields: &Fields::default(),
                    known: false,
                    place: Place::File(&line.position()),
                };
                self.subscriber.record(&record);
            }
            Err(error) => {
                self.unreadable.inc();
                if self.next_warning <= now.mono {
                    self.next_warning = now.mono.after(WARNING_INTERVAL);
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(source = self.options.name, error, "cannot read line of log file");
                }
            }
        }
    }

    fn read<'l>(&self, line: &'l [u8], now: Timestamp) -> Result<(Timestamp, std::borrow::Cow<'l, [u8]>), LineError> {
        Ok((self.options.format.timestamp(line, &self.zone, now)?, self.options.format.message(line)?))
    }

    /// Everything up to the position of the tail has been processed.
    fn passed(&mut self, tail: &FileTail, now: Timestamp) {
        let at = if self.newest.is_empty() {
            None
        } else {
            self.options.format.timestamp(&self.newest, &self.zone, now).ok()
        };
        self.newest.clear();
        self.subscriber.passed(&Position::File(tail.position()), at.map(|at| at.min(now)));
    }
}
