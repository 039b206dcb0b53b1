//! What the programs do: one file a verb.

pub mod log_counter;
pub mod replay;
