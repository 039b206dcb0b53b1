//! The npd agent.

fn main() {}
