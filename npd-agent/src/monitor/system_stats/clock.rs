//! How right the clock of the node is, as the kernel knows it from whoever disciplines it.

use std::io;

use super::{
    Collector,
    node::{CollectError, Node},
    sample::Samples,
    table::MetricId,
};
use crate::time::Monotonic;

/// What the kernel knows of its clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockState {
    /// What it has still to correct, seconds.
    pub offset: f64,
    /// How wrong the clock can be, seconds.
    pub maximum_error: f64,
    /// Whether somebody disciplines it.
    pub synchronized: bool,
}

/// The collector of `clock`.
pub(super) struct Clock;

impl Collector for Clock {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let ask = |source| CollectError::Ask { what: "the state of the clock".to_owned(), source };
        let state = (node.clock)().map_err(ask)?;
        out.add(MetricId::ClockOffset, [], state.offset);
        out.add(MetricId::ClockMaximumError, [], state.maximum_error);
        out.add(MetricId::ClockSynchronized, [], f64::from(u8::from(state.synchronized)));
        Ok(())
    }
}

/// Asks this machine's kernel. Time namespaces do not hide the real clock, and reading it takes no privilege.
pub(super) fn read() -> io::Result<ClockState> {
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
    let fine = timex.status & libc::STA_NANO != 0;
    Ok(ClockState {
        offset: timex.offset as f64 / if fine { 1e9 } else { 1e6 },
        maximum_error: timex.maxerror as f64 / 1e6,
        synchronized: timex.status & libc::STA_UNSYNC == 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_its_clock_and_nothing_is_changed() {
        let state = read().unwrap();
        assert!(state.offset.abs() < 1.0, "the kernel corrects at most half a second in this way: {state:?}");
        assert!(state.maximum_error >= 0.0);
        assert_eq!(read().unwrap().synchronized, state.synchronized);
    }
}
