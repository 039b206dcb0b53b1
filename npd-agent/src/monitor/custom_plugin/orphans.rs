//! Reaps orphaned processes where npd is PID 1.
//!
//! Where npd is the first process of its PID namespace, as in a container, a process whose parent has died becomes its child, and
//! stays as a zombie until it is waited for. npd does not become a subreaper anywhere else: there such processes have a
//! parent that reaps them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parking_lot::Mutex;

use procfs::process::Stat;
use rustix::process::{Pid, WaitOptions, getpid, waitpid};
use tokio::signal::unix::{SignalKind, signal};

/// A new child is not in the set for a moment, so an orphan is reaped only after this time.
const PATIENCE: Duration = Duration::from_secs(1);

/// The processes that npd has started, which are reaped by their starters. Clones share the set.
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

    /// Reaps all other processes forever, if npd is PID 1.
    pub(super) async fn reap_orphans(self) {
        if !getpid().is_init() {
            return;
        }
        let mut ended = match signal(SignalKind::child()) {
            Ok(ended) => ended,
            Err(error) => return tracing::warn!(%error, "orphans are not reaped: cannot listen for SIGCHLD"),
        };
        let mut before = BTreeSet::new();
        loop {
            if before.is_empty() && ended.recv().await.is_none() {
                return;
            }
            tokio::time::sleep(PATIENCE).await;
            let mut found = self.foreign_zombies();
            for pid in found.intersection(&before).filter_map(|pid| Pid::from_raw(*pid)) {
                // It may have been reaped already.
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
