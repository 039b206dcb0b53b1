//! How long to wait after a failure, pure: longer each time, and where nodes share a server, not in step with the others.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause after a failed request to a server, and the longest.
const SERVER_FIRST: Duration = Duration::from_secs(1);
const SERVER_LONGEST: Duration = Duration::from_secs(30);
/// The longest pause that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_mins(5);
/// More doublings than any pause needs to become the longest, few enough not to overflow.
const DOUBLINGS_MAX: u32 = 16;

/// When to retry after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) at: Instant,
    /// The server itself has asked for this time, so that nothing else is a reason to retry earlier.
    pub(crate) is_asked_for: bool,
}

/// Counts failures in a row. The default is for requests to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackOff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

// === impl BackOff ===

impl BackOff {
    /// No failure yet; the pause after one is `first`, doubled after each further one, up to `longest`.
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// It has failed: the pause before the retry, for what no other node shares.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.first.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// It has failed at `now`: when to retry. `asked` is the server's Retry-After; `random` is from 0 to 1 and
    /// keeps the nodes of a cluster, which have all failed at once, from coming back at once.
    #[cfg_attr(not(feature = "kubernetes"), allow(dead_code, reason = "only the API server is shared by nodes"))]
    pub(crate) fn failed(&mut self, asked: Option<Duration>, random: f64, now: Instant) -> Retry {
        let pause = self.pause();
        let least = asked.unwrap_or_default().min(LONGEST_ASKED);
        let spread = pause.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        let pause = if spread >= least { spread } else { least + self.first.mul_f64(random.clamp(0.0, 1.0)) };
        Retry { at: now + pause, is_asked_for: asked.is_some() }
    }

    /// It works again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

impl Default for BackOff {
    fn default() -> Self {
        Self::new(SERVER_FIRST, SERVER_LONGEST)
    }
}

/// A number from 0 to 1 that differs from node to node and from call to call.
#[cfg_attr(not(feature = "kubernetes"), allow(dead_code, reason = "only the API server is shared by nodes"))]
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
    fn pauses_of_any_length_double_and_do_not_overflow() {
        let mut back_off = BackOff::new(Duration::from_secs(10), Duration::from_mins(10));
        let pauses: Vec<_> = (0..8).map(|_| back_off.pause().as_secs()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600]);
        for _ in 0..100 {
            assert_eq!(back_off.pause(), Duration::from_mins(10));
        }
        back_off.succeeded();
        assert_eq!(back_off.pause(), Duration::from_secs(10));
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
