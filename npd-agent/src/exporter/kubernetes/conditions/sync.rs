//! What the Node is to be told of the node's conditions, and when; pure.
//!
//! A change is told at once, but never more than one a second; without a change everything is told once a heartbeat.
//! What the Node says when the agent starts is taken up: a condition that is as it was then has been so since then.
//! Types of ours that are no longer configured are taken away, if that is wanted.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::{api::core::v1::NodeCondition, apimachinery::pkg::apis::meta::v1::Time};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    back_off::{BackOff, Retry},
    exporter::{
        kubernetes::api::{
            body::{cut, seconds},
            node::{NodeObject, OWNED},
        },
        node_conditions::{Gone, NodeConditions},
    },
    problem::Declared,
    problem::{Condition, Status},
    time::Timestamp,
};

/// Two patches are never closer.
const APART: Duration = Duration::from_secs(1);
/// The longest message of a condition, in bytes: a Node is read by every controller of a cluster.
const MESSAGE_MAX: usize = 4096;

/// The node's conditions and what the API server has of them.
#[derive(Debug)]
pub(crate) struct ConditionSync {
    options: ConditionOptions,
    conditions: NodeConditions,
    /// Types that have changed since the agent started: what the Node says of the time before is over.
    changed: BTreeSet<Arc<str>>,
    /// The Node as the API server had it last.
    node: Option<NodeObject>,
    /// What it was told last.
    told: Option<Vec<Condition>>,
    last_patch: Option<Instant>,
    last_success: Option<Instant>,
    retry: Option<Retry>,
    back_off: BackOff,
}

/// How the Node is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConditionOptions {
    /// How often all is told without a change.
    pub(crate) heartbeat: Duration,
    /// Whether conditions are told at all; the Node's identity is looked after in any case.
    pub(crate) write: bool,
    /// Whether types that are no longer configured are taken away.
    pub(crate) cleanup: bool,
}

/// What to ask of the API server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    /// To read the Node.
    Read,
    /// To patch the Node's status.
    Patch {
        /// The strategic merge patch.
        body: Value,
        /// What it tells.
        told: Vec<Condition>,
    },
}

// === impl ConditionSync ===

impl ConditionSync {
    /// Nothing is known yet.
    pub(crate) fn new(options: ConditionOptions) -> Self {
        let gone = if options.cleanup { Gone::Forget } else { Gone::Keep };
        Self {
            options,
            conditions: NodeConditions::new(gone),
            changed: BTreeSet::new(),
            node: None,
            told: None,
            last_patch: None,
            last_success: None,
            retry: None,
            back_off: BackOff::default(),
        }
    }

    /// Takes of what a monitor can say something.
    pub(crate) fn declare(&mut self, declared: &Declared) {
        self.conditions.declare(declared);
    }

    /// Takes what a monitor says.
    pub(crate) fn update(&mut self, status: &Status) {
        self.changed.extend(status.events.iter().filter_map(|event| event.condition.clone()));
        self.conditions.update(status);
        self.take_up_transitions();
    }

    /// The Node's uid, once it is known.
    pub(crate) fn uid(&self) -> Option<&str> {
        self.node.as_ref().map(|node| node.metadata.uid.as_str()).filter(|uid| !uid.is_empty())
    }

    /// When there is something to ask; a moment that is over means now.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.retry.is_some() || self.node.is_none() || self.has_news() {
            let not_before = self.retry.map(|retry| retry.at).max(self.last_patch.map(|at| at + APART));
            return Some(not_before.unwrap_or_else(Instant::now));
        }
        self.last_success.map(|at| at + self.options.heartbeat)
    }

    /// What to ask now.
    pub(crate) fn request(&self, wall: Timestamp) -> Request {
        let told: Vec<_> = self.conditions.iter().cloned().collect();
        let stale: Vec<_> = self.stale().collect();
        let owned = types(&told);
        let owns = self.owns(&owned);
        // What has never been read is read first: transitions are in it, and what has to be taken away.
        if !self.options.write || self.node.is_none() || (told.is_empty() && stale.is_empty() && owns) {
            return Request::Read;
        }
        let mut entries: Vec<Value> = told.iter().map(|condition| entry(condition, wall)).collect();
        entries.extend(stale.iter().map(|kind| json!({ "$patch": "delete", "type": kind })));
        let mut body = Map::new();
        if !owns {
            body.insert("metadata".into(), json!({ "annotations": { OWNED: owned } }));
        }
        body.insert("status".into(), json!({ "conditions": entries }));
        Request::Patch { body: body.into(), told }
    }

    /// A patch is on its way.
    pub(crate) fn patching(&mut self, now: Instant) {
        self.last_patch = Some(now);
    }

    /// The Node was read.
    pub(crate) fn read(&mut self, node: NodeObject, now: Instant) {
        self.node = Some(node);
        self.take_up_transitions();
        self.succeeded(now);
    }

    /// The Node was patched; `node` is how it is then, where the answer could be read.
    pub(crate) fn patched(&mut self, told: Vec<Condition>, node: Option<NodeObject>, now: Instant) {
        match node {
            Some(node) => self.node = Some(node),
            None if self.options.cleanup => {
                let annotations = &mut self.node.get_or_insert_default().metadata.annotations;
                annotations.insert(OWNED.to_owned(), types(&told));
            }
            None => {}
        }
        self.told = Some(told);
        self.succeeded(now);
    }

    /// A request has failed: gives when it is tried again.
    pub(crate) fn failed(&mut self, asked: Option<Duration>, random: f64, now: Instant) -> Duration {
        let retry = self.back_off.failed(asked, random, now);
        self.retry = Some(retry);
        retry.at - now
    }

    /// The API server is not there yet, and is asked again after this pause.
    pub(crate) fn wait(&mut self, pause: Duration, now: Instant) -> Duration {
        self.retry = Some(Retry { at: now + pause, is_asked_for: false });
        pause
    }

    /// The API server was reached in another way: there is no reason to wait any longer, unless it wants that.
    pub(crate) fn retry_now(&mut self) {
        if let Some(retry) = self.retry.as_mut().filter(|retry| !retry.is_asked_for) {
            retry.at = Instant::now();
        }
    }

    /// The Node cannot be read, and that is no reason not to write.
    pub(crate) fn give_up_reading(&mut self) {
        self.node.get_or_insert_default();
    }

    /// Whether all that is known was told.
    pub(crate) fn is_synced(&self) -> bool {
        !self.has_news()
    }

    fn succeeded(&mut self, now: Instant) {
        self.back_off.succeeded();
        self.retry = None;
        self.last_success = Some(now);
    }

    fn has_news(&self) -> bool {
        if !self.options.write {
            return false;
        }
        match &self.told {
            None => self.conditions.iter().next().is_some() || self.stale().next().is_some(),
            // What the Node has may differ from what it was told, if others write to it. That is put right at the next
            // heartbeat, and not at once for ever.
            Some(told) => !told.iter().eq(self.conditions.iter()),
        }
    }

    /// Ours on the Node and not configured any more.
    fn stale(&self) -> impl Iterator<Item = &str> {
        let owned = self.node.iter().filter(|_| self.options.cleanup).flat_map(NodeObject::owned);
        owned.filter(|kind| !self.conditions.is_declared(kind))
    }

    /// Whether the Node's annotation says that these types are ours.
    fn owns(&self, types: &str) -> bool {
        let known = self.node.as_ref().and_then(|node| node.metadata.annotations.get(OWNED));
        !self.options.cleanup || known.map(String::as_str).unwrap_or_default() == types
    }

    /// A condition that is as the Node has it, and has not changed since the start, has been so as long as the Node says.
    fn take_up_transitions(&mut self) {
        let Some(node) = self.node.as_ref().filter(|_| self.told.is_none()) else { return };
        let mut longer = Vec::new();
        for condition in self.conditions.iter().filter(|condition| !self.changed.contains(&condition.kind)) {
            let known = node.status.conditions.iter().find(|known| {
                (&*known.kind, &*known.status, &*known.reason)
                    == (&*condition.kind, condition.status.as_str(), &*condition.reason)
            });
            if let Some(transition) = known.and_then(|known| known.last_transition_time) {
                longer.push((condition.kind.clone(), transition));
            }
        }
        for (kind, transition) in longer {
            self.conditions.backdate_transition(&kind, transition);
        }
    }
}

/// What the annotation has to say of these conditions.
fn types(conditions: &[Condition]) -> String {
    conditions.iter().map(|condition| &*condition.kind).collect::<Vec<_>>().join(",")
}

fn entry(condition: &Condition, wall: Timestamp) -> Value {
    let entry = NodeCondition {
        type_: condition.kind.to_string(),
        status: condition.status.as_str().to_owned(),
        last_heartbeat_time: Some(Time(seconds(wall))),
        last_transition_time: Some(Time(seconds(condition.transition))),
        reason: Some(condition.reason.to_string()),
        message: Some(cut(&condition.message, MESSAGE_MAX).into_owned()),
    };
    // Texts and times always make JSON.
    serde_json::to_value(entry).unwrap_or_default()
}

#[cfg(test)]
mod tests;
