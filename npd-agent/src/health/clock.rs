//! Whether the node's clock is kept: what the kernel's clock discipline (adjtimex(2)) knows of it.
//!
//! chronyd, ntpd, systemd-timesyncd and hypervisors' tools all tell the kernel that they have set the clock and how
//! wrong it can be at most. The kernel lets that error grow by 500 ppm while nobody corrects it, and calls the clock
//! unsynchronised from 16 s on. So no time server has to be asked, and no program.

use std::time::Duration;

use super::Verdict;
use crate::node::clock::{self, ClockState};

/// How wrong the clock may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockLimits {
    /// At most, as the kernel computes it; `None` where only a clock that nobody keeps is unhealthy.
    pub max_error: Option<Duration>,
}

/// Whether the clock is kept, and within its limits.
#[must_use]
pub fn clock(limits: ClockLimits) -> Verdict {
    match clock::read() {
        Ok(state) => judge(state, limits),
        Err(error) => Verdict::CannotTell(format!("cannot ask the kernel for the state of its clock: {error}")),
    }
}

fn judge(state: ClockState, limits: ClockLimits) -> Verdict {
    if state.is_unsynchronised || state.is_in_error {
        return Verdict::Unhealthy("the clock is not synchronised".to_owned());
    }
    match limits.max_error {
        Some(limit) if state.max_error > limit => {
            Verdict::Unhealthy(format!("the clock may be wrong by {:?}, the threshold is {limit:?}", state.max_error))
        }
        _ => Verdict::Healthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_kept_within_its_limit_or_unhealthy() {
        let limit = |millis| ClockLimits { max_error: Some(Duration::from_millis(millis)) };
        let max_error = Duration::from_millis(500);
        let state = ClockState { offset: 0.0, max_error, is_unsynchronised: false, is_in_error: false };
        assert_eq!(judge(state, limit(500)), Verdict::Healthy);
        assert_eq!(judge(state, ClockLimits { max_error: None }), Verdict::Healthy);
        assert_eq!(
            judge(state, limit(499)),
            Verdict::Unhealthy("the clock may be wrong by 500ms, the threshold is 499ms".to_owned())
        );
        for state in [ClockState { is_unsynchronised: true, ..state }, ClockState { is_in_error: true, ..state }] {
            assert_eq!(judge(state, limit(500)), Verdict::Unhealthy("the clock is not synchronised".to_owned()));
        }
    }
}
