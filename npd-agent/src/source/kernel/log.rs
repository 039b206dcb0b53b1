//! The kernel log of the process: one ring, one /dev/kmsg, one thread, for any number of monitors.
//! It runs on the thread that opens it.
//!
//! How it reads the kernel log is a [`Mode`], chosen by a self-test at the start and again whenever the two streams
//! disagree: a line is written to /dev/kmsg and must come back through the probe. The thread sleeps in epoll on
//! both streams. Either wakes it: the ring within microseconds, /dev/kmsg at the next timer tick.

use std::{io, path::PathBuf};

use super::{
    kmsg::KmsgError,
    metrics::KernelMetrics,
    mode::{KernelSource, Mode},
    probes::{ProbeReport, ProbeState},
};
use crate::{
    node::Node,
    source::{Health, Stop, kernel::driver::Driver, subscriber::Subscriber},
    state::StateFile,
};

/// What to open.
#[derive(Clone, Debug)]
pub struct KernelLogOptions {
    /// How to read it, as chosen by the user.
    pub source: KernelSource,
    /// The size of the ring buffer in bytes: a power of two, at least a page.
    pub ring_size: u32,
    /// Whether the probes print diagnostics.
    pub probe_diagnostics: bool,
    /// `/dev/kmsg`.
    pub kmsg: PathBuf,
    /// The node, for what the events do not say themselves.
    pub node: Node,
}

/// Why there is no kernel log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KernelLogError {
    /// Neither stream can be read.
    #[error(
        "the kernel log cannot be read, neither through the probe ({probe}) nor from /dev/kmsg. Run as root, or with CAP_SYSLOG for \
         /dev/kmsg and CAP_BPF and CAP_PERFMON for the probes"
    )]
    Nothing {
        /// Why there is no probe.
        probe: String,
        /// Why /dev/kmsg cannot be read.
        source: KmsgError,
    },
    /// Only /dev/kmsg was asked for.
    #[error("--kernel-source=kmsg: reading the kernel log needs CAP_SYSLOG and /dev/kmsg")]
    NoKmsg(#[source] KmsgError),
    /// The probe was asked for.
    #[error(
        "--kernel-source=ebpf: the printk probe is {state} ({why}). It needs CAP_BPF and CAP_PERFMON; \
         --kernel-source=auto works without it"
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

/// The open kernel log.
pub(crate) struct KernelLog {
    driver: Driver,
}

/// Where an earlier run of the agent stopped.
#[derive(Debug, Default)]
pub(crate) struct Resume {
    /// The newest record that was accepted: what is missing after it is lost.
    pub newest: Option<u64>,
    /// The tasks that were known to hang.
    pub hung: Option<StateFile>,
}

// === impl KernelLog ===

impl KernelLog {
    /// Opens the kernel log, tests it, and passes the records that it still holds to `subscriber`.
    pub(crate) fn open(
        options: KernelLogOptions,
        resume: Resume,
        subscriber: Box<dyn Subscriber>,
        metrics: KernelMetrics,
    ) -> Result<Self, KernelLogError> {
        Ok(Self { driver: Driver::open(options, resume, subscriber, metrics)? })
    }

    /// How it is read.
    #[must_use]
    pub(crate) fn mode(&self) -> Mode {
        self.driver.mode
    }

    /// The state of each probe.
    #[must_use]
    pub(crate) fn probes(&self) -> &[ProbeReport] {
        &self.driver.reports
    }

    /// Reads until `stop`, and then what is there.
    pub(crate) fn run(&mut self, stop: &Stop, health: &Health) -> Result<(), KernelLogError> {
        self.driver.run(stop, health)
    }
}
