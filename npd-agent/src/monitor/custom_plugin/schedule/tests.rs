use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::time::{advance, sleep};

use super::*;
use crate::monitor::custom_plugin::{CheckStatus, Outcome, check::Pending};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A check that takes a given time.
#[derive(Clone)]
struct Sleeper {
    takes: Duration,
    /// How long it cannot be ended after that.
    stuck: Option<Duration>,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Check for Sleeper {
    fn run<'a>(&'a mut self, _: Duration, stop: &'a CancellationToken) -> Pending<'a, Option<Run>> {
        Box::pin(async move {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            let stopped = tokio::select! {
                () = sleep(self.takes) => false,
                () = stop.cancelled() => true,
            };
            self.running.fetch_sub(1, Ordering::SeqCst);
            if stopped {
                return None;
            }
            let mut ran = Run::from(Outcome::new(CheckStatus::Ok, ""));
            if let Some(stuck) = self.stuck {
                ran.leftover = Some(Box::pin(sleep(stuck)));
            }
            Some(ran)
        })
    }
}

type Ends = Arc<Mutex<BTreeMap<usize, Vec<Duration>>>>;

/// Checks at work.
struct Work {
    stop: CancellationToken,
    tasks: TaskTracker,
    /// By rule, when its runs have ended.
    ends: Ends,
    most: Arc<AtomicUsize>,
}

impl Work {
    /// Checks with their intervals and lengths in milliseconds, and how long they are stuck after.
    fn start(concurrency: usize, checks: &[(u64, u64, Option<u64>)]) -> Self {
        let (running, most) = (Arc::default(), Arc::<AtomicUsize>::default());
        let scheduled = checks.iter().map(|(interval, takes, stuck)| Scheduled {
            interval: Duration::from_millis(*interval),
            timeout: Duration::from_secs(5),
            check: Box::new(Sleeper {
                takes: Duration::from_millis(*takes),
                stuck: stuck.map(Duration::from_millis),
                running: Arc::clone(&running),
                most: Arc::clone(&most),
            }),
        });
        let (stop, tasks, ends) = (CancellationToken::new(), TaskTracker::new(), Ends::default());
        let began = Instant::now();
        let on_finished: OnFinished = {
            let ends = Arc::clone(&ends);
            Arc::new(move |rule, _, _| ends.lock().unwrap().entry(rule).or_default().push(began.elapsed()))
        };
        start(scheduled, NonZeroUsize::new(concurrency).unwrap(), &stop, &tasks, &on_finished);
        Self { stop, tasks, ends, most }
    }

    /// When the runs of a rule have ended, in milliseconds.
    fn ends(&self, rule: usize) -> Vec<u128> {
        self.ends.lock().unwrap().get(&rule).into_iter().flatten().map(Duration::as_millis).collect()
    }
}

async fn pass(milliseconds: u32) {
    for _ in 0..milliseconds {
        advance(MILLISECOND).await;
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_rule_runs_at_once_and_then_at_its_own_interval() {
    let work = Work::start(3, &[(100, 1, None), (250, 1, None)]);
    pass(620).await;
    let near = |found: Vec<u128>, expected: &[u128]| {
        let fits = found.iter().zip(expected).all(|(found, expected)| found.abs_diff(*expected) <= 3);
        assert!(fits && found.len() == expected.len(), "{found:?} {expected:?}");
    };
    near(work.ends(0), &[1, 101, 201, 301, 401, 501, 601]);
    near(work.ends(1), &[1, 251, 501]);
}

#[tokio::test(start_paused = true)]
async fn no_more_checks_run_at_once_than_permitted() {
    let work = Work::start(3, &[(100, 10, None); 20]);
    pass(100).await;
    assert_eq!(work.most.load(Ordering::SeqCst), 3);
    assert!((0..20).all(|rule| !work.ends(rule).is_empty()), "all have had their turn");
    let firsts: Vec<_> = (0..20).map(|rule| work.ends(rule)[0]).collect();
    assert!(firsts.is_sorted(), "in the order of the file: {firsts:?}");
}

/// Where node-problem-detector lets the rules of an interval wait for the slowest.
#[tokio::test(start_paused = true)]
async fn a_slow_rule_does_not_delay_others() {
    let work = Work::start(2, &[(10, 1000, None), (10, 1, None)]);
    pass(200).await;
    assert!(work.ends(0).is_empty());
    assert!(work.ends(1).len() >= 18, "{:?}", work.ends(1));
}

#[tokio::test(start_paused = true)]
async fn a_rule_never_overlaps_itself_and_makes_up_for_one_missed_run() {
    let work = Work::start(8, &[(100, 250, None)]);
    pass(1060).await;
    assert_eq!(work.most.load(Ordering::SeqCst), 1);
    let ends = work.ends(0);
    assert!(ends.len() == 4, "at 0, 250, 500 and 750: {ends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stuck_rule_gives_up_its_permit_and_does_not_run_until_it_ends() {
    let work = Work::start(1, &[(10, 1, Some(500)), (10, 1, None)]);
    pass(400).await;
    assert_eq!(work.ends(0).len(), 1);
    assert!(work.ends(1).len() > 30, "{:?}", work.ends(1));
    pass(200).await;
    assert_eq!(work.ends(0).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_running_waiting_and_stuck_checks() {
    let work = Work::start(1, &[(10, 100_000, None), (10, 1, None)]);
    let stuck = Work::start(1, &[(10, 1, Some(100_000))]);
    pass(50).await;
    for work in [&work, &stuck] {
        work.stop.cancel();
        work.tasks.close();
    }
    pass(1).await;
    assert!(work.tasks.is_empty() && stuck.tasks.is_empty());
    assert!(work.ends(0).is_empty(), "a stopped run is not reported");
}
