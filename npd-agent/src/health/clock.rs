//! Whether the node's clock is synchronised, according to the kernel's clock discipline (adjtimex(2)).
//!
//! chronyd, ntpd, systemd-timesyncd and the tools of hypervisors all tell the kernel when they have set the clock, and what its
//! maximum error is. The kernel increases that error by 500 ppm until the next correction, and marks the clock as unsynchronised
//! at 16 s. So there is no need to query a time server or a program.

use std::time::Duration;

use super::Health;
use crate::node::clock::{self, ClockState};

/// The limits of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockLimits {
    /// The maximum error, as the kernel computes it; if `None`, only an unsynchronised clock is unhealthy.
    pub max_error: Option<Duration>,
}

/// Whether the clock is synchronised and within its limits.
#[must_use]
pub fn clock(limits: ClockLimits) -> Health {
    match clock::read() {
        Ok(state) => judge(state, limits),
        Err(error) => Health::CannotTell(format!("cannot read the state of the kernel's clock: {error}")),
    }
}

fn judge(state: ClockState, limits: ClockLimits) -> Health {
    if state.is_unsynchronised || state.is_in_error {
        return Health::Unhealthy("the clock is not synchronised".to_owned());
    }
    match limits.max_error {
        Some(limit) if state.max_error > limit => {
            Health::Unhealthy(format!("the clock may be off by {:?}, the threshold is {limit:?}", state.max_error))
        }
        _ => Health::Healthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_unhealthy_beyond_its_limit() {
        let limit = |millis| ClockLimits { max_error: Some(Duration::from_millis(millis)) };
        let max_error = Duration::from_millis(500);
        let state = ClockState { offset: 0.0, max_error, is_unsynchronised: false, is_in_error: false };
        assert_eq!(judge(state, limit(500)), Health::Healthy);
        assert_eq!(judge(state, ClockLimits { max_error: None }), Health::Healthy);
        assert_eq!(
            judge(state, limit(499)),
            Health::Unhealthy("the clock may be off by 500ms, the threshold is 499ms".to_owned())
        );
        for state in [ClockState { is_unsynchronised: true, ..state }, ClockState { is_in_error: true, ..state }] {
            assert_eq!(judge(state, limit(500)), Health::Unhealthy("the clock is not synchronised".to_owned()));
        }
    }
}
