//! Which Events are sent, in which order, and what is folded into the count of another; pure.
//!
//! An Event stands for a series: the same source, severity, reason, object and message. Repeated problems increase its
//! count. If a reason comes with ever new messages, the tenth message and all after it within ten minutes are one
//! series, too. Each request of a series takes a token of its source and reason, so that a noisy reason does not starve
//! the others; while there is no token the series continues to count, and nothing is dropped. What is dropped because
//! the queue is full, and what the API server refuses, is counted by the caller.
//!
//! Changes of conditions go before everything else and are never combined.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

pub(crate) use crate::exporter::kubernetes::events::series::{EventRequest, Object, Pending, SeriesId};

use crate::{
    exporter::kubernetes::{
        events::{
            MESSAGE_MAX,
            series::{Class, Key, Series, State},
            similar::Similar,
        },
        token_bucket::TokenBucket,
    },
    fingerprint,
    problem::Event,
    text::shorten,
};

/// Maximum number of series that wait to be sent.
const WAITING_MAX: usize = 1000;
/// Maximum number of sent series that are remembered because they may recur.
const REMEMBERED_MAX: usize = 500;
/// Requests of one source and reason: a burst, then one per interval, as in client-go.
const BURST: f64 = 25.0;
const EVERY: Duration = Duration::from_mins(5);
/// Maximum number of token buckets, one for each source and reason; configs name far fewer.
const BUCKETS_MAX: usize = 1000;
/// The start of a message that stands for several, as in client-go.
const COMBINED: &str = "(combined from similar events): ";

/// The Events that wait, and those that were sent.
#[derive(Debug)]
pub(crate) struct EventQueue {
    series: HashMap<SeriesId, Series>,
    ids: HashMap<Key, SeriesId>,
    next_id: SeriesId,
    /// Changes of conditions that may be sent, oldest first.
    transitions: VecDeque<SeriesId>,
    /// Everything else that may be sent.
    others: VecDeque<SeriesId>,
    /// Series that wait for a token.
    deferred: BTreeSet<(Instant, SeriesId)>,
    /// Series that were sent, by last use.
    remembered: BTreeMap<u64, SeriesId>,
    uses: u64,
    similar: Similar,
    buckets: HashMap<Class, TokenBucket>,
    /// For the names of events whose record cannot be read again.
    salt: u64,
}

// === impl EventQueue ===

impl EventQueue {
    /// An empty queue. `salt` differs for each process.
    pub(crate) fn new(salt: u64) -> Self {
        Self {
            series: HashMap::new(),
            ids: HashMap::new(),
            next_id: 0,
            transitions: VecDeque::new(),
            others: VecDeque::new(),
            deferred: BTreeSet::new(),
            remembered: BTreeMap::new(),
            uses: 0,
            similar: Similar::default(),
            buckets: HashMap::new(),
            salt,
        }
    }

    /// Adds an event about an object. Returns how many problems were dropped because the queue is full: those of this
    /// event, or of others that make room for a change of a condition.
    pub(crate) fn add(&mut self, source: &Arc<str>, event: &Event, object: Object, now: Instant) -> u64 {
        let class = Class {
            source: source.clone(),
            reason: event.reason.clone(),
            is_transition: event.condition.is_some(),
            object,
        };
        let pod = event.fields.get("pod_uid").map(Arc::from);
        // No more than this is ever sent.
        let message: Arc<str> = shorten(&event.message, MESSAGE_MAX).into();
        let mut key = Key { class, severity: event.severity, pod, message: Some(message.clone()) };
        let mut text = message;
        if !self.ids.contains_key(&key) && !key.class.is_transition && self.similar.add(&key, now) {
            text = format!("{COMBINED}{text}").into();
            // Events about the node may come from many pods.
            let pod = key.pod.take().filter(|_| object == Object::Pod);
            key = Key { message: None, pod, ..key };
        }
        let known = self.ids.get(&key).copied();
        let series = known.and_then(|id| self.series.get(&id));
        // A previous agent was killed while it reported this: it left the problem here, and the monitor reports it again.
        if series.is_some_and(|series| event.again && event.id.is_some() && series.facts.newest == event.id) {
            return 0;
        }
        let is_waiting = series.is_some_and(|series| series.state == State::Waiting);
        let mut dropped = 0;
        if !is_waiting && self.waiting() >= WAITING_MAX {
            match self.drop_newest(key.class.is_transition) {
                Some(problems) => dropped = problems,
                None => return event.count,
            }
        }
        let id = known.unwrap_or_else(|| self.begin(key.clone(), event, now));
        let Some(series) = self.series.get_mut(&id) else { return dropped };
        let facts = &mut series.facts;
        facts.count = facts.count.saturating_add(event.count);
        facts.first = facts.first.min(event.timestamp);
        facts.last = facts.last.max(event.timestamp);
        facts.newest = event.id;
        facts.message = text;
        if let State::Sent(used) = series.state {
            self.remembered.remove(&used);
        }
        if !is_waiting {
            series.state = State::Waiting;
            series.since = now;
            self.enqueue(id, now);
        }
        dropped
    }

    /// What waits, to be saved; changes of conditions first.
    pub(crate) fn pending(&self) -> Vec<&Pending> {
        let waiting = self.series.iter().filter(|(_, series)| series.state == State::Waiting);
        let mut waiting: Vec<_> = waiting.map(|(id, series)| (*id, &series.facts)).collect();
        waiting.sort_unstable_by_key(|(id, facts)| (!facts.key.class.is_transition, *id));
        waiting.into_iter().map(|(_, facts)| facts).collect()
    }

    /// Adds what a previous agent saved. It is unknown whether it was sent.
    pub(crate) fn restore(&mut self, pending: Vec<Pending>, now: Instant) {
        for facts in pending.into_iter().take(WAITING_MAX) {
            let id = self.next_id;
            self.next_id += 1;
            self.ids.insert(facts.key.clone(), id);
            let is_in_doubt = !facts.is_created;
            self.series.insert(id, Series { facts, since: now, is_in_doubt, state: State::Waiting });
            self.enqueue(id, now);
        }
    }

    /// The next request that may be made. The outcome must be passed to one of the methods below.
    pub(crate) fn next(&mut self, now: Instant) -> Option<EventRequest> {
        while let Some((at, id)) = self.deferred.first().copied().filter(|(at, _)| *at <= now) {
            self.deferred.remove(&(at, id));
            self.queue_of(id).push_back(id);
        }
        let id = self.transitions.pop_front().or_else(|| self.others.pop_front())?;
        Some(self.series.get(&id)?.request(id))
    }

    /// When a deferred series may be sent.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.deferred.first().map(|(at, _)| *at)
    }

    /// The API server accepted the request.
    pub(crate) fn acknowledged(&mut self, request: &EventRequest, now: Instant) {
        self.mark_known(request, request.count, now);
    }

    /// The Event exists already, with this count. Returns whether it is this queue's own: it was requested before, and
    /// the response was lost. Otherwise a previous process has reported the first problem of the series.
    pub(crate) fn mark_existing(&mut self, request: &EventRequest, count: u64, now: Instant) -> bool {
        let Some(series) = self.series.get_mut(&request.series) else { return false };
        let is_own = series.is_in_doubt;
        if !is_own {
            series.facts.count = series.facts.count.saturating_add(count).saturating_sub(1);
        }
        self.mark_known(request, count, now);
        is_own
    }

    fn mark_known(&mut self, request: &EventRequest, count: u64, now: Instant) {
        let Some(series) = self.series.get_mut(&request.series) else { return };
        let facts = &mut series.facts;
        facts.is_created = true;
        facts.sent = count;
        facts.count = facts.count.max(count);
        if facts.count > facts.sent {
            self.enqueue(request.series, now);
        } else {
            self.remember(request.series);
        }
    }

    /// The request has to be retried: before all others, or after them if they may fare better. It
    /// `may_have_succeeded` if the response was lost.
    pub(crate) fn retry(&mut self, request: &EventRequest, may_have_succeeded: bool, is_last: bool) {
        if let Some(series) = self.series.get_mut(&request.series) {
            series.is_in_doubt |= may_have_succeeded && !series.facts.is_created;
        }
        let queue = self.queue_of(request.series);
        if is_last { queue.push_back(request.series) } else { queue.push_front(request.series) }
    }

    /// The request cannot be made before this moment, for a reason that concerns only this series.
    pub(crate) fn defer(&mut self, request: &EventRequest, then: Instant) {
        self.deferred.insert((then, request.series));
    }

    /// The Event no longer exists, so it is created again, under another name.
    pub(crate) fn mark_missing(&mut self, request: &EventRequest) {
        if let Some(series) = self.series.get_mut(&request.series) {
            let facts = &mut series.facts;
            facts.is_created = false;
            facts.id = fingerprint::extend(facts.id, &facts.count.to_le_bytes());
            series.is_in_doubt = false;
        }
        self.retry(request, false, false);
    }

    /// The request will never succeed. Returns how many problems the API server has not acknowledged.
    pub(crate) fn give_up(&mut self, request: &EventRequest) -> u64 {
        self.forget(request.series)
    }

    /// Everything may be sent now, with or without tokens, because the agent stops.
    pub(crate) fn release_deferred(&mut self) {
        for (_, id) in std::mem::take(&mut self.deferred) {
            self.queue_of(id).push_back(id);
        }
    }

    /// How many series wait.
    pub(crate) fn waiting(&self) -> usize {
        self.series.len() - self.remembered.len()
    }

    /// How many problems the API server has not acknowledged.
    pub(crate) fn unsent(&self) -> u64 {
        self.series.values().map(|series| series.facts.unsent()).sum()
    }

    fn begin(&mut self, key: Key, event: &Event, now: Instant) -> SeriesId {
        let id = self.next_id;
        self.next_id += 1;
        // An Event about another object needs another name.
        let name = match (key.class.object, event.id) {
            (Object::Node, Some(id)) => id,
            (Object::Pod, Some(id)) => fingerprint::extend(id, b"pod"),
            (_, None) => fingerprint::extend(self.salt, &id.to_le_bytes()),
        };
        self.series.insert(id, Series::new(key.clone(), name, event, now));
        self.ids.insert(key, id);
        id
    }

    /// Puts a series into its queue, as soon as there is a token for it.
    fn enqueue(&mut self, id: SeriesId, now: Instant) {
        let Some(class) = self.series.get(&id).map(|series| series.facts.key.class.clone()) else { return };
        if self.buckets.len() >= BUCKETS_MAX && !self.buckets.contains_key(&class) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            if self.buckets.len() >= BUCKETS_MAX {
                // No real config has this many reasons: reset the buckets. The overall rate limit still applies.
                self.buckets.clear();
            }
        }
        let bucket =
            self.buckets.entry(class).or_insert_with(|| TokenBucket::new(EVERY.as_secs_f64().recip(), BURST, now));
        let at = bucket.take(now);
        if at > now {
            self.deferred.insert((at, id));
        } else {
            self.queue_of(id).push_back(id);
        }
    }

    fn queue_of(&mut self, id: SeriesId) -> &mut VecDeque<SeriesId> {
        let is_transition = self.series.get(&id).is_some_and(|series| series.facts.key.class.is_transition);
        if is_transition { &mut self.transitions } else { &mut self.others }
    }

    fn remember(&mut self, id: SeriesId) {
        self.uses += 1;
        if let Some(series) = self.series.get_mut(&id) {
            series.state = State::Sent(self.uses);
            self.remembered.insert(self.uses, id);
        }
        if self.remembered.len() > REMEMBERED_MAX
            && let Some((_, oldest)) = self.remembered.pop_first()
        {
            self.forget(oldest);
        }
    }

    /// Makes room for a change of a condition. Returns how many problems are dropped with the newest other series; a
    /// deferred one goes first, because the API server has its Event already.
    fn drop_newest(&mut self, is_transition: bool) -> Option<u64> {
        if !is_transition {
            return None;
        }
        let is_other = |series: &HashMap<SeriesId, Series>, id: &SeriesId| {
            series.get(id).is_some_and(|series| !series.facts.key.class.is_transition)
        };
        let deferred = self.deferred.iter().rev().find(|(_, id)| is_other(&self.series, id)).copied();
        let id = match deferred {
            Some(entry) => {
                self.deferred.remove(&entry);
                entry.1
            }
            None => self.others.pop_back()?,
        };
        Some(self.forget(id))
    }

    fn forget(&mut self, id: SeriesId) -> u64 {
        let Some(series) = self.series.remove(&id) else { return 0 };
        self.ids.remove(&series.facts.key);
        series.facts.unsent()
    }
}

#[cfg(test)]
mod tests;
