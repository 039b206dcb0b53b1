//! What the kernel knows of its clock from whoever disciplines it: adjtimex(2), asked without setting anything.
//!
//! Time namespaces do not hide the real clock, and reading it takes no privilege.

use std::{io, time::Duration};

/// The state of the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockState {
    /// What the kernel has still to correct, seconds.
    pub offset: f64,
    /// How wrong the clock can be at most. It grows by 500 ppm while nobody corrects it, up to 16 s.
    pub max_error: Duration,
    /// Nobody disciplines it.
    pub is_unsynchronised: bool,
    /// It is unsynchronised, or what disciplines it has failed.
    pub is_in_error: bool,
}

/// Asks the kernel.
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
    // The offset is in microseconds, or in nanoseconds when it says so.
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
    fn the_kernel_tells_of_its_clock_and_nothing_is_changed() {
        let state = read().unwrap();
        assert!(state.offset.abs() < 1.0, "the kernel corrects at most half a second in this way: {state:?}");
        // The kernel stops counting at 16 s, and then nobody keeps it.
        assert!(state.max_error <= Duration::from_secs(16) || state.is_unsynchronised, "{state:?}");
        assert_eq!(read().unwrap().is_unsynchronised, state.is_unsynchronised);
    }
}
