//! Real kernel problems, and the built agent driven against them.
//!
//! What is in here is shared by the test programs of this crate and by `npd-bench`: [`agent`] starts and watches the
//! agent as an operator would see it, [`apiserver`] is the cluster that it reports to, [`deploy`] renders what a cluster is to run, [`fault`] breaks the machine for a moment and mends it again, [`suite`] runs
//! the tests one by one and counts those that cannot run here. Nothing in here knows the agent's inside.

pub mod agent;
pub mod apiserver;
pub mod binary;
pub mod container;
pub mod deploy;
pub mod documents;
pub mod fault;
pub mod journald_namespace;
pub mod kmsg;
pub mod machine;
pub mod monitor;
pub mod network_namespace;
pub mod node;
pub mod poll;
pub mod process;
pub mod program;
pub mod schema;
pub mod suite;

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
