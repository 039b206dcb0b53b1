//! One series of problems: what makes it, what is known of it, and what is to be told of it.

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
    /// The pod that it comes from.
    Pod,
}

/// What makes a series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) class: Class,
    pub(crate) severity: Severity,
    /// The uid of the pod that it comes from, as its cgroup has it.
    pub(crate) pod: Option<Arc<str>>,
    /// Nothing for the series of all that are similar.
    pub(crate) message: Option<Arc<str>>,
}

/// What has tokens of its own.
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
    /// The API server was asked to create it, and nobody knows whether it did.
    pub(crate) is_in_doubt: bool,
    pub(crate) state: State,
}

/// What is known of a series, and is kept while it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) key: Key,
    /// What the name of its Event is made of.
    pub(crate) id: u64,
    /// The id of the problem that came last.
    pub(crate) newest: Option<u64>,
    pub(crate) message: Arc<str>,
    pub(crate) container: Option<Arc<str>>,
    pub(crate) count: u64,
    /// What of it the API server has.
    pub(crate) sent: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) is_created: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// In one of the lines, deferred, or on its way.
    Waiting,
    /// All of it is sent; the number says when it was used.
    Sent(u64),
}

/// What is to be told of a series: an Event to be created, or a patch of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventRequest {
    pub(crate) series: SeriesId,
    /// Whether the Event exists already.
    pub(crate) is_created: bool,
    /// What its name is made of.
    pub(crate) id: u64,
    pub(crate) object: Object,
    pub(crate) source: Arc<str>,
    pub(crate) reason: Arc<str>,
    pub(crate) severity: Severity,
    pub(crate) message: Arc<str>,
    /// The pod and the container that the message speaks of.
    pub(crate) pod: Option<Arc<str>>,
    pub(crate) container: Option<Arc<str>>,
    /// How many problems it tells of in all.
    pub(crate) count: u64,
    /// How many of them the API server knows.
    pub(crate) known: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// Since when it waits.
    pub(crate) since: Instant,
}

// === impl Series ===

impl Series {
    /// A series of which nothing is counted yet, in no line. `id` makes the name of its Event.
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

    /// What is to be told of it now.
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
    /// Problems that the API server does not know of.
    pub(crate) fn unsent(&self) -> u64 {
        self.count.saturating_sub(self.sent)
    }
}
