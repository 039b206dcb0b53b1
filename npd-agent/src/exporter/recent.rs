//! The node's conditions and newest problems, kept in memory for the pages that the agent serves.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;

use serde::Serialize;

use super::Exporter;
use crate::{
    exporter::node_conditions::{Gone, NodeConditions},
    problem::{Condition, Declared, Event, Status},
};

/// Maximum number of problems that are kept, and their maximum size in bytes.
const PROBLEMS_MAX: usize = 200;
const BYTES_MAX: usize = 256 << 10;

/// The conditions and newest problems. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    shared: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    conditions: NodeConditions,
    /// Oldest first.
    problems: VecDeque<RecentProblem>,
    bytes: usize,
}

/// A problem as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RecentProblem {
    /// The config file of the monitor.
    monitor: Arc<str>,
    source: Arc<str>,
    /// The rule's JSON pointer in that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Arc<str>>,
    /// The type of the condition that the problem has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Arc<str>>,
    #[serde(flatten)]
    event: Event,
}

// === impl Recent ===

impl Default for Recent {
    fn default() -> Self {
        let conditions = NodeConditions::new(Gone::Forget);
        let kept = Kept { conditions, problems: VecDeque::new(), bytes: 0 };
        Self { shared: Arc::new(Mutex::new(kept)) }
    }
}

impl Recent {
    /// The node's conditions, by type.
    #[must_use]
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        self.shared.lock().conditions.iter().cloned().collect()
    }

    /// The newest problems, newest first.
    #[must_use]
    pub(crate) fn problems(&self) -> Vec<RecentProblem> {
        self.shared.lock().problems.iter().rev().cloned().collect()
    }
}

impl Exporter for Recent {
    fn declare(&mut self, declared: &Declared) {
        self.shared.lock().conditions.declare(declared);
    }

    fn export(&mut self, status: &Status) {
        let mut kept = self.shared.lock();
        kept.conditions.update(status);
        for event in &status.events {
            let problem = RecentProblem {
                monitor: status.monitor.clone(),
                source: status.source.clone(),
                rule: event.rule.clone(),
                condition: event.condition.clone(),
                event: event.clone(),
            };
            kept.bytes += problem.bytes();
            kept.problems.push_back(problem);
            while kept.problems.len() > PROBLEMS_MAX || kept.bytes > BYTES_MAX {
                let Some(oldest) = kept.problems.pop_front() else { break };
                kept.bytes -= oldest.bytes();
            }
        }
    }
}

// === impl RecentProblem ===

impl RecentProblem {
    /// Its approximate size in memory.
    fn bytes(&self) -> usize {
        let fields = self.event.fields.iter().map(|(name, value)| name.len() + value.len());
        size_of::<Self>() + self.event.message.len() + fields.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        problem::{Fields, Severity},
        time::Timestamp,
    };

    fn status(message: String) -> Status {
        let mut fields = Fields::default();
        fields.add("pid", "7");
        let event = Event::new(Severity::Warn, Timestamp::default(), "TaskHung".into(), message);
        let event = Event { rule: Some("/rules/3".into()), fields, ..event };
        let (monitor, source) = ("kernel.json".into(), "kernel-monitor".into());
        Status { monitor, source, events: vec![event], conditions: Vec::new(), metrics: true }
    }

    #[test]
    fn a_problem_says_where_it_comes_from() {
        let mut recent = Recent::default();
        recent.export(&status("task x".to_owned()));
        assert_eq!(
            serde_json::to_string(&recent.problems()).unwrap(),
            r#"[{"monitor":"kernel.json","source":"kernel-monitor","rule":"/rules/3","severity":"warn","timestamp":"1970-01-01T00:00:00Z","reason":"TaskHung","message":"task x","fields":{"pid":"7"}}]"#
        );
    }

    #[test]
    fn the_newest_are_kept_and_memory_is_bounded() {
        let mut recent = Recent::default();
        for number in 0..1000 {
            recent.export(&status(format!("task {number}")));
        }
        let problems = recent.problems();
        assert_eq!(problems.len(), PROBLEMS_MAX);
        assert_eq!(problems[0].event.message, "task 999");
        for _ in 0..100 {
            recent.export(&status("x".repeat(100_000)));
        }
        assert!(recent.shared.lock().bytes <= BYTES_MAX && recent.problems().len() == 2, "{}", recent.problems().len());
    }
}
