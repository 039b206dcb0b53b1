//! Whether the node's clock is kept: what the kernel's clock discipline (adjtimex(2)) knows of it.
//!
//! chronyd, ntpd, systemd-timesyncd and hypervisors' tools all tell the kernel that they have set the clock and how
//! wrong it can be at most. The kernel lets that error grow by 500 ppm while nobody corrects it, and calls the clock
//! unsynchronised from 16 s on. So no time server has to be asked, and no program.

use std::{io, time::Duration};

use super::Verdict;

/// How wrong the clock may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockLimits {
    /// At most, as the kernel computes it; `None` where only a clock that nobody keeps is unhealthy.
    pub max_error: Option<Duration>,
}

/// What the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockState {
    /// Somebody keeps it.
    pub is_synchronised: bool,
    /// How wrong it can be.
    pub max_error: Duration,
}

/// Whether the clock is kept, and within its limits.
#[must_use]
pub fn clock(limits: ClockLimits) -> Verdict {
    match read() {
        Ok(state) => judge(state, limits),
        Err(error) => Verdict::CannotTell(format!("cannot ask the kernel for the state of its clock: {error}")),
    }
}

fn judge(state: ClockState, limits: ClockLimits) -> Verdict {
    if !state.is_synchronised {
        return Verdict::Unhealthy("the clock is not synchronised".to_owned());
    }
    match limits.max_error {
        Some(limit) if state.max_error > limit => {
            Verdict::Unhealthy(format!("the clock may be wrong by {:?}, the threshold is {limit:?}", state.max_error))
        }
        _ => Verdict::Healthy,
    }
}

#[allow(unsafe_code, reason = "rustix has no adjtimex")]
fn read() -> io::Result<ClockState> {
    // SAFETY: a timex of zeroes is valid, and its modes say that nothing is to be set.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: it points to a timex for the kernel to fill.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(ClockState {
        is_synchronised: state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0,
        max_error: Duration::from_micros(u64::try_from(timex.maxerror).unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_kept_within_its_limit_or_unhealthy() {
        let limit = |millis| ClockLimits { max_error: Some(Duration::from_millis(millis)) };
        let state = ClockState { is_synchronised: true, max_error: Duration::from_millis(500) };
        assert_eq!(judge(state, limit(500)), Verdict::Healthy);
        assert_eq!(judge(state, ClockLimits { max_error: None }), Verdict::Healthy);
        assert_eq!(
            judge(state, limit(499)),
            Verdict::Unhealthy("the clock may be wrong by 500ms, the threshold is 499ms".to_owned())
        );
        let state = ClockState { is_synchronised: false, ..state };
        assert_eq!(judge(state, limit(500)), Verdict::Unhealthy("the clock is not synchronised".to_owned()));
    }

    #[test]
    fn this_kernel_tells_of_its_clock() {
        let state = read().unwrap();
        // The kernel stops counting at 16 s, and then nobody keeps it.
        assert!(state.max_error <= Duration::from_secs(16) || !state.is_synchronised, "{state:?}");
    }
}
