//! The node's conditions: the views of all monitors on one condition type, merged into one condition.
//!
//! Several monitors may have a condition of the same type, and each reports only what it sees. The node has the problem
//! while any of them reports it: True wins over Unknown, Unknown over False, and among equals the newest gives the
//! reason. So two monitors never take turns in one condition, and one that sees nothing does not hide what another sees.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::problem::{Condition, ConditionStatus, Declared, Status};

/// The conditions of all monitors.
#[derive(Debug)]
pub(crate) struct NodeConditions {
    gone: Gone,
    /// By monitor, the types that it can report.
    declared: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// By type, what each monitor reports.
    views: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Condition>>,
    /// By type, the merged condition.
    merged: BTreeMap<Arc<str>, Condition>,
}

/// What to do with a condition that no monitor has any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Forget it.
    Forget,
    /// Keep it as it was last reported.
    Keep,
}

// === impl NodeConditions ===

impl NodeConditions {
    /// No monitor is declared yet.
    #[must_use]
    pub(crate) fn new(gone: Gone) -> Self {
        Self { gone, declared: BTreeMap::new(), views: BTreeMap::new(), merged: BTreeMap::new() }
    }

    /// Takes the types that a monitor can report, which replace those that it declared before.
    pub(crate) fn declare(&mut self, declared: &Declared) {
        let types: BTreeSet<_> = declared.conditions.iter().cloned().collect();
        if self.gone == Gone::Forget {
            for (kind, views) in &mut self.views {
                if !types.contains(kind) {
                    views.remove(&declared.monitor);
                }
            }
            self.views.retain(|_, views| !views.is_empty());
            self.merged.retain(|kind, _| self.views.contains_key(kind));
        }
        self.declared.insert(declared.monitor.clone(), types);
        for kind in self.views.keys().cloned().collect::<Vec<_>>() {
            self.merge(&kind);
        }
    }

    /// Takes the conditions that a monitor reports.
    pub(crate) fn update(&mut self, status: &Status) {
        for condition in &status.conditions {
            let types = self.declared.get(&status.monitor);
            if self.gone == Gone::Keep || types.is_some_and(|types| types.contains(&condition.kind)) {
                let views = self.views.entry(condition.kind.clone()).or_default();
                views.insert(status.monitor.clone(), condition.clone());
                self.merge(&condition.kind);
            }
        }
    }

    /// All conditions, by type.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.merged.values()
    }

    /// Whether a monitor can report this type.
    #[cfg(feature = "kubernetes")]
    #[must_use]
    pub(crate) fn is_declared(&self, kind: &str) -> bool {
        self.declared.values().any(|types| types.contains(kind))
    }

    /// Sets the transition time of a condition to this one if it is earlier.
    #[cfg(any(feature = "kubernetes", test))]
    pub(crate) fn backdate_transition(&mut self, kind: &str, transition: crate::time::Timestamp) {
        if let Some(condition) = self.merged.get_mut(kind) {
            condition.transition = condition.transition.min(transition);
        }
    }

    fn merge(&mut self, kind: &Arc<str>) {
        let Some(views) = self.views.get(kind) else { return };
        let Some(worst) = views.values().max_by_key(|view| (rank(view.status), view.transition)) else { return };
        let transition = match self.merged.get(kind) {
            // The same state is no transition, even if another monitor reports it now.
            Some(merged) if (merged.status, &merged.reason) == (worst.status, &worst.reason) => merged.transition,
            // It changed when one of the views last changed, which need not be the view that gives the reason.
            Some(_) => views.values().map(|view| view.transition).max().unwrap_or(worst.transition),
            None => worst.transition,
        };
        self.merged.insert(kind.clone(), Condition { transition, ..worst.clone() });
    }
}

/// Ordered by severity.
fn rank(status: ConditionStatus) -> u8 {
    match status {
        ConditionStatus::False => 0,
        ConditionStatus::Unknown => 1,
        ConditionStatus::True => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{problem::Counted, time::Timestamp};

    fn declare(conditions: &mut NodeConditions, monitor: &str, types: &[&str]) {
        let types = types.iter().map(|kind| (*kind).into()).collect();
        conditions.declare(&Declared { monitor: monitor.into(), conditions: types, counted: Counted::default() });
    }

    fn say(conditions: &mut NodeConditions, monitor: &str, status: ConditionStatus, reason: &str, at: i64) {
        let transition = Timestamp::from_unix_nanos(at);
        let condition =
            Condition { kind: "Broken".into(), status, transition, reason: reason.into(), message: monitor.into() };
        conditions.update(&Status {
            monitor: monitor.into(),
            source: "test".into(),
            events: Vec::new(),
            conditions: vec![condition],
            metrics: true,
        });
    }

    fn shown(conditions: &NodeConditions) -> Vec<(ConditionStatus, String, i64)> {
        conditions.iter().map(|c| (c.status, c.reason.to_string(), c.transition.unix_nanos())).collect()
    }

    fn two_monitors() -> NodeConditions {
        let mut conditions = NodeConditions::new(Gone::Forget);
        declare(&mut conditions, "a", &["Broken"]);
        declare(&mut conditions, "b", &["Broken"]);
        conditions
    }

    use ConditionStatus::{False, True, Unknown};

    #[test]
    fn a_monitor_that_sees_nothing_does_not_hide_what_another_sees() {
        let mut conditions = two_monitors();
        say(&mut conditions, "a", False, "Fine", 1);
        say(&mut conditions, "b", True, "Hung", 5);
        say(&mut conditions, "a", False, "Fine", 1);
        assert_eq!(shown(&conditions), [(True, "Hung".into(), 5)]);
        say(&mut conditions, "b", Unknown, "Gone", 6);
        say(&mut conditions, "a", False, "Fine", 7);
        assert_eq!(
            shown(&conditions),
            [(Unknown, "Gone".into(), 6)],
            "Fine of one monitor does not override Unknown of another"
        );
    }

    #[test]
    fn the_transition_is_when_the_merged_condition_changed() {
        let mut conditions = two_monitors();
        say(&mut conditions, "a", True, "Hung", 1);
        say(&mut conditions, "b", True, "Torn", 5);
        assert_eq!(shown(&conditions), [(True, "Torn".into(), 5)]);
        say(&mut conditions, "b", False, "Fine", 9);
        assert_eq!(shown(&conditions), [(True, "Hung".into(), 9)], "Hung is back since 9, not since 1");
        say(&mut conditions, "b", True, "Hung", 12);
        assert_eq!(shown(&conditions), [(True, "Hung".into(), 9)], "the same reason is no transition");
    }

    #[test]
    fn a_longer_known_transition_outlives_repeated_statuses() {
        let mut conditions = two_monitors();
        say(&mut conditions, "a", False, "Fine", 100);
        conditions.backdate_transition("Broken", Timestamp::from_unix_nanos(7));
        say(&mut conditions, "a", False, "Fine", 100);
        assert_eq!(shown(&conditions), [(False, "Fine".into(), 7)]);
        say(&mut conditions, "a", True, "Hung", 101);
        say(&mut conditions, "a", False, "Fine", 102);
        assert_eq!(shown(&conditions), [(False, "Fine".into(), 102)], "a moment's True is a transition");
    }

    #[test]
    fn a_type_that_no_monitor_declares_any_more_is_forgotten() {
        let mut conditions = two_monitors();
        say(&mut conditions, "a", True, "Hung", 1);
        say(&mut conditions, "b", False, "Fine", 2);
        declare(&mut conditions, "a", &[]);
        assert_eq!(shown(&conditions), [(False, "Fine".into(), 2)]);
        say(&mut conditions, "a", Unknown, "Hung", 1);
        assert_eq!(shown(&conditions), [(False, "Fine".into(), 2)], "what is not declared is not taken");
        declare(&mut conditions, "b", &["Other"]);
        assert_eq!(shown(&conditions), []);
    }

    #[test]
    fn what_is_gone_stays_where_that_is_wanted() {
        let mut conditions = NodeConditions::new(Gone::Keep);
        declare(&mut conditions, "a", &["Broken"]);
        say(&mut conditions, "a", True, "Hung", 1);
        declare(&mut conditions, "a", &[]);
        say(&mut conditions, "a", Unknown, "Hung", 1);
        assert_eq!(shown(&conditions), [(Unknown, "Hung".into(), 1)]);
    }
}
