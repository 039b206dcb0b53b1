//! The hung tasks of the node, followed from the first report to the recovery and across restarts of the agent.
//!
//! This is the edge around [`HungTasks`], which is pure: it reads /proc, writes the state file and sets the gauge.

use std::time::Duration;

use prometheus::IntGauge;

use super::{
    hung::{Episode, HungTasks},
    hung_memory::HungMemory,
    lookup::Lookup as _,
    pairing::Identity,
};
use crate::{
    node::{Node, tasks::TaskState},
    state::StateFile,
    time::{Monotonic, Now},
};

/// How often to check whether a hang is over.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The tasks that hang now.
#[derive(Debug)]
pub(crate) struct HangWatch {
    node: Node,
    tasks: HungTasks,
    memory: HungMemory,
    gauge: IntGauge,
    next_check: Monotonic,
}

// === impl HangWatch ===

impl HangWatch {
    /// Continues with the hangs in `file`; `gauge` shows how many there are.
    pub(crate) fn new(node: Node, file: Option<StateFile>, gauge: IntGauge) -> Self {
        let mut memory = HungMemory::new(file);
        let tasks = memory.load(Now::read().mono);
        Self { node, tasks, memory, gauge, next_check: Monotonic::default() }
    }

    /// The kernel reports a hung task: notes it, and returns whether this hang was known already.
    pub(crate) fn note_event(&mut self, pid: u32, comm: &str, now: Monotonic) -> bool {
        self.note(pid, comm, self.node.task(pid), now)
    }

    /// A line came without an event: without the probe there are only the kernel's lines. Returns whether it reports
    /// a hang that was known already. /proc must show the task in state D, or the line is text that only looks like a
    /// report.
    pub(crate) fn note_line(&mut self, text: &[u8], now: Monotonic) -> bool {
        let Some(Identity::HungTask { pid }) = std::str::from_utf8(text).ok().and_then(Identity::of_line) else {
            return false;
        };
        let state = self.node.task(pid).filter(|state| state.uninterruptible);
        state.is_some() && self.note(pid, "", state, now)
    }

    fn note(&mut self, pid: u32, comm: &str, state: Option<TaskState>, now: Monotonic) -> bool {
        let episode = self.tasks.report(pid, comm, state, self.interval(), now);
        self.show();
        if self.tasks.len() == 1 {
            self.next_check = now.after(CHECK_INTERVAL);
        }
        self.memory.save(&self.tasks);
        episode == Episode::Known
    }

    /// Logs the hangs that are over, if it is time to look for them.
    pub(crate) fn check(&mut self, now: Monotonic) {
        if self.tasks.is_empty() || self.next_check > now {
            return;
        }
        self.next_check = now.after(CHECK_INTERVAL);
        let interval = self.interval();
        for over in self.tasks.check(interval, now, |pid| self.node.task(pid)) {
            tracing::info!(
                pid = over.pid,
                comm = over.comm,
                after_seconds = over.lasted.as_secs_f64(),
                "hung task recovered"
            );
        }
        self.show();
        self.memory.save(&self.tasks);
    }

    /// When [`Self::check`] has to be called next.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        (!self.tasks.is_empty()).then_some(self.next_check)
    }

    fn show(&self) {
        self.gauge.set(i64::try_from(self.tasks.len()).unwrap_or(i64::MAX));
    }

    /// How often khungtaskd looks at the tasks.
    fn interval(&self) -> Duration {
        let secs = self.node.hung_task_interval().or_else(|| self.node.hung_task_timeout()).unwrap_or(120);
        Duration::from_secs(secs)
    }
}
