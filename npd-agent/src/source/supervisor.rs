//! Keeps the sources running: each on a thread of its own, restarted whenever it fails, without limit.
//!
//! A source fails by returning an error. A panic ends the whole process, which whatever runs the agent restarts; the state
//! files make that harmless.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::Notify;

use super::{Health, LogSource, SourceError, Stop};
use crate::{back_off::BackOff, component::Components, error::chain, metric::own::AgentMetrics, time::Now};

/// The first pause before a source is restarted; doubled up to the longest while it keeps failing.
pub(crate) const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LONGEST: Duration = Duration::from_mins(1);
/// A source that ran for this long before it failed has not kept failing: the pauses start over.
const STEADY: Duration = Duration::from_mins(5);

/// The running sources.
#[derive(Debug)]
pub(crate) struct Supervisor {
    metrics: AgentMetrics,
    components: Components,
    running: Vec<Running>,
    /// Notified when a thread has ended.
    ended: Arc<Notify>,
}

/// Makes a source, on its thread.
pub(crate) type Build = Box<dyn FnOnce() -> Box<dyn LogSource> + Send>;

/// The outcome of the first attempt to open a source.
pub(crate) type Opened = Receiver<Result<(), SourceError>>;

#[derive(Debug)]
struct Running {
    name: String,
    stop: Stop,
    thread: JoinHandle<()>,
    ended: Arc<AtomicBool>,
}

/// Reports the end of a thread when it is dropped.
struct End {
    ended: Arc<AtomicBool>,
    notify: Arc<Notify>,
}

// === impl Supervisor ===

impl Supervisor {
    /// No source yet.
    #[must_use]
    pub(crate) fn new(metrics: AgentMetrics, components: Components) -> Self {
        Self { metrics, components, running: Vec::new(), ended: Arc::default() }
    }

    /// Starts a source under the name that it has in metrics. The caller may await the outcome of the first attempt to
    /// open it; opening is retried in any case.
    pub(crate) fn start(&mut self, name: &str, build: Build) -> io::Result<Opened> {
        let (first_outcome, opened) = mpsc::sync_channel(1);
        let stop = Stop::new()?;
        let order = stop.clone();
        let component = self.components.add(&format!("source {name}"));
        let health = Health::new(self.metrics.source_up(name), component);
        let restarts = self.metrics.source_restarts(name);
        let name = name.to_owned();
        let source_name = name.clone();
        let ended = Arc::new(AtomicBool::new(false));
        let end = End { ended: Arc::clone(&ended), notify: Arc::clone(&self.ended) };
        let run = move || {
            let _end = end;
            // No span: where the source matters a line names it in its field `source`, which a span would double.
            let mut source = build();
            let mut first = Some(first_outcome);
            let mut back_off = BackOff::new(PAUSE_FIRST, PAUSE_LONGEST);
            loop {
                let started = Now::read().mono;
                health.begin_step();
                let failed = match source.open() {
                    Ok(()) => {
                        if let Some(first) = first.take() {
                            // The caller need not wait for it.
                            drop(first.send(Ok(())));
                        }
                        health.set_up();
                        source.run(&order, &health).err()
                    }
                    Err(error) => Some(error),
                };
                health.end_step();
                let Some(error) = failed else {
                    health.set_down("it has ended");
                    return;
                };
                health.set_down(&chain(&error));
                if Now::read().mono.since(started) >= STEADY {
                    back_off.succeeded();
                }
                let pause = back_off.pause();
                // A caller that awaits the first attempt logs its failure.
                let unlogged = match first.take() {
                    Some(first) => first.send(Err(error)).err().and_then(|unsent| unsent.0.err()),
                    None => Some(error),
                };
                if let Some(error) = unlogged {
                    log_failure(&source_name, &error, pause);
                }
                restarts.inc();
                if order.wait(None, Some(pause)).unwrap_or(true) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name(thread_name(&name)).spawn(run)?;
        self.running.push(Running { name, stop, thread, ended });
        Ok(opened)
    }

    /// Whether there is a source of this name.
    #[must_use]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.running.iter().any(|running| running.name == name)
    }

    /// Ends one source, after it has read what is already there.
    pub(crate) fn stop(&mut self, name: &str) {
        for running in self.running.extract_if(.., |running| running.name == name) {
            running.stop.stop();
            running.join();
        }
    }

    /// Ends all sources.
    pub(crate) fn stop_all(&mut self) {
        for running in &self.running {
            running.stop.stop();
        }
        for running in self.running.drain(..) {
            running.join();
        }
    }

    /// Waits until a source's thread ends without having been stopped.
    pub(crate) async fn broken(&self) {
        while !self.running.iter().any(|running| running.ended.load(Ordering::Acquire)) {
            self.ended.notified().await;
        }
    }
}

/// Logs that a source has failed and will be retried.
pub(crate) fn log_failure(source: &str, error: &SourceError, pause: Duration) {
    tracing::error!(
        source,
        error = error as &dyn std::error::Error,
        again_in_seconds = pause.as_secs(),
        "source failed"
    );
}

// === impl End ===

impl Drop for End {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.notify.notify_one();
    }
}

// === impl Running ===

impl Running {
    fn join(self) {
        // Only where panics unwind, as in tests, can there be an error: the thread's own message has said why.
        drop(self.thread.join());
    }
}

/// The kernel shows 15 bytes of a thread's name.
fn thread_name(source: &str) -> String {
    source.split(':').next().unwrap_or(source).to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use prometheus::Registry;

    use super::*;

    /// Fails to open `opens` times, then fails to run `runs` times, then runs.
    struct Flaky {
        opens: usize,
        runs: usize,
        count: Arc<AtomicUsize>,
    }

    impl LogSource for Flaky {
        fn open(&mut self) -> Result<(), SourceError> {
            if self.opens > 0 {
                self.opens -= 1;
                return Err(SourceError::new(io::Error::other("not yet")));
            }
            Ok(())
        }

        fn run(&mut self, stop: &Stop, _health: &Health) -> Result<(), SourceError> {
            if self.runs > 0 {
                self.runs -= 1;
                return Err(SourceError::new(io::Error::other("it died")));
            }
            self.count.fetch_add(1, Ordering::SeqCst);
            stop.wait(None, None).map(|_| ()).map_err(SourceError::new)
        }
    }

    fn start(opens: usize, runs: usize) -> (Supervisor, Opened, Arc<AtomicUsize>, AgentMetrics) {
        let metrics = AgentMetrics::register(&Registry::new()).unwrap();
        let mut supervisor = Supervisor::new(metrics.clone(), Components::default());
        let count = Arc::new(AtomicUsize::new(0));
        let source = Flaky { opens, runs, count: Arc::clone(&count) };
        let opened = supervisor.start("test:x", Box::new(|| Box::new(source))).unwrap();
        (supervisor, opened, count, metrics)
    }

    /// What the module says of panics is true of what is shipped.
    #[test]
    fn a_panic_in_a_release_build_ends_the_process() {
        let manifest = include_str!("../../../Cargo.toml");
        let (_, profile) = manifest.split_once("\n[profile.release]\n").unwrap();
        let profile = profile.split("\n[").next().unwrap();
        assert!(profile.lines().any(|line| line == r#"panic = "abort""#), "{profile}");
    }

    fn wait_until(mut holds: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(std::time::Instant::now() < deadline, "it never happened");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_source_that_fails_is_restarted_until_it_runs() {
        let (mut supervisor, opened, count, metrics) = start(1, 1);
        assert_eq!(opened.recv().unwrap().unwrap_err().to_string(), "not yet");
        wait_until(|| count.load(Ordering::SeqCst) == 1);
        assert_eq!(metrics.source_restarts("test:x").get(), 2);
        assert_eq!(metrics.source_up("test:x").get(), 1);
        supervisor.stop_all();
        assert_eq!(metrics.source_up("test:x").get(), 0);
    }

    #[tokio::test]
    async fn a_thread_that_ends_by_itself_is_noticed() {
        let (mut supervisor, _, count, _) = start(0, 0);
        wait_until(|| count.load(Ordering::SeqCst) == 1);
        let running = tokio::time::timeout(Duration::from_millis(50), supervisor.broken()).await;
        assert!(running.is_err(), "it runs");
        supervisor.running[0].stop.stop();
        tokio::time::timeout(Duration::from_secs(20), supervisor.broken()).await.unwrap();
        supervisor.stop_all();
    }

    #[test]
    fn a_source_that_waits_for_its_next_start_stops_at_once() {
        let (mut supervisor, opened, count, _) = start(usize::MAX, 0);
        assert!(opened.recv().unwrap().is_err());
        let begun = std::time::Instant::now();
        supervisor.stop_all();
        assert!(begun.elapsed() < PAUSE_FIRST);
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}
