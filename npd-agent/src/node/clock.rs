//! What the kernel knows about its clock from the time daemon: adjtimex(2), called without setting anything.
//!
//! Time namespaces do not hide the real clock, and reading it needs no privileges.

use std::{io, time::Duration};

/// The state of the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockState {
    /// The offset that the kernel has yet to correct, seconds.
    pub offset: f64,
    /// Upper bound on the error of the clock. It grows by 500 ppm while the clock is not corrected, up to 16 s.
    pub max_error: Duration,
    /// No time daemon disciplines it.
    pub is_unsynchronised: bool,
    /// It is unsynchronised, or the time daemon has failed.
    pub is_in_error: bool,
}

/// Reads the state from the kernel.
pub fn read() -> io::Result<ClockState> {
    let mut timex = std::mem::MaybeUninit::<libc::timex>::zeroed();
    #[allow(unsafe_code, reason = "no safe crate of ours has adjtimex(2)")]
    // SAFETY: every field of the structure is an integer, so all zeros are a value of it; with no mode set the call
    // changes nothing and fills it.
    let (result, timex) = unsafe {
        let result = libc::adjtimex(timex.as_mut_ptr());
        (result, timex.assume_init())
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // The offset is in microseconds, or in nanoseconds if STA_NANO is set.
    let is_fine = timex.status & libc::STA_NANO != 0;
    Ok(ClockState {
        offset: timex.offset as f64 / if is_fine { 1e9 } else { 1e6 },
        max_error: Duration::from_micros(u64::try_from(timex.maxerror).unwrap_or(0)),
        is_unsynchronised: timex.status & libc::STA_UNSYNC != 0,
        is_in_error: result == libc::TIME_ERROR,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_the_clock_is_read_and_not_changed() {
        let state = read().unwrap();
        assert!(state.offset.abs() < 1.0, "the kernel corrects at most half a second in this way: {state:?}");
        // The kernel stops counting at 16 s, and then the clock is unsynchronised.
        assert!(state.max_error <= Duration::from_secs(16) || state.is_unsynchronised, "{state:?}");
        assert_eq!(read().unwrap().is_unsynchronised, state.is_unsynchronised);
    }
}
