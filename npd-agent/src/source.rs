//! Where records come from: the kernel log, log files and the journal.
//!
//! A source reads on a thread of its own and passes its records to a [`subscriber`]. It knows neither
//! monitors nor rules. The [`supervisor`] starts it, and restarts it whenever it fails.

pub(crate) mod file;
pub mod journal;
pub mod kernel;
pub(crate) mod subscriber;
pub(crate) mod supervisor;

use std::{
    error::Error,
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use prometheus::IntGauge;
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::Errno,
};

use crate::{component::Component, time::timespec};

/// A source of records. It lives on one thread, which it may block.
pub trait LogSource {
    /// Opens what is to be read.
    fn open(&mut self) -> Result<(), SourceError>;

    /// Reads until `stop`, and then what is still there. While the log cannot be read, for example because the file
    /// does not exist yet, `health` is set down.
    fn run(&mut self, stop: &Stop, health: &Health) -> Result<(), SourceError>;
}

/// Why a source cannot be read.
#[derive(Debug)]
pub struct SourceError {
    error: Box<dyn Error + Send + Sync>,
    is_refusal: bool,
}

/// A request to stop. Clones are the same request.
#[derive(Clone, Debug)]
pub struct Stop(Arc<OwnedFd>);

/// Whether a source can be read, as shown to the outside.
#[derive(Debug)]
pub struct Health {
    up: IntGauge,
    component: Component,
}

// === impl SourceError ===

impl SourceError {
    /// Any error as the reason.
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self { error: Box::new(error), is_refusal: false }
    }

    /// The user asked for a way of reading the source that is not available here: the agent must not start.
    pub fn refusal(error: impl Error + Send + Sync + 'static) -> Self {
        Self { error: Box::new(error), is_refusal: true }
    }

    /// Whether the agent must not start.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.is_refusal
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

// === impl Stop ===

impl Stop {
    /// A request that has not been made yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Makes the request.
    pub fn stop(&self) {
        // It can only fail if it was made 2^64 times.
        rustix::io::write(&*self.0, &1_u64.to_ne_bytes()).unwrap_or_default();
    }

    /// Waits for the request, for something to read in `other`, or for `timeout`, forever without one. `true` if it
    /// was the request.
    pub fn wait(&self, other: Option<BorrowedFd<'_>>, timeout: Option<Duration>) -> io::Result<bool> {
        let fd = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        // Without another descriptor this one is watched twice.
        let mut fds = [fd(self.as_fd()), fd(other.unwrap_or(self.as_fd()))];
        match poll(&mut fds, timeout.map(timespec).as_ref()) {
            Ok(_) => Ok(fds[0].revents().contains(PollFlags::IN)),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the request was made.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.wait(None, Some(Duration::ZERO)).unwrap_or(true)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

// === impl Health ===

impl Health {
    /// Shows the health in a gauge and as a component of the agent.
    #[must_use]
    pub fn new(up: IntGauge, component: Component) -> Self {
        up.set(0);
        Self { up, component }
    }

    /// The source can be read now.
    pub fn set_up(&self) {
        self.up.set(1);
        self.component.set_ready();
    }

    /// Which of several ways to read the source is used.
    pub fn set_mode(&self, way: &'static str) {
        self.component.set_mode(way);
    }

    /// The source cannot be read now.
    pub fn set_down(&self, why: &str) {
        self.up.set(0);
        self.component.set_waiting(why);
    }

    /// A sign of life: a step of reading begins.
    pub fn begin_step(&self) {
        self.component.begin_step();
    }

    /// There is nothing to read for now.
    pub fn end_step(&self) {
        self.component.end_step();
    }
}
