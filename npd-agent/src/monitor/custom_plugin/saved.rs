//! What a monitor remembers over a restart, and how it goes on with it.
//!
//! A rule is known by its reason and by what it runs. What belongs to a rule that is still there in the same words is taken
//! over, the rest is dropped. So a restart is no news, and neither is a changed file for the rules that it did not change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{CheckStatus, ConditionState, CustomPlugin, Finding, RuleState};
use crate::{config::Effect, problem::Condition, text::cut};

/// Bytes of a message that are remembered of a rule; the condition's own is remembered as a whole.
const MESSAGE_MAX: usize = 512;

/// The state of a [`CustomPlugin`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomPluginState {
    conditions: Vec<Condition>,
    rules: Vec<SavedRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedRule {
    rule: String,
    status: CheckStatus,
    reason: Arc<str>,
    message: String,
    since: u64,
}

// === impl CustomPlugin ===

impl CustomPlugin {
    /// What is to be remembered.
    #[must_use]
    pub fn state(&self) -> CustomPluginState {
        let known = self.conditions.iter().filter(|condition| condition.known);
        let conditions = known.map(|condition| condition.now.clone());
        let rules = self.rules.iter().filter_map(|rule| {
            let Finding { status, reason, message, since } = rule.found.clone()?;
            let message = cut(&message, MESSAGE_MAX).to_owned();
            Some(SavedRule { rule: rule.identity.clone(), status, reason, message, since })
        });
        CustomPluginState { conditions: conditions.collect(), rules: rules.collect() }
    }

    /// Goes on with the state of before, as far as the rules and conditions are the same.
    pub fn restore(&mut self, state: CustomPluginState) {
        for SavedRule { rule, status, reason, message, since } in state.rules {
            self.newest = self.newest.max(since);
            // Two rules may be the same to the letter but for their types: each is the first that fits and knows nothing.
            let fits = |known: &&mut RuleState| known.identity == rule && known.found.is_none();
            if let Some(known) = self.rules.iter_mut().find(fits) {
                known.found = Some(Finding { status, reason, message, since });
            }
        }
        for saved in state.conditions {
            let same = |condition: &ConditionState| condition.now.kind == saved.kind;
            let Some(index) = self.conditions.iter().position(same) else { continue };
            // Without a rule nothing would ever end it.
            if self.rules.iter().any(|rule| rule.effect == Effect::Permanent { condition: index }) {
                self.conditions[index].restore(saved);
            }
        }
    }
}
