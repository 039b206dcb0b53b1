//! The conditions a file declares, each once.

use std::collections::{HashMap, HashSet};

use super::{ConditionDefinition, raw::RawCondition};
use crate::{
    config::{
        decode::{Element, List},
        report::{Findings, Notice, Problem},
    },
    go::json::Position,
};

/// The conditions a file declares.
pub(in crate::config) struct Conditions<'d> {
    pub(in crate::config) definitions: Vec<ConditionDefinition>,
    pub(in crate::config) by_kind: HashMap<&'d str, Declaration>,
    /// False when an error hides what is declared, so that nothing can be said about what is not.
    pub(in crate::config) complete: bool,
}

#[derive(Clone, Copy)]
pub(in crate::config) struct Declaration {
    pub(in crate::config) index: usize,
    position: Position,
}

// === impl Conditions ===

impl<'d> Conditions<'d> {
    pub(in crate::config) fn check(declared: &List<'d, RawCondition<'d>>, findings: &mut Findings) -> Self {
        let complete = !declared.is_refused();
        let mut conditions = Self { definitions: Vec::new(), by_kind: HashMap::new(), complete };
        for element in declared.elements() {
            conditions.add(element, findings);
        }
        conditions
    }

    fn add(&mut self, element: &Element<'d, RawCondition<'d>>, findings: &mut Findings) {
        let given = element.given("a condition", findings);
        let Some((condition, at, kind)) = given.and_then(|(given, at)| Some((given, at, given.kind.get()?))) else {
            self.complete = false;
            return;
        };
        if kind.is_empty() {
            findings.error(condition.kind.at(at), Problem::ConditionUntyped);
            return;
        }
        let definition = ConditionDefinition {
            kind: kind.into(),
            reason: condition.reason.get().unwrap_or_default().into(),
            message: condition.message.get().unwrap_or_default().to_owned(),
        };
        if let Some(Declaration { index, position: first }) = self.by_kind.get(kind).copied() {
            let kind = kind.to_owned();
            if self.definitions[index] == definition {
                findings.notice(at, Notice::ConditionRepeated { kind, first });
            } else {
                findings.error(at, Problem::ConditionTwice { kind, first });
            }
            return;
        }
        self.by_kind.insert(kind, Declaration { index: self.definitions.len(), position: at.position() });
        self.definitions.push(definition);
    }

    /// Says which conditions no rule names.
    pub(in crate::config) fn report_unused(
        &self,
        declared: &List<'d, RawCondition<'d>>,
        named: &HashSet<&str>,
        findings: &mut Findings,
    ) {
        for element in declared.elements() {
            let kind = element.value.kind.get().unwrap_or_default();
            let here = self.by_kind.get(kind).is_some_and(|first| first.position == element.at.position());
            if here && !named.contains(kind) {
                findings.notice(element.at, Notice::ConditionUnused(kind.to_owned()));
            }
        }
    }
}
