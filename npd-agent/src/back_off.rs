//! How long to wait after a failure, pure: longer each time.

use std::time::Duration;

#[cfg(feature = "kubernetes")]
mod server;

#[cfg(feature = "kubernetes")]
pub(crate) use self::server::{Retry, random};

/// Upper bound on the number of doublings: enough for any pause to reach the longest one, few enough not to overflow.
const DOUBLINGS_MAX: u32 = 16;

/// Counts consecutive failures. The default is for requests to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackOff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

// === impl BackOff ===

impl BackOff {
    /// No failure yet. The pause after the first one is `first`; each further failure doubles it, up to `longest`.
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Counts a failure and returns the pause before the retry. It has no jitter: it is for operations on this node
    /// only.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.first.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// Counts a success: the next pause is the first one again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
