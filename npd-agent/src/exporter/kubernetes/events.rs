//! Events: which are sent and in which order (pure), what waits on disk, and the task that sends them.

pub(crate) mod outbox;
pub(crate) mod pacing;
pub(crate) mod queue;
pub(crate) mod series;
pub(crate) mod similar;
pub(crate) mod task;
