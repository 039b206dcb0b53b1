//! Finds similar events: those that differ only in their message.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::series::{Class, Key, Object};
use crate::problem::Severity;

/// Number of different messages from which on events are combined, as in client-go.
const MESSAGES: usize = 10;
/// The messages are forgotten after a gap of this length.
const WITHIN: Duration = Duration::from_mins(10);
/// Maximum number of kinds of events; beyond it those with a longer gap are forgotten first, and then the oldest.
const KINDS_MAX: usize = 1000;

/// The recent messages.
#[derive(Debug, Default)]
pub(crate) struct Similar {
    kinds: HashMap<Kind, Seen>,
    hasher: RandomState,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    class: Class,
    severity: Severity,
    /// The pod of an event about a pod.
    pod: Option<Arc<str>>,
}

#[derive(Debug)]
struct Seen {
    /// Hashes of messages.
    messages: Vec<u64>,
    last: Instant,
}

// === impl Similar ===

impl Similar {
    /// Adds a message. Returns whether its event is to be combined with others.
    pub(crate) fn add(&mut self, key: &Key, now: Instant) -> bool {
        let Key { class, severity, pod, message } = key;
        let about = pod.clone().filter(|_| class.object == Object::Pod);
        let kind = Kind { class: class.clone(), severity: *severity, pod: about };
        if !self.kinds.contains_key(&kind) {
            self.make_room(now);
        }
        let message = self.hasher.hash_one::<(&Option<Arc<str>>, &Option<Arc<str>>)>((message, pod));
        let seen = self.kinds.entry(kind).or_insert_with(|| Seen { messages: Vec::new(), last: now });
        if now.saturating_duration_since(seen.last) > WITHIN {
            seen.messages.clear();
        }
        seen.last = now;
        if !seen.messages.contains(&message) && seen.messages.len() < MESSAGES {
            seen.messages.push(message);
        }
        seen.messages.len() >= MESSAGES
    }

    fn make_room(&mut self, now: Instant) {
        if self.kinds.len() < KINDS_MAX {
            return;
        }
        self.kinds.retain(|_, seen| now.saturating_duration_since(seen.last) <= WITHIN);
        if self.kinds.len() >= KINDS_MAX {
            let newest_to_go = self.kinds.values().map(|seen| seen.last).min().unwrap_or(now);
            self.kinds.retain(|_, seen| seen.last > newest_to_go);
        }
    }
}
