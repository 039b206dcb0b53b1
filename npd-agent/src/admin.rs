//! How the agent itself is doing, for the kubelet, for systemd and for people: HTTP pages and sd_notify(3).

pub mod http;
pub mod listener;
mod readiness;
pub mod server;
pub mod systemd;
