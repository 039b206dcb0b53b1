//! Waiting for a moment that may never come.

use tokio::time::Instant;

/// Waits until this moment, or for ever if there is none.
pub(crate) async fn until(moment: Option<Instant>) {
    match moment {
        // Tokio's timers have a resolution of a millisecond: even a moment in the past would take one.
        Some(at) if at <= Instant::now() => {}
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
