//! What the two ends of the exporter share.

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, SetOnce},
    time::Instant,
};

use super::{
    conditions::sync::ConditionSync,
    events::{outbox::Outbox, queue::EventQueue},
};
use crate::{component::Component, metric::own::KubernetesMetrics};

/// What statuses are put into, and the tasks write from.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) conditions: Mutex<ConditionSync>,
    pub(crate) conditions_changed: Notify,
    /// Locked before the outbox where both are locked.
    pub(crate) events: Mutex<EventQueue>,
    pub(crate) outbox: Mutex<Outbox>,
    pub(crate) events_added: Notify,
    /// Set once the API server was reached, or the wait for it is over: events may be sent.
    pub(crate) may_send: SetOnce<()>,
    /// Notified when the API server is reachable again: events need not wait any longer.
    pub(crate) reached_again: Notify,
    pub(crate) metrics: KubernetesMetrics,
    pub(crate) component: Component,
}

// === impl Shared ===

impl Shared {
    /// Saves what waits, and shows how much that is.
    pub(crate) fn save_events(&self) {
        let events = self.events.lock();
        self.outbox.lock().changed(&events, Instant::now());
        self.metrics.events_waiting().set(i64::try_from(events.waiting()).unwrap_or(i64::MAX));
    }

    /// The API server was reached, or the wait for it is over.
    pub(crate) fn allow_sending(&self) {
        // An error means that it is set already.
        drop(self.may_send.set(()));
    }

    /// The API server accepts conditions again.
    pub(crate) fn on_conditions_written(&self) {
        self.reached_again.notify_one();
    }

    /// The API server accepts events again.
    pub(crate) fn on_events_written(&self) {
        self.conditions.lock().retry_now();
        self.conditions_changed.notify_one();
    }
}
