//! Where to start reading a journal file.

use crate::record::cursor::Cursor;

/// Where to start reading a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// At the first entry of this wall time, microseconds.
    Since(u64),
    /// After this entry, or after the place where it would be.
    After(Cursor),
    /// After this sequence number.
    Above(u64),
}

// === impl Origin ===

impl Origin {
    /// Whether the entry is to be read.
    pub(super) fn admits(&self, entry: &Cursor) -> bool {
        match self {
            Self::Since(realtime) => entry.realtime >= *realtime,
            Self::Above(seqnum) => entry.seqnum > *seqnum,
            Self::After(cursor) => entry.is_behind(cursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        "s=cd8a0ab2a1cb4bcf8e2b0a56f0bbb6a0;i=4f;b=0a2e6e5f5a0d4a3fb12f9a33a1b4d8c1;m=1b9a5c;t=62f1a9b7c3d10;x=\
         9d1d9b9a6f3cbb02"
            .parse()
            .unwrap()
    }

    #[test]
    fn an_entry_with_a_higher_number_of_the_same_sequence_is_after_the_cursor() {
        let (origin, here) = (Origin::After(cursor()), cursor());
        assert!(!origin.admits(&here));
        assert!(origin.admits(&Cursor { seqnum: here.seqnum + 1, ..here }), "the same line twice in one write");
        assert!(!origin.admits(&Cursor { seqnum: here.seqnum - 1, realtime: u64::MAX, ..here }));
        assert!(!origin.admits(&Cursor { seqnum: here.seqnum + 9, monotonic: 1, ..here }), "copied from /run");
    }

    #[test]
    fn other_sequences_are_compared_by_the_clock_of_the_boot_and_other_boots_by_the_wall_clock() {
        let (origin, here) = (Origin::After(cursor()), Cursor { seqnum_id: 1, ..cursor() });
        assert!(!origin.admits(&here));
        assert!(origin.admits(&Cursor { monotonic: here.monotonic + 1, realtime: 0, ..here }));
        assert!(!origin.admits(&Cursor { boot_id: 2, monotonic: u64::MAX, ..here }));
        assert!(origin.admits(&Cursor { boot_id: 2, monotonic: 0, realtime: here.realtime + 1, ..here }));
    }
}
