//! Which entry is which: the cursor, in the words of `journalctl --show-cursor`.
//!
//! A sequence number is unique within its sequence (`seqnum_id`): all files that one journald writes share one, but
//! what it copies from /run to /var gets new numbers. What stays is boot, both times and the hash over all fields.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{fingerprint, time::Timestamp};

/// The identity of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The sequence that the number counts in.
    pub(crate) seqnum_id: u128,
    /// The sequence number.
    pub(crate) seqnum: u64,
    /// The boot that wrote it.
    pub(crate) boot_id: u128,
    /// CLOCK_MONOTONIC of that boot, microseconds.
    pub(crate) monotonic: u64,
    /// Wall time, microseconds since 1970.
    pub(crate) realtime: u64,
    /// A hash over all fields.
    pub(crate) xor_hash: u64,
}

/// Why a text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a journal cursor (s=…;i=…;b=…;m=…;t=…;x=…)")]
pub struct CursorError;

/// Where reading a file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "journald"), allow(dead_code, reason = "only the journal makes all of them"))]
pub(crate) enum Origin {
    /// With the first entry of this wall time, microseconds.
    Since(u64),
    /// Behind this entry, or where it would stand.
    After(Cursor),
    /// Behind this sequence number.
    Above(u64),
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

// === impl Cursor ===

impl Cursor {
    /// When journald took the entry.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        Timestamp::from_unix_nanos(i64::try_from(self.realtime.saturating_mul(1000)).unwrap_or(i64::MAX))
    }

    /// Whether this entry comes behind the other one.
    #[must_use]
    pub fn is_behind(&self, other: &Self) -> bool {
        Origin::After(*other).admits(self)
    }

    /// Whether the other one is this entry or a copy of it.
    ///
    /// Two equal lines of one write(2) look the same in this; in one sequence their numbers tell them apart.
    #[must_use]
    pub fn is_copy_of(&self, other: &Self) -> bool {
        (self.boot_id, self.monotonic, self.realtime, self.xor_hash)
            == (other.boot_id, other.monotonic, other.realtime, other.xor_hash)
    }

    /// A number that an entry and its copies in other files have in common.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let hash = fingerprint::extend(fingerprint::EMPTY, &self.boot_id.to_le_bytes());
        [self.monotonic, self.realtime, self.xor_hash]
            .iter()
            .fold(hash, |hash, number| fingerprint::extend(hash, &number.to_le_bytes()))
    }

    /// Which one comes first, as systemd orders the entries of several files.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        if self.seqnum_id == other.seqnum_id && self.seqnum != other.seqnum {
            return self.seqnum.cmp(&other.seqnum);
        }
        let within_boot =
            if self.boot_id == other.boot_id { self.monotonic.cmp(&other.monotonic) } else { Ordering::Equal };
        within_boot.then(self.realtime.cmp(&other.realtime)).then(self.xor_hash.cmp(&other.xor_hash))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seqnum_id, seqnum, boot_id, monotonic, realtime, xor_hash } = self;
        write!(f, "s={seqnum_id:032x};i={seqnum:x};b={boot_id:032x};m={monotonic:x};t={realtime:x};x={xor_hash:x}")
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let mut parts = text.split(';');
        let mut part = |name: &str| {
            let digits = parts.next().and_then(|part| part.strip_prefix(name)).ok_or(CursorError)?;
            let hexadecimal = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            hexadecimal.then_some(digits).ok_or(CursorError)
        };
        let id = |digits: &str| match digits.len() {
            32 => u128::from_str_radix(digits, 16).map_err(|_| CursorError),
            _ => Err(CursorError),
        };
        let number = |digits: &str| u64::from_str_radix(digits, 16).map_err(|_| CursorError);
        let cursor = Self {
            seqnum_id: id(part("s=")?)?,
            seqnum: number(part("i=")?)?,
            boot_id: id(part("b=")?)?,
            monotonic: number(part("m=")?)?,
            realtime: number(part("t=")?)?,
            xor_hash: number(part("x=")?)?,
        };
        parts.next().is_none().then_some(cursor).ok_or(CursorError)
    }
}

// === impl Origin ===

impl Origin {
    /// Whether the entry lies behind the origin.
    #[must_use]
    pub(crate) fn admits(&self, entry: &Cursor) -> bool {
        match self {
            Self::Since(realtime) => entry.realtime >= *realtime,
            Self::Above(seqnum) => entry.seqnum > *seqnum,
            // The numbers of what was copied from /run to /var may be new ones of the same sequence (systemd 254
            // and later); its times tell that it is old.
            Self::After(cursor) if entry.seqnum_id == cursor.seqnum_id => {
                entry.seqnum > cursor.seqnum && (entry.boot_id != cursor.boot_id || entry.monotonic >= cursor.monotonic)
            }
            Self::After(cursor) if entry.boot_id == cursor.boot_id => entry.monotonic > cursor.monotonic,
            Self::After(cursor) => entry.realtime > cursor.realtime,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "s=cd8a0ab2a1cb4bcf8e2b0a56f0bbb6a0;i=4f;b=0a2e6e5f5a0d4a3fb12f9a33a1b4d8c1;m=1b9a5c;t=62f1a9b7c3d10;x=\
                        9d1d9b9a6f3cbb02";

    fn cursor() -> Cursor {
        TEXT.parse().unwrap()
    }

    #[test]
    fn a_cursor_reads_and_writes_as_journalctl_does() {
        assert_eq!(cursor().to_string(), TEXT);
        assert_eq!(cursor().seqnum, 0x4f);
        assert_eq!(cursor().at().unix_nanos(), 0x0006_2f1a_9b7c_3d10 * 1000);
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "s=1", "x", &TEXT[..TEXT.len() - 20], &TEXT.replace("i=4f", "i=+4f"), &format!("{TEXT};y=1")] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }

    #[test]
    fn behind_a_cursor_is_what_has_a_higher_number_of_its_sequence() {
        let (origin, here) = (Origin::After(cursor()), cursor());
        assert!(!origin.admits(&here));
        assert!(origin.admits(&Cursor { seqnum: here.seqnum + 1, ..here }), "the same line twice in one write");
        assert!(!origin.admits(&Cursor { seqnum: here.seqnum - 1, realtime: u64::MAX, ..here }));
        assert!(!origin.admits(&Cursor { seqnum: here.seqnum + 9, monotonic: 1, ..here }), "copied from /run");
    }

    #[test]
    fn in_another_sequence_the_clock_of_the_boot_tells_and_in_another_boot_the_wall_clock() {
        let (origin, here) = (Origin::After(cursor()), Cursor { seqnum_id: 1, ..cursor() });
        assert!(!origin.admits(&here));
        assert!(origin.admits(&Cursor { monotonic: here.monotonic + 1, realtime: 0, ..here }));
        assert!(!origin.admits(&Cursor { boot_id: 2, monotonic: u64::MAX, ..here }));
        assert!(origin.admits(&Cursor { boot_id: 2, monotonic: 0, realtime: here.realtime + 1, ..here }));
    }

    proptest! {
        #[test]
        fn every_cursor_comes_back_from_its_text(
            (seqnum_id, boot_id) in any::<(u128, u128)>(),
            (seqnum, monotonic, realtime, xor_hash) in any::<(u64, u64, u64, u64)>(),
        ) {
            let cursor = Cursor { seqnum_id, seqnum, boot_id, monotonic, realtime, xor_hash };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,80}") {
            assert!(text.parse::<Cursor>().is_err());
        }
    }
}
