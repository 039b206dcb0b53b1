//! The parts that a build can have or lack: cargo's features.
//!
//! A part that a build lacks is still known by name: using it is an error that names the missing feature. The sources
//! differ only where a part begins; there `absent.rs` replaces it.

use std::fmt;

/// A cargo feature of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Custom plugin monitors.
    CustomPlugin,
    /// The eBPF probes.
    Ebpf,
    /// health-checker and its checks in the agent.
    HealthChecks,
    /// The journal's reader.
    Journald,
    /// The Kubernetes exporter.
    Kubernetes,
    /// System stats monitors.
    SystemStats,
}

/// A part that was requested and that this build lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this npd-agent was built without the feature `{0}`")]
pub struct NotBuilt(pub Feature);

// === impl Feature ===

impl Feature {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::CustomPlugin, Self::Ebpf, Self::HealthChecks, Self::Journald, Self::Kubernetes, Self::SystemStats];

    /// Its name for cargo.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CustomPlugin => "custom-plugin",
            Self::Ebpf => "ebpf",
            Self::HealthChecks => "health-checks",
            Self::Journald => "journald",
            Self::Kubernetes => "kubernetes",
            Self::SystemStats => "system-stats",
        }
    }

    /// Whether this build has it.
    #[must_use]
    pub const fn is_built(self) -> bool {
        match self {
            Self::CustomPlugin => cfg!(feature = "custom-plugin"),
            Self::Ebpf => cfg!(feature = "ebpf"),
            Self::HealthChecks => cfg!(feature = "health-checks"),
            Self::Journald => cfg!(feature = "journald"),
            Self::Kubernetes => cfg!(feature = "kubernetes"),
            Self::SystemStats => cfg!(feature = "system-stats"),
        }
    }

    /// An error if this build does not have it.
    pub const fn require(self) -> Result<(), NotBuilt> {
        if self.is_built() { Ok(()) } else { Err(NotBuilt(self)) }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
