//! Go's time layouts, `Jan _2 15:04:05`: how a log monitor's `timestampFormat` says what its times look like.
//!
//! Reads as Go 1.26's `time.ParseInLocation` does: compared with Go 1.26.6 on three million random layouts and values,
//! it differs only where this page says so. It is not a formatter, and it keeps nothing of a value but the moment: not
//! the name of its zone, not whether its weekday was right (Go does not look at that either).
//!
//! What is Go's, and may surprise: a bare `Z` is literal text and says nothing of the zone. A space in the layout matches
//! any number of spaces, none where the value ends. A fraction is taken after the seconds without being asked for.
//! Names of months are read in any case, AM and PM are not. `15` takes one digit. An offset may be `+24:60`. An
//! abbreviation that the zone does not know is UTC, and so is `GMT+3`.
//!
//! Deliberate differences from Go:
//!
//! * A layout without a year. Go gives the year 0 and NPD adds the current year, which puts a line of December that is
//!   read in January in the future and makes March 1 of most February 29ths. Here it is the newest year that has the
//!   day and puts the moment at most 24 hours after now. The day of the year (`002`) is counted in that year too, and
//!   compared with the month and day there; Go counts in the year 0, which is a leap year.
//! * A moment outside of the years 1677 to 2262 cannot be a [`Timestamp`] and is an error. `0000` is one such.
//! * An abbreviation that is in force in the zone neither at the time nor within four changes of its clock to either side
//!   counts as unknown. Where it had several offsets, Go takes the first in the zone's file, this the nearest in time.

mod field;
mod moment;
mod reader;

use std::fmt;

use field::{Chunk, Field};

use crate::time::Timestamp;

/// A layout such as `Jan _2 15:04:05`, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    source: Box<str>,
    chunks: Box<[Chunk]>,
    /// Where the literal text behind the last field starts.
    tail: usize,
    has_year: bool,
}

/// Why a value does not read by a layout, in Go's words. Texts in it are quoted, and cut when they are long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A part of the layout found something else.
    #[error("cannot parse {value} as {element}")]
    Mismatch {
        /// The field or the literal text.
        element: String,
        /// The value from there on.
        value: String,
    },
    /// A field has a number that it cannot have, or the month has no such day.
    #[error("{0} out of range")]
    OutOfRange(&'static str),
    /// The day of the year is on another date than the value says.
    #[error("day-of-year does not match {0}")]
    DayOfYear(&'static str),
    /// The value goes on after the layout's end.
    #[error("extra text: {0}")]
    ExtraText(String),
    /// The moment does not fit 64 bits of nanoseconds.
    #[error("outside of the years 1677 to 2262")]
    OutsideRange,
}

/// Go's `time.RFC3339`.
const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

/// How many bytes of a text an error shows.
const SHOWN: usize = 48;

/// Whether Go's `time.Parse(time.RFC3339, …)` would accept `text`, whatever its year.
///
/// Go is laxer than RFC 3339 (a fraction may follow a comma, the hour may have one digit, an offset may reach `+24:60`)
/// and stricter (no lower-case `t` and `z`, no leap second).
pub(crate) fn is_rfc3339(text: &str) -> bool {
    let moment = Layout::new(RFC3339).read(text, &jiff::tz::TimeZone::UTC, Timestamp::from_unix_nanos(0));
    matches!(moment, Ok(_) | Err(LayoutError::OutsideRange))
}

// === impl Layout ===

impl Layout {
    /// Reads a layout. Every text is one.
    #[must_use]
    pub fn new(layout: &str) -> Self {
        let (chunks, tail) = field::split(layout.as_bytes());
        let has_year = chunks.iter().any(|chunk| matches!(chunk.field, Field::Year | Field::YearOfCentury));
        Self { source: layout.into(), chunks: chunks.into(), tail, has_year }
    }

    /// The layout as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether any part of it represents a part of a time. If not, it matches only its own text, which is surely a mistake.
    #[must_use]
    pub fn has_fields(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// Whether its values name their year.
    #[must_use]
    pub fn has_year(&self) -> bool {
        self.has_year
    }

    /// The moment that `value` names; in `zone` where it names none, and near `now` where the layout has no year.
    pub fn read(&self, value: &str, zone: &jiff::tz::TimeZone, now: Timestamp) -> Result<Timestamp, LayoutError> {
        let parts = reader::read(self.source.as_bytes(), &self.chunks, self.tail, value.as_bytes())?;
        if self.has_year { parts.moment(zone) } else { parts.moment_before(now, zone) }
    }
}

// === impl LayoutError ===

impl LayoutError {
    fn mismatch(element: &[u8], value: &[u8]) -> Self {
        Self::Mismatch { element: Quoted(element).to_string(), value: Quoted(value).to_string() }
    }

    fn extra_text(value: &[u8]) -> Self {
        Self::ExtraText(Quoted(value).to_string())
    }
}

// === impl Quoted ===

/// A text in double quotes as Go's time package does it: what is not printable ASCII as `\xNN`, byte by byte.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for byte in self.0.iter().take(SHOWN) {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                0..b' ' | 0x80.. => write!(f, "\\x{byte:02x}")?,
                _ => write!(f, "{}", char::from(*byte))?,
            }
        }
        f.write_str(if self.0.len() > SHOWN { "\"…" } else { "\"" })
    }
}

#[cfg(test)]
mod tests;
