//! The kernel log of the process: one ring, one /dev/kmsg, one thread, however many monitors listen.
//!
//! How it looks at the kernel is a [`Mode`], chosen by a self-test at the start and again whenever what it sees
//! tells it to: a line is written to /dev/kmsg and must come back through the probe. The thread sleeps in epoll on
//! both streams. Each is enough to wake it: the ring within microseconds, /dev/kmsg at the next timer tick.

mod driver;

use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

use self::driver::Driver;
use super::{
    kmsg::KmsgError,
    metrics::KernelMetrics,
    probes::{ProbeReport, ProbeState},
};
use crate::record::RecordSink;

/// Which way the user wants the kernel log read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelSource {
    /// The best that passes the self-test.
    #[default]
    Auto,
    /// The probe, or not at all.
    Ebpf,
    /// /dev/kmsg alone.
    Kmsg,
}

/// The way the kernel log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The probe's lines, in the order of /dev/kmsg's sequence numbers, which fills the holes.
    ProbeAndKmsg,
    /// /dev/kmsg's lines; the probe only says when there are some.
    Doorbell,
    /// The probe's lines alone.
    Probe,
    /// /dev/kmsg alone.
    Kmsg,
}

/// What to open.
#[derive(Clone, Debug)]
pub struct KernelLogOptions {
    /// The way the user wants.
    pub source: KernelSource,
    /// The size of the ring buffer in bytes: a power of two, at least a page.
    pub ring_size: u32,
    /// Whether the probes print diagnostics.
    pub probe_diagnostics: bool,
    /// `/dev/kmsg`.
    pub kmsg: PathBuf,
}

/// Why there is no kernel log.
#[derive(Debug, thiserror::Error)]
pub enum KernelLogError {
    /// Neither stream can be read.
    #[error(
        "the kernel log cannot be read: no probe ({probe}), and /dev/kmsg neither. Run as root, or with CAP_SYSLOG for \
         /dev/kmsg and CAP_BPF and CAP_PERFMON for the probes"
    )]
    Nothing {
        /// Why there is no probe.
        probe: String,
        /// Why /dev/kmsg cannot be read.
        source: KmsgError,
    },
    /// Only /dev/kmsg was asked for.
    #[error("--kernel-source=kmsg: the kernel log cannot be read without CAP_SYSLOG, or without /dev/kmsg")]
    NoKmsg(#[source] KmsgError),
    /// The probe was asked for.
    #[error(
        "--kernel-source=ebpf: the printk probe is {state} ({why}). It needs CAP_BPF and CAP_PERFMON; \
         --kernel-source=auto goes on without it"
    )]
    NoProbe {
        /// Its state.
        state: ProbeState,
        /// Why.
        why: String,
    },
    /// A system call of the thread failed.
    #[error("the kernel log's thread failed while {doing}")]
    System {
        /// What it was doing.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

/// What the start found.
#[derive(Clone, Debug)]
pub struct Started {
    /// The way the kernel log is read.
    pub mode: Mode,
    /// How each probe does.
    pub probes: Vec<ProbeReport>,
}

/// The running kernel log.
#[derive(Debug)]
pub struct KernelLog {
    thread: JoinHandle<Result<(), KernelLogError>>,
    stop: Arc<OwnedFd>,
}

// === impl KernelLog ===

impl KernelLog {
    /// Opens the kernel log, tests it, gives what it still holds of the past to `sink`, and goes on in a thread of
    /// its own.
    pub fn start(
        options: KernelLogOptions,
        sink: Box<dyn RecordSink>,
        metrics: KernelMetrics,
    ) -> Result<(Self, Started), KernelLogError> {
        let system = |doing| move |error: Errno| KernelLogError::System { doing, source: error.into() };
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(system("starting"))?);
        let (tell, started) = mpsc::sync_channel(1);
        let stopped = Arc::clone(&stop);
        let run = move || {
            let mut driver = match Driver::open(options, sink, metrics) {
                Ok(driver) => driver,
                Err(error) => {
                    // The starter waits for exactly this.
                    drop(tell.send(Err(error)));
                    return Ok(());
                }
            };
            drop(tell.send(Ok(Started { mode: driver.mode, probes: driver.reports.clone() })));
            driver.run(&stopped)
        };
        let thread = std::thread::Builder::new()
            .name("kernel-log".into())
            .spawn(run)
            .map_err(|source| KernelLogError::System { doing: "starting", source })?;
        match started.recv() {
            Ok(Ok(started)) => Ok((Self { thread, stop }, started)),
            Ok(Err(error)) => Err(error),
            Err(mpsc::RecvError) => {
                Err(KernelLogError::System { doing: "starting", source: io::Error::other("its thread panicked") })
            }
        }
    }

    /// Takes what is there, ends the thread and gives its last word.
    pub fn stop(self) -> Result<(), KernelLogError> {
        rustix::io::write(&*self.stop, &1_u64.to_ne_bytes())
            .map_err(|error| KernelLogError::System { doing: "stopping", source: error.into() })?;
        self.thread.join().unwrap_or_else(|_| {
            Err(KernelLogError::System { doing: "running", source: io::Error::other("it panicked") })
        })
    }
}

// === impl Mode ===

impl Mode {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::ProbeAndKmsg, Self::Doorbell, Self::Probe, Self::Kmsg];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProbeAndKmsg => "probe+kmsg",
            Self::Doorbell => "doorbell",
            Self::Probe => "probe",
            Self::Kmsg => "kmsg",
        }
    }
}
