//! Events: which are sent and in which order (pure), what waits on disk, and the task that sends them.

pub(crate) mod body;
pub(crate) mod outbox;
pub(crate) mod queue;
pub(crate) mod series;
pub(crate) mod similar;
pub(crate) mod task;

/// The API's limit for the message of an Event, in bytes.
pub(crate) const MESSAGE_MAX: usize = 1024;
