//! When a probe that has failed is tested again: after 10 s, then at increasing intervals. Pure.

use std::time::Duration;

use crate::{back_off::BackOff, time::Monotonic};

/// The interval before the first retest; doubled after each failed one.
const RETEST_FIRST: Duration = Duration::from_secs(10);
const RETEST_MAX: Duration = Duration::from_mins(10);

/// The schedule of a probe's retests.
#[derive(Debug)]
pub(crate) struct Retest {
    at: Option<Monotonic>,
    back_off: BackOff,
}

// === impl Retest ===

impl Retest {
    /// No retest is due: the probe has not failed.
    pub(crate) fn new() -> Self {
        Self { at: None, back_off: BackOff::new(RETEST_FIRST, RETEST_MAX) }
    }

    /// The probe has failed: schedules a retest, unless one is scheduled already. A retest that tries the probe twice, as
    /// it is and loaded again, thus counts as one failure.
    pub(crate) fn failed(&mut self, now: Monotonic) {
        if self.at.is_none() {
            self.at = Some(now.after(self.back_off.pause()));
        }
    }

    /// The probe works: no retest is due, and the intervals start over.
    pub(crate) fn succeeded(&mut self) {
        self.at = None;
        self.back_off.succeeded();
    }

    /// Takes a retest that is due off the schedule; `true` if there was one.
    pub(crate) fn take_due(&mut self, now: Monotonic) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }

    /// When the next retest is due.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Monotonic {
        Monotonic::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn a_probe_is_tested_again_after_ten_seconds_then_ever_more_rarely() {
        let mut retest = Retest::new();
        assert_eq!(retest.deadline(), None);
        let mut now = 1;
        let mut intervals = Vec::new();
        for _ in 0..8 {
            retest.failed(at(now));
            // The retest loads the probe again and tests it a second time.
            retest.failed(at(now));
            let due = retest.deadline().unwrap();
            assert!(!retest.take_due(at(now)), "it is too soon");
            let interval = due.since(at(now)).as_secs();
            intervals.push(interval);
            now += interval;
            assert!(retest.take_due(at(now)));
        }
        assert_eq!(intervals, [10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn a_due_retest_is_taken_once() {
        let mut retest = Retest::new();
        retest.failed(at(0));
        assert!(retest.take_due(at(10)));
        assert!(!retest.take_due(at(11)), "the thread would spin until the probe is believed");
        assert_eq!(retest.deadline(), None);
    }

    #[test]
    fn the_intervals_start_over_once_the_probe_works() {
        let mut retest = Retest::new();
        for secs in [0, 10, 30] {
            retest.failed(at(secs));
            retest.take_due(at(1000));
        }
        retest.succeeded();
        assert_eq!(retest.deadline(), None);
        retest.failed(at(2000));
        assert_eq!(retest.deadline(), Some(at(2010)));
    }
}
