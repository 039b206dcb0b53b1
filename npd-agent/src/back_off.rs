//! How long to wait after a failure, pure: ever longer, never in step with other nodes.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// The longest that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// When to go on after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) at: Instant,
    /// The API server itself has said when, so that nothing else is a reason to go on earlier.
    pub(crate) is_asked_for: bool,
}

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BackOff {
    failures: u32,
}

// === impl BackOff ===

impl BackOff {
    /// It has failed `now`: when to go on. `asked` is what the server's Retry-After says; `random` is from 0 to 1 and
    /// keeps the nodes of a cluster, which all have failed at once, from coming back at once.
    pub(crate) fn failed(&mut self, asked: Option<Duration>, random: f64, now: Instant) -> Retry {
        let pause = FIRST.saturating_mul(1 << self.failures.min(5)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let least = asked.unwrap_or_default().min(LONGEST_ASKED);
        let spread = pause.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        let pause = if spread >= least { spread } else { least + FIRST.mul_f64(random.clamp(0.0, 1.0)) };
        Retry { at: now + pause, is_asked_for: asked.is_some() }
    }

    /// It works again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// A number from 0 to 1 that is another one on each node and each time.
pub(crate) fn random() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    // Its keys are random, and that is all that is wanted.
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
        assert_eq!(pause(&mut back_off, Some(Duration::MAX), 0.0), LONGEST_ASKED, "a server may not silence a node");
    }

    #[test]
    fn random_numbers_differ() {
        assert!((0..10).map(|_| random()).any(|number| (number - random()).abs() > f64::EPSILON));
    }
}
