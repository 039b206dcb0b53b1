//! One series of problems: its key, its state, and the request that is due for it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    problem::{Event, Severity},
    time::Timestamp,
};

/// A number for each series, never used twice.
pub(crate) type SeriesId = u64;

/// What an Event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Object {
    /// The node.
    Node,
    /// The pod that the problem comes from.
    Pod,
}

/// What all problems of a series have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) class: Class,
    pub(crate) severity: Severity,
    /// The uid of the pod that the problem comes from, as its cgroup has it.
    pub(crate) pod: Option<Arc<str>>,
    /// `None` for the series that combines similar events.
    pub(crate) message: Option<Arc<str>>,
}

/// Each class of events has its own tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Class {
    pub(crate) source: Arc<str>,
    pub(crate) reason: Arc<str>,
    pub(crate) is_transition: bool,
    pub(crate) object: Object,
}

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) facts: Pending,
    /// Since when it waits.
    pub(crate) since: Instant,
    /// The API server was asked to create it, and it is unknown whether it did.
    pub(crate) is_in_doubt: bool,
    pub(crate) state: State,
}

/// The part of a series that is saved while it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) key: Key,
    /// The name of its Event is made from this.
    pub(crate) id: u64,
    /// The id of the newest problem.
    pub(crate) newest: Option<u64>,
    pub(crate) message: Arc<str>,
    pub(crate) container: Option<Arc<str>>,
    pub(crate) count: u64,
    /// How many of them the API server has acknowledged.
    pub(crate) sent: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) is_created: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is queued, deferred, or being sent.
    Waiting,
    /// Everything was sent; the number grows with each use.
    Sent(u64),
}

/// A request for a series: creates an Event, or patches the count of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventRequest {
    pub(crate) series: SeriesId,
    /// Whether the Event exists already.
    pub(crate) is_created: bool,
    /// The name of the Event is made from this.
    pub(crate) id: u64,
    pub(crate) object: Object,
    pub(crate) source: Arc<str>,
    pub(crate) reason: Arc<str>,
    pub(crate) severity: Severity,
    pub(crate) message: Arc<str>,
    /// The pod and the container that the message names.
    pub(crate) pod: Option<Arc<str>>,
    pub(crate) container: Option<Arc<str>>,
    /// How many problems the Event stands for after this request.
    pub(crate) count: u64,
    /// How many of them the API server has acknowledged before.
    pub(crate) known: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// Since when it waits.
    pub(crate) since: Instant,
}

// === impl Series ===

impl Series {
    /// A series without a problem, in no queue. The name of its Event is made from `id`.
    pub(crate) fn new(key: Key, id: u64, event: &Event, now: Instant) -> Self {
        let facts = Pending {
            key,
            id,
            newest: None,
            message: Arc::from(""),
            container: event.fields.get("container_id").map(Arc::from),
            count: 0,
            sent: 0,
            first: event.timestamp,
            last: event.timestamp,
            is_created: false,
        };
        Self { facts, since: now, is_in_doubt: false, state: State::Sent(u64::MAX) }
    }

    /// The request that is due now.
    pub(crate) fn request(&self, series: SeriesId) -> EventRequest {
        let Pending { key, id, message, container, count, sent, first, last, is_created, .. } = self.facts.clone();
        let Key { class: Class { source, reason, object, .. }, severity, pod, .. } = key;
        let (known, since) = (sent, self.since);
        EventRequest {
            series,
            is_created,
            id,
            object,
            source,
            reason,
            severity,
            message,
            pod,
            container,
            count,
            known,
            first,
            last,
            since,
        }
    }
}

// === impl Pending ===

impl Pending {
    /// How many problems the API server has not acknowledged.
    pub(crate) fn unsent(&self) -> u64 {
        self.count.saturating_sub(self.sent)
    }
}
