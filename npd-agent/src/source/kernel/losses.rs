//! Lost records of the kernel log: counted at once, logged at a bounded rate.

use std::time::Duration;

use prometheus::IntCounter;

use crate::time::Monotonic;

/// Lost records are logged at most once per interval, not once per batch.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The records that neither stream had any longer.
#[derive(Debug)]
pub(crate) struct Losses {
    total: IntCounter,
    /// Counted, but not logged yet.
    unlogged: u64,
    next_log: Monotonic,
}

// === impl Losses ===

impl Losses {
    /// Counts in `total`.
    pub(crate) fn new(total: IntCounter) -> Self {
        Self { total, unlogged: 0, next_log: Monotonic::default() }
    }

    /// Counts records as lost.
    pub(crate) fn add(&mut self, records: u64) {
        self.total.inc_by(records);
        self.unlogged += records;
    }

    /// Logs what was lost since the last time, if that is due.
    pub(crate) fn log(&mut self, now: Monotonic) {
        if self.unlogged > 0 && self.next_log <= now {
            self.next_log = now.after(LOG_INTERVAL);
            let records = std::mem::take(&mut self.unlogged);
            tracing::warn!(records, "kernel log records lost: no longer in the ring or /dev/kmsg");
        }
    }

    /// When [`Self::log`] has to be called next.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        (self.unlogged > 0).then_some(self.next_log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_is_counted_and_a_flood_of_them_is_logged_once_a_second() {
        let total = IntCounter::new("lost", "x").unwrap();
        let mut losses = Losses::new(total.clone());
        let at = |millis: u64| Monotonic::from_nanos(millis * 1_000_000);
        assert_eq!(losses.deadline(), None);
        losses.add(2);
        losses.log(at(5000));
        assert_eq!((total.get(), losses.deadline()), (2, None));
        losses.add(3);
        losses.log(at(5500));
        assert_eq!((total.get(), losses.deadline()), (5, Some(at(6000))), "it is too soon for another line");
        losses.log(at(6000));
        assert_eq!(losses.deadline(), None);
    }
}
