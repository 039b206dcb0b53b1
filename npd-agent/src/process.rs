//! What the programs do to their own process: its log, its signals, its capabilities, its memory, and the environment that
//! its children inherit.

pub mod capabilities;
pub mod environment;
pub mod klog;
pub mod log;
pub mod memory;
pub mod signals;
