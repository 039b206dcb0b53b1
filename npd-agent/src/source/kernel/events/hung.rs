//! Which task hangs, since when, and whether it is the same hang as before.
//!
//! khungtaskd looks at all tasks every `hung_task_check_interval_secs` (or `hung_task_timeout_secs`) and fires for
//! each that is in state D and was not scheduled since the timeout. A hang is thus identified by task, start time and
//! number of context switches: while these stay the same, it is the same hang, however often the kernel reports it. Where
//! /proc does not show the task (no host PID namespace), a report that follows the last one in time is taken for
//! the same hang.

use std::{collections::BTreeMap, time::Duration};

use crate::{node::tasks::TaskState, time::Monotonic};

/// The maximum number of hangs that are followed. Beyond it each report counts as new.
const FOLLOWED_MAX: usize = 4096;

/// Whether a report is of a new hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Episode {
    /// The task hangs, or hangs again.
    New,
    /// The hang is known.
    Known,
}

/// A hang that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// The task.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// From the first report to the check that found it over.
    pub lasted: Duration,
}

/// The hangs that are not over.
#[derive(Debug, Default)]
pub(crate) struct HungTasks {
    tasks: BTreeMap<u32, Hang>,
}

#[derive(Debug)]
struct Hang {
    comm: String,
    state: Option<TaskState>,
    since: Monotonic,
    last: Monotonic,
}

// === impl HungTasks ===

impl HungTasks {
    /// The kernel reports a hung task. `state` is what /proc shows now, `interval` is how often the kernel checks.
    pub(crate) fn report(
        &mut self,
        pid: u32,
        comm: &str,
        state: Option<TaskState>,
        interval: Duration,
        now: Monotonic,
    ) -> Episode {
        if let Some(hang) = self.tasks.get_mut(&pid) {
            let same = match (hang.state, state) {
                (Some(then), Some(now)) => (then.start, then.switches) == (now.start, now.switches),
                _ => hang.comm == comm && now.since(hang.last) <= Self::silence(interval),
            };
            hang.last = now;
            if same {
                return Episode::Known;
            }
        }
        if self.tasks.len() < FOLLOWED_MAX || self.tasks.contains_key(&pid) {
            self.tasks.insert(pid, Hang { comm: comm.to_owned(), state, since: now, last: now });
        }
        Episode::New
    }

    /// Removes the hangs that are over and returns them; `look` reads /proc.
    pub(crate) fn check(
        &mut self,
        interval: Duration,
        now: Monotonic,
        look: impl Fn(u32) -> Option<TaskState>,
    ) -> Vec<Recovered> {
        let over = self.tasks.extract_if(.., |pid, hang| match hang.state {
            Some(then) => look(*pid)
                .is_none_or(|now| (then.start, then.switches) != (now.start, now.switches) || !now.uninterruptible),
            None => now.since(hang.last) > Self::silence(interval),
        });
        over.map(|(pid, hang)| Recovered { pid, comm: hang.comm, lasted: now.since(hang.since) }).collect()
    }

    /// The hangs whose task's state is known, with that state.
    pub(crate) fn known(&self) -> impl Iterator<Item = (u32, &str, TaskState)> {
        self.tasks.iter().filter_map(|(pid, hang)| Some((*pid, hang.comm.as_str(), hang.state?)))
    }

    /// Adds a hang that an earlier run of the agent has reported.
    pub(crate) fn remember(&mut self, pid: u32, comm: String, state: TaskState, now: Monotonic) {
        if self.tasks.len() < FOLLOWED_MAX {
            self.tasks.insert(pid, Hang { comm, state: Some(state), since: now, last: now });
        }
    }

    /// How many tasks hang.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether no task hangs.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// How long the kernel must be silent about a hang that /proc does not show until it is taken to be over.
    fn silence(interval: Duration) -> Duration {
        interval * 2 + Duration::from_secs(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn at(secs: u64) -> Monotonic {
        Monotonic::from_nanos(secs * 1_000_000_000)
    }

    fn state(switches: u64) -> TaskState {
        TaskState { start: 5, switches, uninterruptible: true }
    }

    #[test]
    fn a_hang_is_new_once_however_often_the_kernel_reports_it() {
        let mut tasks = HungTasks::default();
        assert_eq!(tasks.report(7, "x", Some(state(1)), INTERVAL, at(0)), Episode::New);
        for secs in [10, 20, 2000] {
            assert_eq!(tasks.report(7, "x", Some(state(1)), INTERVAL, at(secs)), Episode::Known);
        }
        assert_eq!(tasks.len(), 1);
    }

    #[test]
    fn a_task_that_ran_in_between_is_a_new_hang() {
        let mut tasks = HungTasks::default();
        tasks.report(7, "x", Some(state(1)), INTERVAL, at(0));
        assert_eq!(tasks.report(7, "x", Some(state(2)), INTERVAL, at(10)), Episode::New);
    }

    #[test]
    fn another_task_with_the_same_pid_is_a_new_hang() {
        let mut tasks = HungTasks::default();
        tasks.report(7, "x", Some(state(1)), INTERVAL, at(0));
        let other = Some(TaskState { start: 6, switches: 1, uninterruptible: true });
        assert_eq!(tasks.report(7, "x", other, INTERVAL, at(10)), Episode::New);
    }

    #[test]
    fn a_hang_is_over_when_the_task_runs_ends_or_is_another() {
        for now in [None, Some(state(2)), Some(TaskState { start: 9, switches: 1, uninterruptible: true })] {
            let mut tasks = HungTasks::default();
            tasks.report(7, "x", Some(state(1)), INTERVAL, at(0));
            assert_eq!(tasks.check(INTERVAL, at(1), |_| Some(state(1))), []);
            let over = [Recovered { pid: 7, comm: "x".into(), lasted: Duration::from_secs(3) }];
            assert_eq!(tasks.check(INTERVAL, at(3), |_| now), over);
            assert!(tasks.is_empty());
        }
    }

    #[test]
    fn a_task_that_proc_does_not_show_hangs_until_the_kernel_is_silent() {
        let mut tasks = HungTasks::default();
        assert_eq!(tasks.report(7, "x", None, INTERVAL, at(0)), Episode::New);
        assert_eq!(tasks.report(7, "x", None, INTERVAL, at(10)), Episode::Known);
        assert_eq!(tasks.check(INTERVAL, at(30), |_| None), []);
        assert_eq!(tasks.check(INTERVAL, at(32), |_| None).len(), 1);
        assert_eq!(tasks.report(7, "x", None, INTERVAL, at(40)), Episode::New);
    }
}
