//! Reaping of what nobody else reaps.
//!
//! Where npd is the first process of its PID namespace, as in a container, a process whose parent has died becomes its child, and
//! stays as a zombie until it is waited for. npd does not become a subreaper anywhere else: there such processes have a
//! parent that reaps them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parking_lot::Mutex;

use procfs::process::Stat;
use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use tokio::signal::unix::{SignalKind, signal};

/// A child that has just been started is not known to be ours for a moment; an orphan can lie that long.
const PATIENCE: Duration = Duration::from_secs(1);

/// The processes that are waited for by whoever has started them. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Children {
    own: Arc<Mutex<BTreeSet<i32>>>,
}

// === impl Children ===

impl Children {
    pub(super) fn add(&self, pid: Pid) {
        self.own.lock().insert(pid.as_raw_pid());
    }

    pub(super) fn remove(&self, pid: Pid) {
        self.own.lock().remove(&pid.as_raw_pid());
    }

    /// Reaps all others, for ever, where that is our business.
    pub(super) async fn reap_orphans(self) {
        if !getpid().is_init() {
            return;
        }
        let mut ended = match signal(SignalKind::child()) {
            Ok(ended) => ended,
            Err(error) => return tracing::warn!(%error, "orphans are not reaped: SIGCHLD cannot be listened to"),
        };
        let mut before = BTreeSet::new();
        loop {
            if before.is_empty() && ended.recv().await.is_none() {
                return;
            }
            tokio::time::sleep(PATIENCE).await;
            let mut found = self.foreign_zombies();
            for pid in found.intersection(&before).filter_map(|pid| Pid::from_raw(*pid)) {
                // Somebody else may have been quicker.
                let _reaped = waitpid(Some(pid), WaitOptions::NOHANG);
            }
            found.retain(|pid| !before.contains(pid));
            before = found;
        }
    }

    fn foreign_zombies(&self) -> BTreeSet<i32> {
        let Ok(processes) = procfs::process::all_processes() else { return BTreeSet::new() };
        let stats = processes.filter_map(|process| process.ok()?.stat().ok());
        let zombies = stats.filter(|Stat { ppid, state, .. }| *ppid == 1 && *state == 'Z').map(|stat| stat.pid);
        let zombies: Vec<_> = zombies.collect();
        let own = self.own.lock();
        zombies.into_iter().filter(|pid| !own.contains(pid)).collect()
    }
}
