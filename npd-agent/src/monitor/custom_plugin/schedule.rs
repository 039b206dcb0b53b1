//! When checks run: each at its own interval, not too many at once, never one beside itself.
//!
//! Each rule has a task. In the beginning all run in the order of the file; a run that was missed because another took
//! long is made up for once. Where node-problem-detector lets all rules of one interval wait for the slowest, none waits
//! for another here, but for a place.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Check, Outcome, Ran, RunKind};

/// A check and its times.
pub struct Scheduled {
    /// The time between the beginnings of two runs.
    pub interval: Duration,
    /// How long a run may take.
    pub timeout: Duration,
    /// What runs.
    pub check: Box<dyn Check>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The place of the check.
    pub rule: usize,
    /// What it has found out.
    pub outcome: Outcome,
    /// How it went.
    pub kind: RunKind,
    /// What it said besides.
    pub remarks: String,
    /// How long it took.
    pub took: Duration,
}

/// Who is told of runs.
pub type Told = Arc<dyn Fn(Finished) + Send + Sync>;

/// Starts the tasks. They end with `stop`, and with them what they run.
pub fn start(
    checks: impl IntoIterator<Item = Scheduled>,
    concurrency: NonZeroUsize,
    stop: &CancellationToken,
    tasks: &TaskTracker,
    told: &Told,
) {
    let places = Arc::new(Semaphore::new(concurrency.get()));
    for (rule, check) in checks.into_iter().enumerate() {
        let (places, stop, told) = (Arc::clone(&places), stop.clone(), Arc::clone(told));
        tasks.spawn(async move { repeat(rule, check, &places, &stop, &told).await });
    }
}

async fn repeat(rule: usize, mut scheduled: Scheduled, places: &Semaphore, stop: &CancellationToken, told: &Told) {
    let mut ticks = interval(scheduled.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let place = async {
            ticks.tick().await;
            places.acquire().await
        };
        let place = tokio::select! {
            place = place => place,
            () = stop.cancelled() => return,
        };
        // Nobody ever closes it.
        let Ok(place) = place else { return };
        let began = Instant::now();
        let Some(Ran { outcome, kind, remarks, leftover }) = scheduled.check.run(scheduled.timeout, stop).await else {
            return;
        };
        drop(place);
        if stop.is_cancelled() {
            return;
        }
        told(Finished { rule, outcome, kind, remarks, took: began.elapsed() });
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
