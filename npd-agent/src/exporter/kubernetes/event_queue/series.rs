//! One series of problems: what makes it, what is known of it, and what is to be told of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    problem::{Event, Severity},
    time::Timestamp,
};

/// A number for each series, never used twice.
pub(in crate::exporter::kubernetes) type SeriesId = u64;

/// What an Event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::exporter::kubernetes) enum Object {
    /// The node.
    Node,
    /// The pod that it comes from.
    Pod,
}

/// What makes a series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) class: Class,
    pub(super) severity: Severity,
    /// The uid of the pod that it comes from, as its cgroup has it.
    pub(super) pod: Option<Arc<str>>,
    /// Nothing for the series of all that are similar.
    pub(super) message: Option<Arc<str>>,
}

/// What has tokens of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Class {
    pub(super) source: Arc<str>,
    pub(super) reason: Arc<str>,
    pub(super) is_transition: bool,
    pub(super) object: Object,
}

#[derive(Debug)]
pub(super) struct Series {
    pub(super) facts: Pending,
    /// Since when it waits.
    pub(super) since: Instant,
    /// The API server was asked to create it, and nobody knows whether it did.
    pub(super) is_in_doubt: bool,
    pub(super) state: State,
}

/// What is known of a series, and is kept while it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::exporter::kubernetes) struct Pending {
    pub(super) key: Key,
    /// What the name of its Event is made of.
    pub(super) id: u64,
    /// The id of the problem that came last.
    pub(super) newest: Option<u64>,
    pub(super) message: Arc<str>,
    pub(super) container: Option<Arc<str>>,
    pub(super) count: u64,
    /// What of it the API server has.
    pub(super) sent: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) is_created: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// In one of the lines, deferred, or on its way.
    Waiting,
    /// All of it is sent; the number says when it was used.
    Sent(u64),
}

/// What is to be told of a series: an Event to be created, or a patch of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exporter::kubernetes) struct Telling {
    pub(in crate::exporter::kubernetes) series: SeriesId,
    /// Whether the Event exists already.
    pub(in crate::exporter::kubernetes) is_created: bool,
    /// What its name is made of.
    pub(in crate::exporter::kubernetes) id: u64,
    pub(in crate::exporter::kubernetes) object: Object,
    pub(in crate::exporter::kubernetes) source: Arc<str>,
    pub(in crate::exporter::kubernetes) reason: Arc<str>,
    pub(in crate::exporter::kubernetes) severity: Severity,
    pub(in crate::exporter::kubernetes) message: Arc<str>,
    /// The pod and the container that the message speaks of.
    pub(in crate::exporter::kubernetes) pod: Option<Arc<str>>,
    pub(in crate::exporter::kubernetes) container: Option<Arc<str>>,
    /// How many problems it tells of in all.
    pub(in crate::exporter::kubernetes) count: u64,
    /// How many of them the API server knows.
    pub(in crate::exporter::kubernetes) known: u64,
    pub(in crate::exporter::kubernetes) first: Timestamp,
    pub(in crate::exporter::kubernetes) last: Timestamp,
    /// Since when it waits.
    pub(in crate::exporter::kubernetes) since: Instant,
}

// === impl Series ===

impl Series {
    /// A series of which nothing is counted yet, in no line. `id` makes the name of its Event.
    pub(super) fn new(key: Key, id: u64, event: &Event, now: Instant) -> Self {
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
    pub(super) fn telling(&self, series: SeriesId) -> Telling {
        let Pending { key, id, message, container, count, sent, first, last, is_created, .. } = self.facts.clone();
        let Key { class: Class { source, reason, object, .. }, severity, pod, .. } = key;
        let (known, since) = (sent, self.since);
        Telling {
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
    pub(super) fn unsent(&self) -> u64 {
        self.count.saturating_sub(self.sent)
    }
}
