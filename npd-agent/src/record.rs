//! One record of a log, on its way from a source to the monitors.

pub(crate) mod cursor;
pub(crate) mod file_position;
pub(crate) mod priority;

pub use self::{cursor::Cursor, file_position::FilePosition, priority::Priority};

use serde::{Deserialize, Serialize};

use crate::{fingerprint, problem::Fields, time::Timestamp};

/// A record, borrowed from where it was read: nothing is copied for the many records that no rule matches.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its text, any bytes, without a trailing newline.
    pub text: &'a [u8],
    /// When it was written.
    pub at: Timestamp,
    /// Its syslog priority, if the source has it.
    pub priority: Option<Priority>,
    /// What is known beyond the text.
    pub fields: &'a Fields,
    /// Whether its problem has been reported already, so that it is only context.
    pub known: bool,
    /// Its place in its source.
    pub place: Place<'a>,
}

/// The place of a record in its source: what has to be remembered to resume after it.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// It is not in a log that could be read again: for example, only a probe has seen it.
    Nowhere,
    /// In the kernel log, under this sequence number.
    Kernel(u64),
    /// In a file; the position after it.
    File(&'a FilePosition),
    /// In the journal.
    Journal(&'a Cursor),
}

/// A [`Place`] that can be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Position {
    /// The sequence number of the last record of the kernel log; of this boot only.
    Kernel(u64),
    /// The position after the last line.
    File(FilePosition),
    /// The cursor of the last entry of the journal.
    Journal(Cursor),
}

/// A kind of [`Position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionKind {
    /// In the kernel log.
    Kernel,
    /// In a file.
    File,
    /// In the journal.
    Journal,
}

// === impl Position ===

impl Position {
    /// The kind of source that it is a position in.
    #[must_use]
    pub fn kind(&self) -> PositionKind {
        match self {
            Self::Kernel(_) => PositionKind::Kernel,
            Self::File(_) => PositionKind::File,
            Self::Journal(_) => PositionKind::Journal,
        }
    }

    /// Whether `other` is the position of the same record.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(this), Self::File(other)) => this.is_same_place(other),
            _ => self == other,
        }
    }

    /// A number that is the same whenever the same record is read again. Sequence numbers of the kernel log start
    /// again with each boot; `boot` is the id of the boot.
    #[must_use]
    pub fn fingerprint(&self, boot: &str) -> u64 {
        match self {
            Self::Kernel(seq) => {
                fingerprint::extend(fingerprint::extend(fingerprint::EMPTY, boot.as_bytes()), &seq.to_le_bytes())
            }
            Self::File(position) => position.fingerprint(),
            Self::Journal(cursor) => cursor.fingerprint(),
        }
    }

    /// Whether `place` is at or before this position, as far as the two can be compared.
    #[must_use]
    pub fn covers(&self, place: Place<'_>) -> bool {
        match (self, place) {
            (Self::Kernel(newest), Place::Kernel(seq)) => seq <= *newest,
            (Self::Journal(newest), Place::Journal(cursor)) => !cursor.is_behind(newest),
            _ => false,
        }
    }
}

// === impl Place ===

impl Place<'_> {
    /// The place as a position to save; `None` if there is no such position.
    #[must_use]
    pub fn position(self) -> Option<Position> {
        match self {
            Self::Nowhere => None,
            Self::Kernel(seq) => Some(Position::Kernel(seq)),
            Self::File(position) => Some(Position::File(*position)),
            Self::Journal(cursor) => Some(Position::Journal(*cursor)),
        }
    }
}
