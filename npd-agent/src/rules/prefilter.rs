//! Which rules can a line concern at all? Answered for all rules in one pass over the raw bytes.
//!
//! Two stages. The first only says whether any required literal occurs: SIMD multi-substring search (Teddy) in
//! groups, because one searcher has 16 buckets and stops too often beyond some 128 strings. It decides nearly every
//! line. The second runs only for the rest and finds exactly the rules whose literals occur.

use aho_corasick::{AhoCorasick, AhoCorasickKind, packed};

use super::buckets::{self, PRINT};

/// The required literals of all rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefilter {
    scan: Scan,
    /// All literals. `None` if they cannot be compiled: then every rule is a candidate of every line.
    exact: Option<AhoCorasick>,
    /// The rules of each literal of `exact`.
    owners: Vec<Vec<usize>>,
}

/// The first stage.
#[derive(Clone, Debug, Default)]
enum Scan {
    /// There is nothing to look for.
    #[default]
    Nothing,
    /// Teddy.
    Packed(Packed),
    /// This CPU has no Teddy.
    Automaton(AhoCorasick),
    /// Not even an automaton can be built.
    Everything,
}

/// Searchers over groups of literals.
#[derive(Clone, Debug)]
struct Packed {
    groups: Vec<Group>,
    /// What a line is copied to: NUL bytes, the line, NUL bytes.
    ///
    /// Teddy cannot yet compare whole prints in the first bytes of a text, and it reads the end of a text that is no
    /// multiple of its vectors twice, so it stops at nearly every start and end. Neither happens with NULs around
    /// the line. This halves the cost of a short line, and no line is too short for vectors.
    padded: Box<[u8]>,
    /// The bytes that all searchers read at once.
    vector: usize,
}

#[derive(Clone, Debug)]
struct Group {
    searcher: packed::Searcher,
    /// How many of the first NULs it does not need.
    skip: usize,
}

/// As many literals share one searcher at most.
const GROUP: usize = 128;

/// Longer than any vector that Teddy reads.
const MAX_VECTOR: usize = 32;

/// Longer lines are searched in place.
const COPIED: usize = 1024;

/// The smallest set with the same effect: whoever looks for a part need not look for the whole.
fn minimal(literals: &[Vec<u8>]) -> Vec<&[u8]> {
    let mut sorted: Vec<&[u8]> = literals.iter().map(Vec::as_slice).collect();
    sorted.sort_unstable_by_key(|literal| literal.len());
    let mut kept: Vec<&[u8]> = Vec::with_capacity(sorted.len());
    for literal in sorted {
        if !kept.iter().any(|part| literal.windows(part.len()).any(|window| window == *part)) {
            kept.push(literal);
        }
    }
    kept
}

// === impl Prefilter ===

impl Prefilter {
    /// Looks for literals; each comes with the index of its rule.
    pub(super) fn new(mut required: Vec<(Vec<u8>, usize)>) -> Self {
        required.sort_unstable();
        required.dedup();
        let mut literals: Vec<Vec<u8>> = Vec::new();
        let mut owners: Vec<Vec<usize>> = Vec::new();
        for (literal, rule) in required {
            match owners.last_mut() {
                Some(rules) if literals.last() == Some(&literal) => rules.push(rule),
                _ => {
                    literals.push(literal);
                    owners.push(vec![rule]);
                }
            }
        }
        let exact = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&literals).ok();
        Self { scan: Scan::new(&minimal(&literals)), exact, owners }
    }

    /// Whether any rule may concern `line`. This is the hot path.
    #[inline]
    pub(super) fn may_concern(&mut self, line: &[u8]) -> bool {
        match &mut self.scan {
            Scan::Nothing => false,
            Scan::Packed(packed) => packed.is_match(line),
            Scan::Automaton(automaton) => automaton.is_match(line),
            Scan::Everything => true,
        }
    }

    /// Calls `candidate` for each rule with a literal in `line`, in no order and maybe more than once.
    pub(super) fn candidates(&self, line: &[u8], mut candidate: impl FnMut(usize)) {
        let Some(exact) = &self.exact else {
            self.owners.iter().flatten().for_each(|rule| candidate(*rule));
            return;
        };
        for found in exact.find_overlapping_iter(line) {
            let rules = self.owners.get(found.pattern().as_usize());
            rules.into_iter().flatten().for_each(|rule| candidate(*rule));
        }
    }
}

// === impl Scan ===

impl Scan {
    fn new(literals: &[&[u8]]) -> Self {
        if literals.is_empty() {
            return Self::Nothing;
        }
        let automaton = || AhoCorasick::new(literals).ok().map(Self::Automaton);
        Packed::new(literals).map(Self::Packed).or_else(automaton).unwrap_or(Self::Everything)
    }
}

// === impl Packed ===

impl Packed {
    fn new(literals: &[&[u8]]) -> Option<Self> {
        let mut literals = literals.to_vec();
        // A searcher compares as many bytes as its shortest string has: the short ones stay among themselves.
        literals.sort_unstable_by_key(|literal| (literal.len().min(PRINT), *literal));
        let size = literals.len().div_ceil(literals.len().div_ceil(GROUP));
        let groups = literals.chunks(size).map(Group::new).collect::<Option<Vec<_>>>()?;
        // With few strings Teddy reads 32 bytes at once, with many 16.
        let vector = if literals.chunks(size).all(|group| group.len() > 32) { 16 } else { 32 };
        Some(Self { groups, padded: vec![0; PRINT + COPIED + 2 * MAX_VECTOR].into(), vector })
    }

    #[inline]
    fn is_match(&mut self, line: &[u8]) -> bool {
        if line.len() > COPIED {
            return self.groups.iter().any(|group| group.searcher.find(line).is_some());
        }
        let end = PRINT + line.len();
        self.padded[PRINT..end].copy_from_slice(line);
        self.padded[end..end + MAX_VECTOR].fill(0);
        // The first print ends at byte 3, from there on whole vectors.
        let text = &self.padded[..PRINT - 1 + (line.len() + 1).next_multiple_of(self.vector)];
        self.groups.iter().any(|group| group.searcher.find(&text[group.skip..]).is_some())
    }
}

// === impl Group ===

impl Group {
    /// `None` when the CPU has no Teddy.
    fn new(literals: &[&[u8]]) -> Option<Self> {
        let shortest = literals.iter().map(|literal| literal.len()).min()?;
        // The limit of 64 strings is for strings as they come; these are arranged.
        let config = packed::Config::new().heuristic_pattern_limits(false).clone();
        let searcher = config.builder().extend(buckets::arrange(literals)).build()?;
        Some(Self { searcher, skip: PRINT - shortest.min(PRINT) })
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
        rules
    }

    #[test]
    fn every_rule_with_a_literal_in_the_line_is_a_candidate() {
        let mut prefilter = prefilter(&["task ", "task docker:", "blocked", "task "]);
        assert!(prefilter.may_concern(b"INFO: task docker:7 hung"));
        assert_eq!(candidates(&prefilter, "INFO: task docker:7 hung"), [0, 1, 3]);
        assert!(!prefilter.may_concern(b"nothing of that kind in this line, which is long enough"));
    }

    #[test]
    fn lines_of_every_length_are_searched() {
        let literals: Vec<String> = (0..200).map(|n| format!("lit{n:03}x")).collect();
        let mut prefilter = prefilter(&literals.iter().map(String::as_str).collect::<Vec<_>>());
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

    #[test]
    fn the_first_stage_looks_for_parts_instead_of_wholes() {
        let literals = ["panic", "kernel panic", "Xid", "and so on: EDAC"].map(|l| l.as_bytes().to_vec());
        assert_eq!(minimal(&literals), [&b"Xid"[..], b"panic", b"and so on: EDAC"]);
    }

    #[test]
    fn without_teddy_the_same_lines_are_concerned() {
        let mut prefilter = prefilter(&["task ", "Xid"]);
        prefilter.scan = Scan::Automaton(AhoCorasick::new(["task ", "Xid"]).unwrap());
        assert!(prefilter.may_concern(b"NVRM: Xid (PCI:0000)"));
        assert!(!prefilter.may_concern(b"xid"));
        prefilter.scan = Scan::Everything;
        prefilter.exact = None;
        assert!(prefilter.may_concern(b"x"));
        assert_eq!(candidates(&prefilter, "x"), [0, 1]);
    }
}
