//! The eBPF probes: the list of them, loading and attaching them, and the state of each.

use std::fmt;

use npd_common::Kind;

#[cfg(feature = "ebpf")]
mod loaded;
#[cfg(not(feature = "ebpf"))]
#[path = "probes/absent.rs"]
mod loaded;
#[cfg(feature = "ebpf")]
mod ring;

pub(crate) use loaded::{Counters, Probes, ProbesRing};

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// The kind of its records.
    pub kind: Kind,
    /// Its name in logs and metrics.
    pub name: &'static str,
    /// The tracepoint's group.
    pub group: &'static str,
    /// The tracepoint.
    pub tracepoint: &'static str,
    /// The tracepoint to use instead on kernels that lack the first.
    pub fallback: Option<&'static str>,
}

/// All probes.
pub(crate) const PROBES: [Probe; 7] = [
    Probe::new(Kind::Printk, "printk", "printk", "console"),
    Probe::new(Kind::HungTask, "hung_task", "sched", "sched_process_hang"),
    Probe::new(Kind::OomVictim, "oom_victim", "oom", "mark_victim"),
    Probe {
        fallback: Some("block_rq_complete"),
        ..Probe::new(Kind::BlockError, "block_error", "block", "block_rq_error")
    },
    Probe::new(Kind::Ext4Error, "ext4_error", "ext4", "ext4_error"),
    Probe::new(Kind::Ext4Shutdown, "ext4_shutdown", "ext4", "ext4_shutdown"),
    Probe::new(Kind::XfsShutdown, "xfs_shutdown", "xfs", "xfs_force_shutdown"),
];

/// The state of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeState {
    /// It is attached and works.
    Active,
    /// The kernel, or this build, does not have it. Normal for drivers that are not loaded.
    Unsupported,
    /// The kernel has it but does not allow this process to use it.
    Forbidden,
    /// It is attached, but what it should see does not arrive; or the kernel refuses it for an unknown reason.
    Broken,
}

/// A probe and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProbeReport {
    /// The probe.
    pub probe: Probe,
    /// Its state.
    pub state: ProbeState,
    /// Why it is not active, or how it is attached.
    pub why: String,
}

// === impl Probe ===

impl Probe {
    const fn new(kind: Kind, name: &'static str, group: &'static str, tracepoint: &'static str) -> Self {
        Self { kind, name, group, tracepoint, fallback: None }
    }

    /// A report of this probe.
    #[must_use]
    pub(crate) fn report(self, state: ProbeState, why: impl Into<String>) -> ProbeReport {
        ProbeReport { probe: self, state, why: why.into() }
    }
}

impl fmt::Display for Probe {
    /// `group:tracepoint`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}", self.group, self.tracepoint))
    }
}

// === impl ProbeState ===

impl ProbeState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Active, Self::Unsupported, Self::Forbidden, Self::Broken];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unsupported => "unsupported",
            Self::Forbidden => "forbidden",
            Self::Broken => "broken",
        }
    }

    /// The state that the kernel's refusal stands for.
    #[cfg(feature = "ebpf")]
    #[must_use]
    pub(crate) fn of_error(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<std::io::Error>() {
                return match error.kind() {
                    std::io::ErrorKind::NotFound => Self::Unsupported,
                    std::io::ErrorKind::PermissionDenied => Self::Forbidden,
                    _ => Self::Broken,
                };
            }
            cause = error.source();
        }
        Self::Broken
    }
}

impl fmt::Display for ProbeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
