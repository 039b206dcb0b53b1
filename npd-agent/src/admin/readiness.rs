//! `/healthz` and `/readyz`: whether the agent is alive, and whether it can do its work.
//!
//! `/healthz` fails when a component has been busy with one step for a minute; only a restart helps then. `/readyz` fails while
//! any component cannot do its work, and says what that component is waiting for.

use axum::http::StatusCode;

use crate::{
    component::{Components, Readiness},
    time::Now,
};

/// Whether the agent is alive: `ok`, or one line for each stuck component.
pub(super) fn healthz(components: &Components) -> (StatusCode, String) {
    let stuck = components.stuck(Now::read().mono);
    if stuck.is_empty() {
        return (StatusCode::OK, "ok".to_owned());
    }
    let lines = stuck.iter().map(|(name, time)| format!("{name} has been stuck for {} s\n", time.as_secs()));
    (StatusCode::INTERNAL_SERVER_ERROR, lines.collect())
}

/// Whether every component is ready: one line for each, in the format of the API server's own page.
pub(super) fn readyz(components: &Components) -> (StatusCode, String) {
    let readiness = components.readiness();
    let is_ready = readiness.iter().all(|(_, readiness)| matches!(readiness, Readiness::Ready(_)));
    let lines = readiness.iter().map(|(name, readiness)| match readiness {
        Readiness::Ready("") => format!("[+] {name}: ok\n"),
        Readiness::Ready(mode) => format!("[+] {name}: {mode}\n"),
        Readiness::Waiting(why) => format!("[-] {name}: {why}\n"),
    });
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, lines.collect())
}
