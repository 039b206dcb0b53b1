//! The journal as a source, for one monitor.

use std::{ops::ControlFlow, os::fd::AsFd as _, path::PathBuf};

use crate::{
    problem::Fields,
    record::{Place, Position, PositionKind, Priority, Record},
    source::{
        Health, LogSource, SourceError, Stop,
        journal::{Entry, JournalFilter, JournalTail, Start},
        subscriber::Subscriber,
    },
    time::Now,
};

/// Number of entries after which the stop signal is checked.
const PATIENCE: u32 = 1024;

/// What to read.
#[derive(Clone, Debug)]
pub struct JournaldOptions {
    /// The name of the source.
    pub name: String,
    /// The journal's folder; `None` for the system's.
    pub folder: Option<PathBuf>,
    /// Which entries to read.
    pub filter: JournalFilter,
}

/// The journal.
pub struct Journald<S> {
    options: JournaldOptions,
    subscriber: S,
    tail: Option<JournalTail>,
}

// === impl Journald ===

impl<S: Subscriber> Journald<S> {
    /// The journal, read for `subscriber`.
    #[must_use]
    pub fn new(options: JournaldOptions, subscriber: S) -> Self {
        Self { options, subscriber, tail: None }
    }

    /// Reads everything that is in the open journal. Returns `false` if there is no journal at all.
    pub fn read(&mut self) -> bool {
        let Self { subscriber, tail: Some(tail), .. } = self else { return false };
        let mut taken = |entry: &Entry<'_>| {
            take(subscriber, entry);
            ControlFlow::Continue(())
        };
        while tail.read(&mut taken).more {}
        tail.state().files > 0
    }
}

impl<S: Subscriber> LogSource for Journald<S> {
    fn open(&mut self) -> Result<(), SourceError> {
        let start = match self.subscriber.position(PositionKind::Journal) {
            Some(Position::Journal(cursor)) => Start::Cursor(cursor.to_string()),
            _ => Start::Since(self.subscriber.start()),
        };
        let folder = self.options.folder.clone();
        self.tail = Some(JournalTail::open(folder, &self.options.filter, start).map_err(SourceError::new)?);
        Ok(())
    }

    fn run(&mut self, stop: &Stop, health: &Health) -> Result<(), SourceError> {
        let Self { options, subscriber, tail } = self;
        let Some(tail) = tail else { return Ok(()) };
        let mut waiting = false;
        loop {
            let stopped = stop.is_given();
            let mut entries = 0_u32;
            let outcome = tail.read(&mut |entry| {
                take(subscriber, entry);
                entries = entries.wrapping_add(1);
                if entries.is_multiple_of(PATIENCE) && !stopped && stop.is_given() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            subscriber.rest(Now::read().mono);
            let state = tail.state();
            if state.files > 0 {
                health.set_up();
            } else {
                health.set_down("there is no journal");
            }
            if (state.files == 0) != waiting {
                waiting = state.files == 0;
                if waiting {
                    let folders = format!("{:?}", state.waiting_for);
                    tracing::warn!(source = options.name, folders, "no journal found: waiting for one");
                } else {
                    let folders = format!("{:?}", state.following);
                    tracing::info!(source = options.name, folders, "following the journal");
                }
            }
            if stopped {
                return Ok(());
            }
            if outcome.more {
                health.begin_step();
            } else {
                health.end_step();
                stop.wait(Some(tail.as_fd()), tail.timeout()).map_err(SourceError::new)?;
                health.begin_step();
            }
        }
    }
}

/// Passes an entry on as a record: its message without surrounding white space, as in node-problem-detector.
fn take(subscriber: &mut impl Subscriber, entry: &Entry<'_>) {
    let mut fields = Fields::default();
    for (name, value) in [("identifier", entry.identifier), ("unit", entry.unit), ("transport", entry.transport)] {
        if let Some(value) = value {
            fields.add(name, value);
        }
    }
    if let Some(pid) = entry.pid {
        fields.add("pid", pid.to_string());
    }
    let level = entry.priority;
    let record = Record {
        text: &entry.text(),
        at: entry.at,
        priority: level.map(|level| Priority::new(entry.facility.unwrap_or(1), level)),
        fields: &fields,
        known: false,
        place: Place::Journal(&entry.cursor),
    };
    subscriber.record(&record);
}
