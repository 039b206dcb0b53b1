//! What node-problem-detector's users write because it is a Go program: patterns, times, durations, JSON, flags and
//! quoted text, read and written as Go's standard library does.
//!
//! Each dialect is proven by Go's own test cases. Nothing here knows what npd does with it.

pub mod duration;
pub(crate) mod flag;
pub mod json;
pub mod quote;
pub mod regex;
pub mod time_layout;
