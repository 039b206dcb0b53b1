//! Waiting for a state of the outside world that cannot wake us: look, pause briefly, look again, until a deadline.
//!
//! What can wake us (a line of the agent's log) is waited for in [`agent::log`](crate::driver::agent::log) instead.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How long a state may take that normally comes within milliseconds; long, because the machine may be busy.
pub const SOON: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again until `look` sees something, and gives that.
///
/// # Errors
///
/// When nothing was seen within `limit`, or as soon as `look` fails.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look().with_context(|| format!("while waiting for {what}"))? {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            bail!("waited {limit:?} for {what} in vain");
        }
        pause(PAUSE);
    }
}

/// Looks again and again until `holds` is true.
///
/// # Errors
///
/// As [`wait_for`].
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
    wait_for(what, limit, || Ok(holds().then_some(())))
}

/// Lets time pass: for the age of a record, the pace of a load or the length of a measurement, never to wait for
/// something to happen.
pub fn pause(length: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the one place where these tests let time pass")]
    thread::sleep(length);
}
