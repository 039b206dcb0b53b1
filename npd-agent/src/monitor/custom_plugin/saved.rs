//! What a monitor saves for the next start, and how it is restored.
//!
//! A rule is identified by its reason and by what it runs. The finding of a rule that still has both is restored, the rest
//! is discarded. So a restart reports nothing, and neither does a changed file for the rules that it did not change.

use serde::{Deserialize, Serialize};

use super::{CustomPlugin, Finding, PluginCondition, RuleState};
use crate::{config::Effect, problem::Condition, text::cut};

/// Maximum number of bytes of a rule's message that are saved; the message of a condition is saved as a whole.
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
    #[serde(flatten)]
    finding: Finding,
}

// === impl CustomPlugin ===

impl CustomPlugin {
    /// What is to be saved.
    #[must_use]
    pub fn state(&self) -> CustomPluginState {
        let known = self.conditions.iter().filter(|condition| condition.known);
        let conditions = known.map(|condition| condition.state.now.clone());
        let rules = self.rules.iter().filter_map(|rule| {
            let finding = rule.finding.clone()?;
            let message = cut(&finding.message, MESSAGE_MAX).to_owned();
            Some(SavedRule { rule: rule.identity.clone(), finding: Finding { message, ..finding } })
        });
        CustomPluginState { conditions: conditions.collect(), rules: rules.collect() }
    }

    /// Restores a saved state, as far as the rules and conditions are the same.
    pub fn restore(&mut self, state: CustomPluginState) {
        for SavedRule { rule, finding } in state.rules {
            self.newest = self.newest.max(finding.since);
            // Two rules may differ in their types only: a finding goes to the first match that has none yet.
            let fits = |known: &&mut RuleState| known.identity == rule && known.finding.is_none();
            if let Some(known) = self.rules.iter_mut().find(fits) {
                known.finding = Some(finding);
            }
        }
        for saved in state.conditions {
            let same = |condition: &PluginCondition| condition.state.now.kind == saved.kind;
            let Some(index) = self.conditions.iter().position(same) else { continue };
            // Without a rule it would never end.
            if self.rules.iter().any(|rule| rule.effect == Effect::Permanent { condition: index }) {
                self.conditions[index].restore(saved);
            }
        }
    }
}
