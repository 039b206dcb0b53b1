//! Keeps the sources running: each on a thread of its own, started anew whenever it fails, for ever.

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
use crate::{component::Components, error::chain, metric::own::AgentMetrics, time::Now};

/// The first pause before a source is started anew; doubled up to the longest while it keeps failing.
pub const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LONGEST: Duration = Duration::from_mins(1);
/// A source that ran so long has not kept failing.
const STEADY: Duration = Duration::from_mins(5);

/// The running sources.
#[derive(Debug)]
pub struct Supervisor {
    metrics: AgentMetrics,
    components: Components,
    running: Vec<Running>,
    /// Some thread has ended.
    ended: Arc<Notify>,
}

/// What makes a source, on its thread.
pub type Build = Box<dyn FnOnce() -> Box<dyn LogSource> + Send>;

/// How the first attempt to open a source went.
pub type Opened = Receiver<Result<(), SourceError>>;

#[derive(Debug)]
struct Running {
    name: String,
    stop: Stop,
    thread: JoinHandle<()>,
    ended: Arc<AtomicBool>,
}

/// Tells of a thread's end, however it ends.
struct End {
    ended: Arc<AtomicBool>,
    tell: Arc<Notify>,
}

// === impl Supervisor ===

impl Supervisor {
    /// No source yet.
    #[must_use]
    pub fn new(metrics: AgentMetrics, components: Components) -> Self {
        Self { metrics, components, running: Vec::new(), ended: Arc::default() }
    }

    /// Starts a source under the name that metrics have for it. How its first opening went can be waited for; it is
    /// tried again in any case.
    pub fn start(&mut self, name: &str, build: Build) -> io::Result<Opened> {
        let (tell, opened) = mpsc::sync_channel(1);
        let stop = Stop::new()?;
        let order = stop.clone();
        let component = self.components.add(&format!("source {name}"));
        let health = Health::new(self.metrics.source_up(name), component);
        let restarts = self.metrics.source_restarts(name);
        let name = name.to_owned();
        let source_name = name.clone();
        let ended = Arc::new(AtomicBool::new(false));
        let end = End { ended: Arc::clone(&ended), tell: Arc::clone(&self.ended) };
        let run = move || {
            let _end = end;
            let mut source = build();
            let mut first = Some(tell);
            let mut pause = PAUSE_FIRST;
            loop {
                let started = Now::read().mono;
                health.begin_step();
                let failed = match source.open() {
                    Ok(()) => {
                        if let Some(first) = first.take() {
                            // Nobody may be waiting, and that is fine.
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
                    pause = PAUSE_FIRST;
                }
                // Who waits for the first attempt tells of it himself.
                let untold = match first.take() {
                    Some(first) => first.send(Err(error)).err().and_then(|unsent| unsent.0.err()),
                    None => Some(error),
                };
                if let Some(error) = untold {
                    log_failure(&source_name, &error, pause);
                }
                restarts.inc();
                if order.wait(None, Some(pause)).unwrap_or(true) {
                    return;
                }
                pause = (pause * 2).min(PAUSE_LONGEST);
            }
        };
        let thread = std::thread::Builder::new().name(thread_name(&name)).spawn(run)?;
        self.running.push(Running { name, stop, thread, ended });
        Ok(opened)
    }

    /// Whether there is a source of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.running.iter().any(|running| running.name == name)
    }

    /// Ends one source; it takes what is there before.
    pub fn stop(&mut self, name: &str) {
        for running in self.running.extract_if(.., |running| running.name == name) {
            running.stop.stop();
            running.join();
        }
    }

    /// Ends all sources.
    pub fn stop_all(&mut self) {
        for running in &self.running {
            running.stop.stop();
        }
        for running in self.running.drain(..) {
            running.join();
        }
    }

    /// Waits until a source's thread ends although nobody told it to.
    pub async fn broken(&self) {
        while !self.running.iter().any(|running| running.ended.load(Ordering::Acquire)) {
            self.ended.notified().await;
        }
    }
}

/// Tells of a source that has failed and is tried again.
pub fn log_failure(source: &str, error: &SourceError, pause: Duration) {
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
        self.tell.notify_one();
    }
}

// === impl Running ===

impl Running {
    fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!(source = self.name, "a source's thread panicked");
        }
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

    /// Fails to open so often, then fails to run so often, then runs.
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

    fn wait_until(mut holds: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(std::time::Instant::now() < deadline, "it never came");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_source_that_fails_is_started_anew_until_it_runs() {
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
