//! Folds repeats of one message: the first is reported, the others are counted and reported together.
//!
//! The first report of a message opens a window. Repeats within it are counted; when it ends with a count, one event
//! reports that count and the window opens again, so a storm of one message is one event per window. A window that ends
//! without a repeat is removed.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::nanos;
use crate::time::Timestamp;

/// Maximum number of open windows. Beyond it every problem is reported separately: more events, but none is lost.
const WINDOWS_MAX: usize = 256;

/// The messages that were reported recently.
#[derive(Debug, Default)]
pub(super) struct Folds {
    folds: HashMap<(usize, Box<str>), Fold>,
    /// When the first window ends.
    deadline: Option<Timestamp>,
}

/// The window of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fold {
    pub(super) until: Timestamp,
    pub(super) count: u64,
    pub(super) last: Timestamp,
    /// In nanoseconds.
    pub(super) window: u64,
}

/// What to do with a problem that a line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineAction {
    /// Report it.
    Report,
    /// Nothing more: it was counted as a repeat.
    Fold,
}

/// Repeats to be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeats {
    pub(super) rule: usize,
    pub(super) message: String,
    pub(super) count: u64,
    pub(super) last: Timestamp,
    pub(super) window: Duration,
}

// === impl Folds ===

impl Folds {
    /// Handles a problem.
    pub(super) fn add(&mut self, rule: usize, message: &str, at: Timestamp, window: Duration) -> LineAction {
        let key = (rule, message.into());
        if let Some(fold) = self.folds.get_mut(&key) {
            fold.count += 1;
            fold.last = fold.last.max(at);
            return LineAction::Fold;
        }
        if self.folds.len() < WINDOWS_MAX {
            let until = at.shift(nanos(window));
            let window = nanos(window).cast_unsigned();
            self.folds.insert(key, Fold { until, count: 0, last: at, window });
            self.deadline = Some(self.deadline.map_or(until, |deadline| deadline.min(until)));
        }
        LineAction::Report
    }

    /// The latest time at which [`Self::next_due`] has something.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.deadline
    }

    /// The repeats of the window that ended first, if one has ended.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<Repeats> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return None;
        }
        self.folds.retain(|_, fold| fold.until > now || fold.count > 0);
        let due = self
            .folds
            .iter_mut()
            .filter(|(_, fold)| fold.until <= now)
            .min_by_key(|(key, f)| (f.until, (*key).clone()));
        let repeats = due.map(|((rule, message), fold)| {
            let window = Duration::from_nanos(fold.window);
            let repeats =
                Repeats { rule: *rule, message: message.to_string(), count: fold.count, last: fold.last, window };
            fold.count = 0;
            fold.until = fold.until.shift(fold.window.cast_signed()).max(now);
            repeats
        });
        self.deadline = self.folds.values().map(|fold| fold.until).min();
        repeats
    }

    /// The open windows, with their rules and messages.
    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &str, &Fold)> {
        self.folds.iter().map(|((rule, message), fold)| (*rule, &**message, fold))
    }

    /// Restores a window.
    pub(super) fn restore(&mut self, rule: usize, message: String, fold: Fold) {
        if self.folds.len() < WINDOWS_MAX {
            self.deadline = Some(self.deadline.map_or(fold.until, |deadline| deadline.min(fold.until)));
            self.folds.insert((rule, message.into()), fold);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_mins(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_storm_is_one_event_and_one_count_a_window() {
        let mut folds = Folds::default();
        assert_eq!(folds.add(0, "x", at(0), WINDOW), LineAction::Report);
        for second in 1..=59 {
            assert_eq!(folds.add(0, "x", at(second), WINDOW), LineAction::Fold);
        }
        assert_eq!(folds.add(1, "x", at(1), WINDOW), LineAction::Report, "another rule");
        assert_eq!(folds.next_due(at(59)), None);
        let repeats = Repeats { rule: 0, message: "x".into(), count: 59, last: at(59), window: WINDOW };
        assert_eq!(folds.next_due(at(61)), Some(repeats));
        assert_eq!(folds.next_due(at(61)), None);
        assert_eq!(folds.add(0, "x", at(62), WINDOW), LineAction::Fold, "the window is open again");
        assert_eq!(folds.next_due(at(121)).map(|repeats| repeats.count), Some(1));
        assert_eq!(folds.next_due(at(500)), None);
        assert_eq!(folds.deadline(), None);
        assert_eq!(folds.add(0, "x", at(501), WINDOW), LineAction::Report);
    }

    #[test]
    fn beyond_the_bound_every_problem_is_reported() {
        let mut folds = Folds::default();
        for n in 0..3 * WINDOWS_MAX {
            assert_eq!(folds.add(0, &n.to_string(), at(0), WINDOW), LineAction::Report);
        }
        assert_eq!(folds.folds.len(), WINDOWS_MAX);
        assert_eq!(folds.add(0, "0", at(1), WINDOW), LineAction::Fold);
        assert_eq!(folds.add(0, "600", at(1), WINDOW), LineAction::Report);
    }

    proptest! {
        #[test]
        fn every_problem_is_reported_or_counted(gaps in proptest::collection::vec((0_i64..50, 0_usize..3), 1..80)) {
            let mut folds = Folds::default();
            let (mut now, mut reported) = (0, 0);
            let total = gaps.len() as u64;
            for (gap, message) in gaps {
                now += gap;
                while let Some(repeats) = folds.next_due(at(now)) {
                    reported += repeats.count;
                }
                reported += u64::from(folds.add(0, &message.to_string(), at(now), WINDOW) == LineAction::Report);
            }
            while let Some(repeats) = folds.next_due(at(now + 1000)) {
                reported += repeats.count;
            }
            prop_assert_eq!(reported, total);
        }
    }
}
