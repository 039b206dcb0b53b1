//! Real kernel problems, and the built agent driven against them.
//!
//! Shared by the test programs of this crate and by `npd-bench`. [`driver`] starts and watches the agent as an operator would see it,
//! and runs the tests one by one, counting those that cannot run here. [`cluster`] is the cluster that the agent reports to and what is
//! deployed there. [`host`] breaks the machine for a moment and mends it again. [`documents`] and [`schema`] generate what is written
//! from the code. Nothing in here knows the agent's inside.

pub mod cluster;
pub mod documents;
pub mod driver;
pub mod host;
pub mod schema;

/// A word that no other test, test run or foreign message uses: lower-case letters and digits only.
#[must_use]
pub fn nonce() -> String {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::{SystemTime, UNIX_EPOCH},
    };

    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("n{:x}x{now:x}x{next:x}", std::process::id())
}
