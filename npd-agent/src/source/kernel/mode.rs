//! The ways to read the kernel log: what the user may ask for, and what the self-test chooses.

/// How the user wants the kernel log to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelSource {
    /// The best way that passes the self-test.
    #[default]
    Auto,
    /// Through the probe, or not at all.
    Ebpf,
    /// /dev/kmsg alone.
    Kmsg,
    /// The journal's copy of it.
    Journald,
}

/// How the kernel log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The probe's lines, in the order of their sequence numbers; /dev/kmsg fills the gaps.
    ProbeAndKmsg,
    /// /dev/kmsg's lines; the probe only wakes the reader.
    Doorbell,
    /// The probe's lines alone.
    Probe,
    /// /dev/kmsg alone.
    Kmsg,
    /// The journal's copy of the kernel log.
    Journald,
}

// === impl Mode ===

impl Mode {
    /// All modes.
    pub const ALL: [Self; 5] = [Self::ProbeAndKmsg, Self::Doorbell, Self::Probe, Self::Kmsg, Self::Journald];

    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProbeAndKmsg => "probe+kmsg",
            Self::Doorbell => "doorbell",
            Self::Probe => "probe",
            Self::Kmsg => "kmsg",
            Self::Journald => "journald",
        }
    }
}
