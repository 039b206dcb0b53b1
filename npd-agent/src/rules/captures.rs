//! The texts of a pattern's named groups.
//!
//! Only a match that was found is read again for its groups, by a plain Pike machine: matches are rare, and patterns
//! with names rarer still.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use regex_automata::{
    Anchored, Input,
    nfa::thompson::{self, pikevm::PikeVM},
};
use regex_syntax::hir::{Capture, Hir, HirKind, Repetition};

use super::pattern::{PatternError, SIZE_LIMIT};

/// The named groups of one pattern.
#[derive(Debug)]
pub(super) struct Captures {
    /// With the groups that have a name only.
    hir: Hir,
    /// Built when a match is read: most rules never match.
    machine: OnceLock<Option<PikeVM>>,
    /// In the order in which the groups open; the group at index 0 has number 1.
    names: Vec<Arc<str>>,
}

/// `hir` with those groups only that have a name, numbered from 1. Go lets a name occur twice: the first one counts.
fn keep_named(hir: &Hir, names: &mut Vec<Arc<str>>, seen: &mut BTreeSet<Box<str>>) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(|part| keep_named(part, names, seen)).collect()),
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.iter().map(|part| keep_named(part, names, seen)).collect())
        }
        HirKind::Repetition(repetition) => {
            let sub = Box::new(keep_named(&repetition.sub, names, seen));
            Hir::repetition(Repetition { sub, ..*repetition })
        }
        HirKind::Capture(capture) => match &capture.name {
            Some(name) if seen.insert(name.clone()) => {
                names.push(Arc::from(&**name));
                let index = names.len() as u32;
                let sub = Box::new(keep_named(&capture.sub, names, seen));
                Hir::capture(Capture { index, name: Some(name.clone()), sub })
            }
            _ => keep_named(&capture.sub, names, seen),
        },
    }
}

fn compile(hir: &Hir) -> Result<PikeVM, Box<thompson::BuildError>> {
    let config = thompson::Config::new().nfa_size_limit(Some(SIZE_LIMIT));
    let nfa = thompson::Compiler::new().configure(config).build_from_hir(hir)?;
    Ok(PikeVM::new_from_nfa(nfa)?)
}

// === impl Captures ===

impl Captures {
    /// `None` if the pattern has no named groups. `hir` is anchored at its end.
    pub(super) fn new(hir: &Hir) -> Result<Option<Self>, PatternError> {
        let mut names = Vec::new();
        let hir = keep_named(hir, &mut names, &mut BTreeSet::new());
        if names.is_empty() {
            return Ok(None);
        }
        // A failure to build it is an error now, not at the first match.
        compile(&hir).map_err(PatternError::TooLarge)?;
        Ok(Some(Self { hir, machine: OnceLock::new(), names }))
    }

    /// The groups' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The groups of the match that is the last `len` bytes of `text`; a group that took no part is left out.
    pub(super) fn read(&self, text: &str, len: usize) -> Vec<(Arc<str>, String)> {
        let Some(machine) = self.machine.get_or_init(|| compile(&self.hir).ok()) else { return Vec::new() };
        let mut groups = machine.create_captures();
        let input = Input::new(text).span(text.len().saturating_sub(len)..text.len()).anchored(Anchored::Yes);
        machine.captures(&mut machine.create_cache(), input, &mut groups);
        let named = (1..).zip(&self.names).filter_map(|(index, name)| {
            let group = text.get(groups.get_group(index)?.range())?;
            Some((name.clone(), group.to_owned()))
        });
        named.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pattern: &str, text: &str, len: usize) -> Option<Vec<(String, String)>> {
        let hir = regex_syntax::parse(&format!(r"(?:{pattern})\z")).unwrap();
        let found = Captures::new(&hir).unwrap()?.read(text, len);
        Some(found.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn named_groups_are_read_in_order() {
        let pattern = "task (?P<comm>[^:]+):(?P<pid>[0-9]+) (.*)";
        assert_eq!(read(pattern, "INFO: task dd:7 hung", 14), Some(pairs(&[("comm", "dd"), ("pid", "7")])));
    }

    #[test]
    fn a_group_that_took_no_part_is_left_out() {
        assert_eq!(read("a(?P<x>b)?(?P<y>c)?", "ac", 2), Some(pairs(&[("y", "c")])));
    }

    #[test]
    fn patterns_without_names_have_no_groups() {
        assert_eq!(read("a(b)", "ab", 2), None);
    }
}
