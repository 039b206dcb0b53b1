//! The Node's conditions: what is to be written and when (pure), and the task that writes it.

pub(crate) mod sync;
pub(crate) mod task;
