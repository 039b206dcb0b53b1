//! The syslog priority of a record.

/// The syslog priority of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// 0 (emergency) to 7 (debug).
    pub level: u8,
    /// 0 is the kernel itself; user space cannot forge it.
    pub facility: u16,
}

impl Priority {
    /// A level and a facility.
    #[must_use]
    pub const fn new(facility: u8, level: u8) -> Self {
        Self { level, facility: facility as u16 }
    }
}
