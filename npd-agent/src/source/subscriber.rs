//! What a source needs from the reader of its records.

use crate::{
    record::{Position, PositionKind, Record},
    time::{Monotonic, Timestamp},
};

/// The reader of a source's records. It is called on the source's own thread and must not block for long.
///
/// A subscriber that keeps no position implements [`Subscriber::record`] alone; a closure that takes records is one.
pub trait Subscriber: Send {
    /// Takes the next record.
    fn record(&mut self, record: &Record<'_>);

    /// Records without a known position before them count from this time on.
    fn start(&self) -> Timestamp {
        Timestamp::default()
    }

    /// Where the source has to continue, if its positions are of this kind; `None` if it has never been read. When
    /// several monitors share a subscription this is the position of the one that is furthest behind.
    fn position(&self, _kind: PositionKind) -> Option<Position> {
        None
    }

    /// The sequence number of the newest record of the kernel log that was accepted.
    fn newest_kernel_record(&self) -> Option<u64> {
        None
    }

    /// Whether a record whose text contains `text` could have any effect.
    fn may_concern(&self, _text: &[u8]) -> bool {
        true
    }

    /// Everything up to `position` was read, and what was not passed on as a record concerned no rule. `at` is the time of
    /// the newest line, if it is known.
    fn passed(&mut self, _position: &Position, _at: Option<Timestamp>) {}

    /// There is no further record for now.
    fn rest(&mut self, _now: Monotonic) {}
}

impl<F: FnMut(&Record<'_>) + Send> Subscriber for F {
    fn record(&mut self, record: &Record<'_>) {
        self(record);
    }
}
