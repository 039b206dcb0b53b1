//! How often a rule has matched recently, counted separately for each kind of occurrence.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Key, nanos};
use crate::{config::system_log::Threshold, time::Timestamp};

/// Maximum number of kinds of occurrence that are counted; beyond it the one that occurred longest ago is removed.
const COUNTED_MAX: usize = 256;

/// The matches of a rule with a threshold.
#[derive(Debug)]
pub(super) struct Counter {
    threshold: Threshold,
    /// The kind that occurred last is last.
    counts: Vec<Count>,
}

/// The latest matches of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) key: Key,
    /// Oldest first; never more than the count of the threshold.
    pub(super) at: VecDeque<Timestamp>,
}

// === impl Counter ===

impl Counter {
    pub(super) fn new(threshold: Threshold) -> Self {
        Self { threshold, counts: Vec::new() }
    }

    /// Counts a match; `true` if there are enough within the window now.
    pub(super) fn add(&mut self, key: &Key, at: Timestamp) -> bool {
        let Threshold { count, window } = self.threshold;
        let known = self.counts.iter().position(|entry| entry.key == *key).map(|index| self.counts.remove(index));
        if known.is_none() && self.counts.len() == COUNTED_MAX {
            self.counts.remove(0);
        }
        let mut entry = known.unwrap_or_else(|| Count { key: key.clone(), at: VecDeque::new() });
        entry.at.push_back(at);
        if entry.at.len() > count {
            entry.at.pop_front();
        }
        let enough = entry.at.len() == count && entry.at.front().is_some_and(|first| within(*first, at, window));
        self.counts.push(entry);
        enough
    }

    /// Until when there are enough matches within the window if there are no further ones.
    pub(super) fn holds_until(&self, key: &Key) -> Option<Timestamp> {
        let entry = self.counts.iter().find(|entry| entry.key == *key)?;
        let first = entry.at.front().filter(|_| entry.at.len() == self.threshold.count)?;
        Some(first.shift(nanos(self.threshold.window)))
    }

    /// Forgets one kind.
    pub(super) fn restart(&mut self, key: &Key) {
        self.counts.retain(|entry| entry.key != *key);
    }

    /// Forgets the kinds that have the given values.
    pub(super) fn forget(&mut self, named: &[Option<String>]) {
        self.counts.retain(|entry| !is_named(&entry.key, named));
    }

    /// All counts.
    pub(super) fn counts(&self) -> &[Count] {
        &self.counts
    }

    /// Restores counts.
    pub(super) fn restore(&mut self, mut counts: Vec<Count>) {
        counts.truncate(COUNTED_MAX);
        for count in &mut counts {
            let excess = count.at.len().saturating_sub(self.threshold.count);
            count.at.drain(..excess);
        }
        self.counts = counts;
    }
}

/// Whether `key` has the given values.
pub(super) fn is_named(key: &Key, named: &[Option<String>]) -> bool {
    key.iter().zip(named).all(|(value, named)| named.as_ref().is_none_or(|named| named == value))
}

fn within(first: Timestamp, last: Timestamp, window: Duration) -> bool {
    last.unix_nanos().saturating_sub(first.unix_nanos()) <= nanos(window)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_nanos(seconds * 1_000_000_000)
    }

    fn counter(count: usize, seconds: u64) -> Counter {
        Counter::new(Threshold { count, window: Duration::from_secs(seconds) })
    }

    #[test]
    fn enough_matches_within_the_window_are_enough() {
        let mut counter = counter(3, 60);
        let key = Key::new();
        assert_eq!([0, 10, 60].map(|s| counter.add(&key, at(s))), [false, false, true]);
        assert!(counter.add(&key, at(70)), "10, 60 and 70");
        assert!(!counter.add(&key, at(121)), "60, 70 and 121 are too far apart");
        assert_eq!(counter.holds_until(&key), Some(at(120)));
    }

    #[test]
    fn each_kind_is_counted_separately() {
        let mut counter = counter(2, 60);
        let (a, b) = (vec!["a".to_owned()], vec!["b".to_owned()]);
        assert!(!counter.add(&a, at(0)) && !counter.add(&b, at(1)) && counter.add(&a, at(2)));
        counter.forget(&[Some("a".into())]);
        assert!(!counter.add(&a, at(3)) && counter.add(&b, at(3)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut counter = counter(3, 60);
        for n in 0..10 * COUNTED_MAX {
            counter.add(&vec![n.to_string()], at(0));
        }
        assert_eq!(counter.counts.len(), COUNTED_MAX);
    }

    proptest! {
        #[test]
        fn it_agrees_with_counting_by_hand(count in 2_usize..5, window in 1_u64..20, gaps in proptest::collection::vec(0_i64..12, 0..40)) {
            let mut counter = counter(count, window);
            let mut all = Vec::new();
            let mut now = 0;
            for gap in gaps {
                now += gap;
                all.push(now);
                let recent = all.iter().filter(|then| now - **then <= window.cast_signed()).count();
                prop_assert_eq!(counter.add(&Key::new(), at(now)), recent >= count);
            }
        }
    }
}
