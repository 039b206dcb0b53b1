//! Which rules can a line concern at all? Answered for all rules in one pass over the raw bytes.
//!
//! The pass only looks up a few bytes here and there (`gram_index`); it decides nearly every line. Where such bytes
//! occur, the required literals that have them are compared, and the rules of those that stand in the line are
//! candidates.

use std::ops::ControlFlow;

use crate::rules::gram_index::{GRAM, GramIndex};

/// The required literals of all rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefilter {
    /// The literals with whole grams and those that are too short for it, each with its place in `owners`.
    parts: Vec<GramIndex>,
    /// The rules of each literal.
    owners: Vec<Vec<usize>>,
}

// === impl Prefilter ===

impl Prefilter {
    /// Looks for literals; each comes with the index of its rule.
    pub(super) fn new(mut required: Vec<(Vec<u8>, usize)>) -> Self {
        required.sort_unstable();
        required.dedup();
        let same = || required.chunk_by(|(a, _), (b, _)| a == b);
        let literals: Vec<(&[u8], usize)> = same().zip(0..).map(|(rules, key)| (&*rules[0].0, key)).collect();
        let (whole, short): (Vec<_>, Vec<_>) = literals.into_iter().partition(|(literal, _)| literal.len() >= GRAM);
        Self {
            parts: [whole, short].iter().filter_map(|literals| GramIndex::new(literals)).collect(),
            owners: same().map(|rules| rules.iter().map(|(_, rule)| *rule).collect()).collect(),
        }
    }

    /// Whether any rule may concern `line`. This is the hot path.
    #[inline]
    pub(super) fn may_concern(&self, line: &[u8]) -> bool {
        self.parts.iter().any(|part| part.find(line, &mut |_| ControlFlow::Break(())).is_break())
    }

    /// Calls `candidate` for each rule with a literal in `line`, in no order and maybe more than once.
    pub(super) fn candidates(&self, line: &[u8], mut candidate: impl FnMut(usize)) {
        let mut found = |key: usize| {
            self.owners[key].iter().copied().for_each(&mut candidate);
            ControlFlow::Continue(())
        };
        let _all = self.parts.iter().try_for_each(|part| part.find(line, &mut found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefilter(literals: &[&str]) -> Prefilter {
        Prefilter::new(literals.iter().enumerate().map(|(rule, l)| (l.as_bytes().to_vec(), rule)).collect())
    }

    fn candidates(prefilter: &Prefilter, line: &str) -> Vec<usize> {
        let mut rules = Vec::new();
        prefilter.candidates(line.as_bytes(), |rule| rules.push(rule));
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    #[test]
    fn every_rule_with_a_literal_in_the_line_is_a_candidate() {
        let prefilter = prefilter(&["task ", "task docker:", "blocked", "task ", "7 h"]);
        assert!(prefilter.may_concern(b"INFO: task docker:7 hung"));
        assert_eq!(candidates(&prefilter, "INFO: task docker:7 hung"), [0, 1, 3, 4]);
        assert!(!prefilter.may_concern(b"nothing of that kind in this line, which is long enough"));
    }

    #[test]
    fn lines_of_every_length_are_searched() {
        let literals: Vec<String> = (0..200).map(|n| format!("lit{n:03}x")).collect();
        let prefilter = prefilter(&literals.iter().map(String::as_str).collect::<Vec<_>>());
        for pad in (0..150).chain(1000..1060) {
            let line = format!("{}lit137x", "-".repeat(pad));
            assert!(prefilter.may_concern(line.as_bytes()), "{pad}");
            assert_eq!(candidates(&prefilter, &line), [137], "{pad}");
            assert!(!prefilter.may_concern(&line.as_bytes()[..pad + 6]), "{pad}");
        }
    }

    #[test]
    fn without_literals_nothing_is_concerned() {
        assert!(!Prefilter::default().may_concern(b"anything"));
        assert!(!prefilter(&[]).may_concern(b""));
    }
}
