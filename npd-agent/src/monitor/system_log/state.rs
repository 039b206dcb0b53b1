//! What a monitor saves for the next start, and how it is restored.
//!
//! A rule is identified by its reason and its pattern: the state of a rule that still has both is restored, the rest is
//! discarded. So a changed file keeps the state of the rules that it did not change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    SystemLog,
    condition::{Active, ActiveDetails},
    counter::Count,
    fold::Fold,
};
use crate::{problem::Condition, rules::decode, time::Timestamp};

/// Maximum number of bytes of earlier lines that are saved, for patterns that span several lines.
const LINES_MAX: usize = 32 << 10;

/// The state of a [`SystemLog`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SystemLogState {
    conditions: Vec<SavedCondition>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    counts: Vec<SavedCounts>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    folds: Vec<SavedFold>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<SavedLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedCondition {
    #[serde(flatten)]
    condition: Condition,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    active: Vec<SavedActive>,
}

/// What identifies a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedRule {
    reason: Arc<str>,
    pattern: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedActive {
    rule: SavedRule,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key: Vec<String>,
    #[serde(flatten)]
    details: ActiveDetails,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedCounts {
    rule: SavedRule,
    counts: Vec<Count>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedFold {
    rule: SavedRule,
    message: String,
    #[serde(flatten)]
    fold: Fold,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedLine {
    text: String,
    at: Timestamp,
}

// === impl SystemLogState ===

impl SystemLogState {
    /// Without what a boot ends: the conditions, and repeats that are not reported yet.
    #[must_use]
    pub fn after_boot(self) -> Self {
        Self { conditions: Vec::new(), folds: Vec::new(), ..self }
    }
}

// === impl SystemLog ===

impl SystemLog {
    /// What is to be saved.
    #[must_use]
    pub fn state(&self) -> SystemLogState {
        let conditions = self.conditions.iter().map(|condition| {
            let active = condition.active().iter().filter_map(|active| {
                Some(SavedActive {
                    rule: self.saved_rule(active.rule)?,
                    key: active.key.clone(),
                    details: active.details.clone(),
                })
            });
            SavedCondition { condition: condition.state.now.clone(), active: active.collect() }
        });
        let counted = self.actions.iter().enumerate().filter_map(|(rule, action)| {
            let counts = action.counter.as_ref()?.counts();
            (!counts.is_empty()).then_some((rule, counts.to_vec()))
        });
        let mut left = LINES_MAX;
        let mut lines: Vec<_> = self.rules.lines().collect();
        lines.reverse();
        let lines = lines.into_iter().map_while(|(text, at)| {
            left = left.checked_sub(text.len())?;
            Some(SavedLine { text: decode(text).into_owned(), at })
        });
        let mut lines: Vec<_> = lines.collect();
        lines.reverse();
        SystemLogState {
            conditions: conditions.collect(),
            counts: counted
                .filter_map(|(rule, counts)| Some(SavedCounts { rule: self.saved_rule(rule)?, counts }))
                .collect(),
            folds: self
                .folds
                .open()
                .filter_map(|(rule, message, fold)| {
                    Some(SavedFold { rule: self.saved_rule(rule)?, message: message.to_owned(), fold: fold.clone() })
                })
                .collect(),
            lines,
        }
    }

    /// Restores a saved state, as far as the rules and conditions are the same.
    pub fn restore(&mut self, state: SystemLogState) {
        for saved in state.counts {
            if let Some(rule) = self.find(&saved.rule)
                && let Some(counter) = self.actions.get_mut(rule).and_then(|action| action.counter.as_mut())
            {
                counter.restore(saved.counts);
            }
        }
        for saved in state.folds {
            if let Some(rule) = self.find(&saved.rule)
                && self.actions.get(rule).is_some_and(|action| action.fold_within.is_some())
            {
                self.folds.restore(rule, saved.message, saved.fold);
            }
        }
        for line in state.lines {
            self.rules.push_unmatched(line.text.as_bytes(), line.at);
        }
        for saved in state.conditions {
            self.restore_condition(saved);
        }
    }

    /// Every record counts, however old: the source continues at the saved position.
    pub fn resume(&mut self) {
        self.start = self.earliest;
    }

    /// Every record counts that is newer than the newest known one: the source cannot continue at the saved position.
    pub fn resume_after(&mut self, newest: Timestamp) {
        self.start = self.earliest.max(newest.shift(1));
    }

    fn restore_condition(&mut self, saved: SavedCondition) {
        let SavedCondition { condition, active } = saved;
        let Some(index) = self.conditions.iter().position(|known| known.state.now.kind == condition.kind) else {
            return;
        };
        let before = active.len();
        let active: Vec<_> = active
            .into_iter()
            .filter_map(|active| {
                let rule = self.find(&active.rule)?;
                let action = self.actions.get(rule)?;
                let mut details = active.details;
                // A rule that has become one with a recheck is asked about soon, one that no longer has it never.
                details.next_check = action.recheck.map(|_| details.next_check.unwrap_or(details.last));
                let fits = action.by.len() == active.key.len() && action.is_of(index);
                fits.then_some(Active { rule, key: active.key, details })
            })
            .collect();
        let complete = active.len() == before;
        self.conditions[index].restore(condition, active, complete, &self.actions);
    }

    fn saved_rule(&self, rule: usize) -> Option<SavedRule> {
        let action = self.actions.get(rule)?;
        Some(SavedRule { reason: action.reason.clone(), pattern: action.pattern.clone() })
    }

    fn find(&self, saved: &SavedRule) -> Option<usize> {
        self.actions.iter().position(|action| action.reason == saved.reason && action.pattern == saved.pattern)
    }
}
