//! systemd's journal: its entries from a place on, as they come.
//!
//! The files are read directly, without libsystemd, which cannot be linked into a static binary. They are only read:
//! no request to journald, no service of systemd is needed, and journald does not notice.
//!
//! Every entry that passes the filter is given once and in order, across rotation, vacuuming, the move from /run to
//! /var, and a restart that goes on behind the last cursor. Damaged files are skipped with one warning each.
//!
//! This is not a query engine: there is one filter, forwards only. It rests on systemd's JOURNAL_FILE_FORMAT, which
//! is stable since systemd 187, and on the order in which journald writes (see file.rs). journald tells of
//! changes by a timer of 250 ms that systemd may let wait as long again: a live entry wakes the reader 0.25 to 0.5 s
//! late (0.3 to 0.44 s measured), though it is there within a millisecond or two for who calls
//! [`JournalTail::read`] unasked.

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

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Behind the entry with this cursor; when that is gone, with the first one that is newer.
    Cursor(String),
    /// With the first entry of this time.
    Since(Timestamp),
}

/// One entry that passed the filter.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// MESSAGE as it was written: any bytes, several lines perhaps, up to 2 MiB. Empty where there is none.
    pub message: &'a [u8],
    /// When journald took it (`__REALTIME_TIMESTAMP`).
    pub at: Timestamp,
    /// PRIORITY: 0 (emergency) to 7 (debug).
    pub priority: Option<u8>,
    /// SYSLOG_FACILITY.
    pub facility: Option<u8>,
    /// SYSLOG_IDENTIFIER.
    pub identifier: Option<&'a str>,
    /// _SYSTEMD_UNIT; of what systemd itself says about a unit, that unit.
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
    /// How many entries were given.
    pub entries: usize,
    /// There may be more already: read again without waiting for the file descriptor.
    pub more: bool,
}

/// What is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalState {
    /// The folders that are there.
    pub following: Vec<PathBuf>,
    /// The folders that are not there yet.
    pub waiting_for: Vec<PathBuf>,
    /// How many journal files are open.
    pub files: usize,
}

// === impl Entry ===

impl Entry<'_> {
    /// The message as rules see it. Of the kernel's that is one line, as it is where they are read without the journal.
    #[must_use]
    pub fn text(&self) -> Cow<'_, [u8]> {
        if self.transport == Some("kernel") {
            kmsg::one_line(self.message)
        } else {
            Cow::Borrowed(self.message.trim_ascii())
        }
    }
}
