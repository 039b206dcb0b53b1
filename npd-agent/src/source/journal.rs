//! systemd's journal: its entries from a given start, as they are written.
//!
//! The files are read directly, without libsystemd, which cannot be linked into a static binary. They are only read:
//! this needs no request to journald and no service of systemd, and journald does not notice.
//!
//! Every entry that passes the filter is delivered once and in order, across rotation, vacuuming, the move from /run to
//! /var, and a restart that resumes after the last cursor. Damaged files are skipped with one warning each.
//!
//! This is not a query engine: there is one filter, forwards only. It rests on systemd's JOURNAL_FILE_FORMAT, which
//! is stable since systemd 187, and on the order in which journald writes (see file.rs). journald
//! announces changes with a timer of 250 ms, which systemd may delay by as much again: a live entry wakes the reader
//! after 0.25 to 0.5 s (0.3 to 0.44 s measured), though a caller of [`JournalTail::read`] that does not wait for the
//! wake-up gets it within a millisecond or two.

use std::{borrow::Cow, path::PathBuf};

pub use self::{
    filter::{Filter, JournalFilter},
    tail::{JournalError, JournalTail},
};
pub use crate::record::cursor::{Cursor, CursorError};
use crate::{source::kernel::kmsg, time::Timestamp};

mod filter;
pub mod journald;
#[cfg(feature = "journald")]
mod tail;
#[cfg(not(feature = "journald"))]
#[path = "journal/absent.rs"]
mod tail;

/// Where to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// After the entry with this cursor; if it is gone, at the first newer one.
    Cursor(String),
    /// At the first entry of this time.
    Since(Timestamp),
}

/// One entry that passed the filter.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// MESSAGE as it was written: any bytes, several lines perhaps, up to 2 MiB. Empty if there is none.
    pub message: &'a [u8],
    /// When journald took it (`__REALTIME_TIMESTAMP`).
    pub at: Timestamp,
    /// PRIORITY: 0 (emergency) to 7 (debug).
    pub priority: Option<u8>,
    /// SYSLOG_FACILITY.
    pub facility: Option<u8>,
    /// SYSLOG_IDENTIFIER.
    pub identifier: Option<&'a str>,
    /// _SYSTEMD_UNIT; for messages of systemd itself about a unit, that unit.
    pub unit: Option<&'a str>,
    /// _TRANSPORT.
    pub transport: Option<&'a str>,
    /// _PID.
    pub pid: Option<u32>,
    /// Which entry it is; its Display is what [`Start::Cursor`] takes.
    pub cursor: Cursor,
}

/// What one [`JournalTail::read`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOutcome {
    /// How many entries were delivered.
    pub entries: usize,
    /// There may be more: read again without waiting for the file descriptor.
    pub more: bool,
}

/// What is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalState {
    /// The folders that exist.
    pub following: Vec<PathBuf>,
    /// The folders that do not exist yet.
    pub waiting_for: Vec<PathBuf>,
    /// How many journal files are open.
    pub files: usize,
}

// === impl Entry ===

impl Entry<'_> {
    /// The message as rules see it. A kernel message becomes one line, as when it is read without the journal.
    #[must_use]
    pub fn text(&self) -> Cow<'_, [u8]> {
        if self.transport == Some("kernel") {
            kmsg::one_line(self.message)
        } else {
            Cow::Borrowed(self.message.trim_ascii())
        }
    }
}
