//! One record of a log, on its way from a source to the monitors.

use crate::{kernel::kmsg::Priority, problem::Fields, time::Timestamp};

/// A record, borrowed from where it was read: nothing is copied for the many that are nobody's problem.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its text, any bytes, without a trailing newline.
    pub text: &'a [u8],
    /// When it was written.
    pub at: Timestamp,
    /// Its syslog priority, where the source tells.
    pub priority: Option<Priority>,
    /// What is known beyond the text.
    pub fields: &'a Fields,
    /// Whether its problem was reported before, so that it is context and no news.
    pub known: bool,
}

/// Where the records of a source go. It is called on the source's own thread and must not block for long.
pub trait RecordSink: Send {
    /// Takes the next record.
    fn record(&mut self, record: &Record<'_>);
}

impl<F: FnMut(&Record<'_>) + Send> RecordSink for F {
    fn record(&mut self, record: &Record<'_>) {
        self(record);
    }
}
