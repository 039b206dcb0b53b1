//! The two clocks that npd uses: wall time for people, monotonic time for windows and deadlines.
//!
//! Both are plain integers so that the pure parts take `now` as an argument and cost nothing on the hot path.

use std::str::FromStr as _;

use serde::{Deserialize, Serialize};

/// A moment of wall time: nanoseconds since 1970-01-01T00:00:00Z. Good until the year 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A moment of CLOCK_MONOTONIC, nanoseconds: what the kernel's log and `bpf_ktime_get_ns` count in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(u64);

/// CLOCK_REALTIME and CLOCK_MONOTONIC, sampled together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall time.
    pub wall: Timestamp,
    /// Monotonic time.
    pub mono: Monotonic,
}

/// A duration in the form that system calls take.
#[must_use]
pub fn timespec(span: std::time::Duration) -> rustix::time::Timespec {
    rustix::time::Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(span.subsec_nanos()),
    }
}

/// The time now, and when the node was booted.
#[derive(Clone, Copy, Debug)]
pub struct BootTimes {
    /// Now.
    pub now: Timestamp,
    /// When the node was booted, suspends included.
    pub boot: Timestamp,
}

// === impl Timestamp ===

impl Timestamp {
    /// The moment `nanos` nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_nanos(self) -> i64 {
        self.0
    }

    /// Seconds since the Unix epoch, as Prometheus wants them.
    #[must_use]
    pub fn unix_seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// This moment moved by `nanos` nanoseconds; stops at the ends of the range.
    #[must_use]
    pub const fn shift(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

impl std::fmt::Display for Timestamp {
    /// RFC 3339 in UTC with as many fractional digits as needed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Every i64 of nanoseconds lies within jiff's range.
        let at = jiff::Timestamp::from_nanosecond(i128::from(self.0)).map_err(|_| std::fmt::Error)?;
        at.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let at = jiff::Timestamp::from_str(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)?;
        i64::try_from(at.as_nanosecond()).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// === impl Monotonic ===

impl Monotonic {
    /// The moment `nanos` nanoseconds after the clock's zero.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's zero.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The moment `span` later.
    #[must_use]
    pub fn after(self, span: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

// === impl Now ===

impl Now {
    /// Reads both clocks; no system call where the vDSO serves them.
    #[must_use]
    pub fn read() -> Self {
        use rustix::time::{ClockId, clock_gettime};
        let mono = clock_gettime(ClockId::Monotonic);
        let wall = clock_gettime(ClockId::Realtime);
        Self {
            wall: Timestamp(wall.tv_sec.saturating_mul(1_000_000_000).saturating_add(wall.tv_nsec)),
            mono: Monotonic(
                mono.tv_sec.cast_unsigned().saturating_mul(1_000_000_000).saturating_add(mono.tv_nsec.cast_unsigned()),
            ),
        }
    }

    /// The wall time of a monotonic moment, by the current relation of the two clocks.
    ///
    /// If the clocks were sampled close to that moment, this is right even after a clock step and after a suspend,
    /// during which CLOCK_MONOTONIC stops.
    #[must_use]
    pub const fn wall_of(self, at: Monotonic) -> Timestamp {
        let ahead = at.0.cast_signed().saturating_sub(self.mono.0.cast_signed());
        self.wall.shift(ahead)
    }
}

// === impl BootTimes ===

impl BootTimes {
    /// Reads the clocks.
    #[must_use]
    pub fn read() -> Self {
        let now = Now::read();
        let boottime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let uptime = boottime.tv_sec.saturating_mul(1_000_000_000).saturating_add(boottime.tv_nsec);
        Self { now: now.wall, boot: now.wall.shift(uptime.saturating_neg()) }
    }

    /// The time from which on log records count: not before the boot plus `delay`, nor before now minus `lookback`,
    /// both in nanoseconds.
    #[must_use]
    pub fn start(self, lookback: i64, delay: i64) -> Timestamp {
        self.boot.shift(delay).max(self.now.shift(lookback.saturating_neg()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_of_a_past_moment_is_now_minus_its_age() {
        let now = Now { wall: Timestamp(5_000_000_000), mono: Monotonic(2_000_000_000) };
        assert_eq!(now.wall_of(Monotonic(500_000_000)), Timestamp(3_500_000_000));
        assert_eq!(now.wall_of(Monotonic(2_500_000_000)), Timestamp(5_500_000_000));
    }

    #[test]
    fn timestamps_are_displayed_as_rfc_3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp(i64::MIN).to_string(), "1677-09-21T00:12:43.145224192Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), "2262-04-11T23:47:16.854775807Z");
    }
}
