//! What to write to the Node object about the node's conditions, and when; pure.
//!
//! A change is written at once, but never more than once a second; without a change everything is written once a
//! heartbeat. Transition times that the Node has when the agent starts are adopted: a condition that has not changed
//! since then keeps its time. Condition types of npd's that are no longer configured are removed, if the user wants that.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::{api::core::v1::NodeCondition, apimachinery::pkg::apis::meta::v1::Time};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    back_off::{BackOff, Retry},
    exporter::{
        kubernetes::api::{
            node::{NodeObject, OWNED},
            seconds,
        },
        node_conditions::{Gone, NodeConditions},
    },
    problem::{Condition, Declared, Status},
    text::shorten,
    time::Timestamp,
};

/// Minimum interval between two patches.
const APART: Duration = Duration::from_secs(1);
/// The longest message of a condition, in bytes: every controller of a cluster reads Nodes.
const MESSAGE_MAX: usize = 4096;

/// The node's conditions and what the API server has of them.
#[derive(Debug)]
pub(crate) struct ConditionSync {
    options: ConditionOptions,
    conditions: NodeConditions,
    /// Types that have changed since the agent started: the Node's transition times of these are out of date.
    changed: BTreeSet<Arc<str>>,
    /// The Node as the API server returned it last.
    node: Option<NodeObject>,
    /// What the API server acknowledged last.
    acknowledged: Option<Vec<Condition>>,
    last_patch: Option<Instant>,
    last_success: Option<Instant>,
    retry: Option<Retry>,
    back_off: BackOff,
}

/// How the Node is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConditionOptions {
    /// How often everything is written without a change.
    pub(crate) heartbeat: Duration,
    /// Whether conditions are written at all; the Node is read for its identity in any case.
    pub(crate) write: bool,
    /// Whether types that are no longer configured are removed.
    pub(crate) cleanup: bool,
}

/// The next request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    /// Read the Node.
    Read,
    /// Patch the Node's status.
    Patch {
        /// The strategic merge patch.
        body: Value,
        /// The conditions in it.
        conditions: Vec<Condition>,
    },
}

// === impl ConditionSync ===

impl ConditionSync {
    /// No condition is known yet.
    pub(crate) fn new(options: ConditionOptions) -> Self {
        let gone = if options.cleanup { Gone::Forget } else { Gone::Keep };
        Self {
            options,
            conditions: NodeConditions::new(gone),
            changed: BTreeSet::new(),
            node: None,
            acknowledged: None,
            last_patch: None,
            last_success: None,
            retry: None,
            back_off: BackOff::default(),
        }
    }

    /// Takes the condition types of a monitor.
    pub(crate) fn declare(&mut self, declared: &Declared) {
        self.conditions.declare(declared);
    }

    /// Takes a monitor's conditions.
    pub(crate) fn update(&mut self, status: &Status) {
        self.changed.extend(status.events.iter().filter_map(|event| event.condition.clone()));
        self.conditions.update(status);
        self.adopt_transitions();
    }

    /// The Node's uid, once it is known.
    pub(crate) fn uid(&self) -> Option<&str> {
        self.node.as_ref().map(|node| node.metadata.uid.as_str()).filter(|uid| !uid.is_empty())
    }

    /// When the next request is due; a moment in the past means now.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.retry.is_some() || self.node.is_none() || self.has_changes() {
            let not_before = self.retry.map(|retry| retry.at).max(self.last_patch.map(|at| at + APART));
            return Some(not_before.unwrap_or_else(Instant::now));
        }
        self.last_success.map(|at| at + self.options.heartbeat)
    }

    /// The request to make now.
    pub(crate) fn request(&self, wall: Timestamp) -> Request {
        let conditions: Vec<_> = self.conditions.iter().cloned().collect();
        let stale: Vec<_> = self.stale().collect();
        let owned = types(&conditions);
        let owns = self.owns(&owned);
        // Before the first patch the Node has to be read: for its transition times, and the types to be removed.
        if !self.options.write || self.node.is_none() || (conditions.is_empty() && stale.is_empty() && owns) {
            return Request::Read;
        }
        let mut entries: Vec<Value> = conditions.iter().map(|condition| entry(condition, wall)).collect();
        entries.extend(stale.iter().map(|kind| json!({ "$patch": "delete", "type": kind })));
        let mut body = Map::new();
        if !owns {
            body.insert("metadata".into(), json!({ "annotations": { OWNED: owned } }));
        }
        body.insert("status".into(), json!({ "conditions": entries }));
        Request::Patch { body: body.into(), conditions }
    }

    /// A patch is being sent.
    pub(crate) fn patch_started(&mut self, now: Instant) {
        self.last_patch = Some(now);
    }

    /// The Node was read.
    pub(crate) fn read(&mut self, node: NodeObject, now: Instant) {
        self.node = Some(node);
        self.adopt_transitions();
        self.succeeded(now);
    }

    /// The Node was patched with these conditions; `node` is the Node after that, if the response could be decoded.
    pub(crate) fn patched(&mut self, written: Vec<Condition>, node: Option<NodeObject>, now: Instant) {
        match node {
            Some(node) => self.node = Some(node),
            None if self.options.cleanup => {
                let annotations = &mut self.node.get_or_insert_default().metadata.annotations;
                annotations.insert(OWNED.to_owned(), types(&written));
            }
            None => {}
        }
        self.acknowledged = Some(written);
        self.succeeded(now);
    }

    /// A request has failed. Returns the pause before the next one.
    pub(crate) fn failed(&mut self, asked: Option<Duration>, random: f64, now: Instant) -> Duration {
        let retry = self.back_off.failed(asked, random, now);
        self.retry = Some(retry);
        retry.at - now
    }

    /// The API server is not available yet: the next request is made after this pause.
    pub(crate) fn wait(&mut self, pause: Duration, now: Instant) -> Duration {
        self.retry = Some(Retry { at: now + pause, is_asked_for: false });
        pause
    }

    /// Another task reached the API server: ends the pause, unless the API server has asked for it.
    pub(crate) fn retry_now(&mut self) {
        if let Some(retry) = self.retry.as_mut().filter(|retry| !retry.is_asked_for) {
            retry.at = Instant::now();
        }
    }

    /// The Node cannot be read; it is written without having been read.
    pub(crate) fn give_up_reading(&mut self) {
        self.node.get_or_insert_default();
    }

    /// Whether the API server has acknowledged the conditions as they are.
    pub(crate) fn is_synced(&self) -> bool {
        !self.has_changes()
    }

    fn succeeded(&mut self, now: Instant) {
        self.back_off.succeeded();
        self.retry = None;
        self.last_success = Some(now);
    }

    fn has_changes(&self) -> bool {
        if !self.options.write {
            return false;
        }
        match &self.acknowledged {
            None => self.conditions.iter().next().is_some() || self.stale().next().is_some(),
            // The Node may differ from what was acknowledged, if others write to it. That is corrected at the next
            // heartbeat, because two writers that each corrected the other at once would never stop.
            Some(acknowledged) => !acknowledged.iter().eq(self.conditions.iter()),
        }
    }

    /// Types of npd's on the Node that are no longer configured.
    fn stale(&self) -> impl Iterator<Item = &str> {
        let owned = self.node.iter().filter(|_| self.options.cleanup).flat_map(NodeObject::owned);
        owned.filter(|kind| !self.conditions.is_declared(kind))
    }

    /// Whether the Node's annotation names these types as npd's.
    fn owns(&self, types: &str) -> bool {
        let known = self.node.as_ref().and_then(|node| node.metadata.annotations.get(OWNED));
        !self.options.cleanup || known.map(String::as_str).unwrap_or_default() == types
    }

    /// A condition that is as the Node has it, and has not changed since the agent started, gets the Node's transition time.
    fn adopt_transitions(&mut self) {
        let Some(node) = self.node.as_ref().filter(|_| self.acknowledged.is_none()) else { return };
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

/// The value of the annotation for these conditions.
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
        message: Some(shorten(&condition.message, MESSAGE_MAX).into_owned()),
    };
    // Strings and times can always be encoded.
    serde_json::to_value(entry).unwrap_or_default()
}

#[cfg(test)]
mod tests;
