//! When checks run: each at its own interval, with bounded concurrency, and never overlapping itself.
//!
//! Each rule has a task. At the start all run in the order of the file. If a run takes longer than the interval, one of
//! the missed runs is made up for. In node-problem-detector all rules of one interval wait for the slowest; here no rule
//! waits for another, only for a permit.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use super::{Check, Run};

/// A check and its times.
pub struct Scheduled {
    /// The time between the starts of two runs.
    pub interval: Duration,
    /// How long a run may take.
    pub timeout: Duration,
    /// What runs.
    pub check: Box<dyn Check>,
}

/// Called after each run with the index of the check, the run, and how long it took.
pub type OnFinished = Arc<dyn Fn(usize, Run, Duration) + Send + Sync>;

/// Starts the tasks. They and the running checks end with `stop`.
pub fn start(
    checks: impl IntoIterator<Item = Scheduled>,
    concurrency: NonZeroUsize,
    stop: &CancellationToken,
    tasks: &TaskTracker,
    on_finished: &OnFinished,
) {
    let permits = Arc::new(Semaphore::new(concurrency.get()));
    for (rule, check) in checks.into_iter().enumerate() {
        let (permits, stop, on_finished) = (Arc::clone(&permits), stop.clone(), Arc::clone(on_finished));
        let repeat = async move { repeat(rule, check, &permits, &stop, &on_finished).await };
        tasks.spawn(repeat.in_current_span());
    }
}

async fn repeat(
    rule: usize,
    mut scheduled: Scheduled,
    permits: &Semaphore,
    stop: &CancellationToken,
    on_finished: &OnFinished,
) {
    let mut ticks = interval(scheduled.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let permit = async {
            ticks.tick().await;
            permits.acquire().await
        };
        let permit = tokio::select! {
            permit = permit => permit,
            () = stop.cancelled() => return,
        };
        // The semaphore is never closed.
        let Ok(permit) = permit else { return };
        let began = Instant::now();
        let Some(mut run) = scheduled.check.run(scheduled.timeout, stop).await else { return };
        drop(permit);
        if stop.is_cancelled() {
            return;
        }
        let leftover = run.leftover.take();
        on_finished(rule, run, began.elapsed());
        if let Some(leftover) = leftover {
            tokio::select! {
                () = leftover => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
