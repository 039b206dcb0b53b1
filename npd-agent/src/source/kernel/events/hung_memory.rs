//! Which tasks were known to hang, across a restart of the agent: khungtaskd reports a hang again and again, and a restarted
//! agent must not take that for a new hang.

use serde::{Deserialize, Serialize};

use super::hung::HungTasks;
use crate::{
    node::tasks::TaskState,
    state::{Keep, Kept, StateFile, warn_on_error},
    time::{Monotonic, Now},
};

/// The known hangs, saved in a file.
#[derive(Debug)]
pub(crate) struct HungMemory {
    file: Option<StateFile>,
    saved: Vec<KnownHang>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownHang {
    pid: u32,
    comm: String,
    start: u64,
    switches: u64,
}

// === impl HungMemory ===

impl HungMemory {
    pub(crate) fn new(file: Option<StateFile>) -> Self {
        Self { file, saved: Vec::new() }
    }

    /// The hangs that were known when the agent ended. Those that are over are noticed by the first check.
    pub(crate) fn load(&mut self, now: Monotonic) -> HungTasks {
        let mut tasks = HungTasks::default();
        let Some(file) = &mut self.file else { return tasks };
        if let Some(Some(Kept { state, before_boot: false, .. })) = warn_on_error(file.load::<Vec<KnownHang>>()) {
            for hang in &state {
                let task = TaskState { start: hang.start, switches: hang.switches, uninterruptible: true };
                tasks.remember(hang.pid, hang.comm.clone(), task, now);
            }
            self.saved = state;
        }
        tasks
    }

    /// Saves the hangs if they have changed.
    pub(crate) fn save(&mut self, tasks: &HungTasks) {
        let Some(file) = &mut self.file else { return };
        let hang = |(pid, comm, task): (u32, &str, TaskState)| KnownHang {
            pid,
            comm: comm.to_owned(),
            start: task.start,
            switches: task.switches,
        };
        let known: Vec<_> = tasks.known().map(hang).collect();
        if known == self.saved {
            return;
        }
        let keep = Keep { position: None, doubt: None, at: Now::read().wall, state: &known };
        file.save_or_warn(&keep, true);
        self.saved = known;
    }
}
