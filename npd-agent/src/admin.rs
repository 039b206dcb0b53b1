//! How the agent itself is doing, for the kubelet, for systemd and for people: HTTP pages and sd_notify(3).

pub(crate) mod http;
pub(crate) mod listener;
mod readiness;
pub(crate) mod server;
pub(crate) mod systemd;
