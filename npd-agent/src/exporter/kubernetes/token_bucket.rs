//! A token bucket, pure: a burst at once, then a steady rate.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket. It may be overdrawn: a token is always given, together with the moment from which it may be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    /// Tokens a second.
    rate: f64,
    burst: f64,
    /// Negative while tokens have been given that cannot be used yet.
    tokens: f64,
    at: Instant,
}

/// Upper bound on how far in the future a token is promised.
const FOREVER: Duration = Duration::from_hours(24 * 365);

// === impl TokenBucket ===

impl TokenBucket {
    /// A full bucket of `burst` tokens that gets `rate` tokens a second.
    pub(crate) fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self { rate, burst, tokens: burst, at: now }
    }

    /// Takes a token. Returns the moment from which it may be used.
    pub(crate) fn take(&mut self, now: Instant) -> Instant {
        self.tokens = self.tokens_at(now) - 1.0;
        self.at = self.at.max(now);
        if self.tokens >= 0.0 {
            return now;
        }
        let wait = Duration::try_from_secs_f64(-self.tokens / self.rate).unwrap_or(FOREVER);
        now + wait.min(FOREVER)
    }

    /// Whether it is no different from a new one.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.tokens_at(now) >= self.burst
    }

    fn tokens_at(&self, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        (self.tokens + gained).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(2.0, 3.0, start);
        let taken: Vec<_> = (0..5).map(|_| (bucket.take(start) - start).as_millis()).collect();
        assert_eq!(taken, [0, 0, 0, 500, 1000]);
        let later = start + Duration::from_millis(1500);
        assert_eq!(bucket.take(later), later, "what was waited for is there");
        assert!(!bucket.is_full(later));
        assert!(bucket.is_full(later + Duration::from_millis(1500)));
    }

    #[test]
    fn a_bucket_that_never_fills_plans_no_moment_that_does_not_exist() {
        let now = Instant::now();
        let mut bucket = TokenBucket::new(0.0, 0.0, now);
        assert_eq!(bucket.take(now), now + FOREVER);
    }
}
