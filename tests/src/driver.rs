//! Runs the built programs as an operator would and watches them; runs the tests themselves.

pub mod agent;
pub mod binary;
pub mod machine;
pub mod monitor;
pub mod poll;
pub mod process;
pub mod program;
pub mod suite;
