//! Back-off from a server that other nodes use, too: with jitter, and no earlier than the server asks for.

use std::time::Duration;

use tokio::time::Instant;

use super::BackOff;

/// The first pause after a failed request, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// The longest pause that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// When to retry after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) at: Instant,
    /// The server itself asked for this time: nothing else is a reason to retry earlier.
    pub(crate) is_asked_for: bool,
}

// === impl BackOff ===

impl BackOff {
    /// Counts a failure at `now` and returns when to retry. `asked` is the server's Retry-After. `random`, from 0 to 1,
    /// spreads the retries of a cluster's nodes, which have all failed at once.
    pub(crate) fn failed(&mut self, asked: Option<Duration>, random: f64, now: Instant) -> Retry {
        let pause = self.pause();
        let least = asked.unwrap_or_default().min(LONGEST_ASKED);
        let spread = pause.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        let pause = if spread >= least { spread } else { least + self.first.mul_f64(random.clamp(0.0, 1.0)) };
        Retry { at: now + pause, is_asked_for: asked.is_some() }
    }
}

impl Default for BackOff {
    fn default() -> Self {
        Self::new(FIRST, LONGEST)
    }
}

/// A number from 0 to 1 that differs from node to node and from call to call.
pub(crate) fn random() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    // Its keys are random, which is enough here.
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(back_off: &mut BackOff, asked: Option<Duration>, random: f64) -> Duration {
        let now = Instant::now();
        let retry = back_off.failed(asked, random, now);
        assert_eq!(retry.is_asked_for, asked.is_some());
        retry.at - now
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over_after_a_success() {
        let mut back_off = BackOff::default();
        let pauses: Vec<_> = (0..7).map(|_| pause(&mut back_off, None, 1.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        back_off.succeeded();
        assert_eq!(pause(&mut back_off, None, 0.0), Duration::from_millis(500), "jitter takes away at most a half");
    }

    #[test]
    fn the_server_is_not_asked_before_it_wants_to_be() {
        let mut back_off = BackOff::default();
        let asked = Some(Duration::from_secs(7));
        assert_eq!(pause(&mut back_off, asked, 0.0), Duration::from_secs(7));
        assert_eq!(pause(&mut back_off, asked, 1.0), Duration::from_secs(8), "nodes are spread behind it");
        assert_eq!(pause(&mut back_off, Some(Duration::MAX), 0.0), LONGEST_ASKED, "a server cannot silence a node");
    }

    #[test]
    fn random_numbers_differ() {
        assert!((0..10).map(|_| random()).any(|number| (number - random()).abs() > f64::EPSILON));
    }
}
