//! What the agent does to its own process: its log, its capabilities, its memory, and what its children inherit.

pub mod capabilities;
pub mod environment;
pub(crate) mod log;
pub mod memory;
