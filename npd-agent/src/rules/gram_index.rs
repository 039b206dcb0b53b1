//! Finds literals by four bytes of each.
//!
//! Every fourth place of a line is enough: a literal of seven bytes or more covers one of these places with four of
//! its bytes, wherever it stands. Only these grams are looked up in the line, in a bit set; a hit leads to a bucket
//! with the literals that have the gram, and these are compared. Shorter literals need more places or shorter grams.
//!
//! Which seven bytes of a literal are looked for is free. Taken are those whose grams are rare in logs, or are looked
//! for anyhow because of another literal. A bad choice costs time, never a match.

use std::{collections::HashSet, ops::ControlFlow};

use super::literals;

/// The bytes of a gram. Longer grams are more selective but need longer literals.
pub(crate) const GRAM: usize = 4;

/// Literals of at least this many bytes are found by looking at every fourth place.
pub(crate) const LONG: usize = GRAM + 3;

/// A set of grams, with errors: with few grams it seldom contains one that was not added.
#[derive(Clone, Debug)]
pub(crate) struct GramSet([u64; 1 << SET_BITS]);

/// Literals and the grams that they are found by.
#[derive(Clone, Debug)]
pub(crate) struct GramIndex {
    /// How many bytes a gram has.
    width: usize,
    /// The distance between the places of a line at which a gram is looked up.
    stride: usize,
    set: Box<GramSet>,
    /// With the key to give back.
    literals: Vec<(Box<[u8]>, usize)>,
    /// Where in `entries` each bucket starts, and where the last one ends.
    starts: Vec<usize>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    gram: u32,
    literal: usize,
    /// Where in the literal the gram stands.
    at: usize,
}

/// 16 KiB of bits: 700 grams, from about 180 literals, are 1 in 190.
const SET_BITS: u32 = 11;

const BUCKET_BITS: u32 = 9;

/// Each further gram takes a bit of the set.
const BIT_RATE: f32 = 1.0 / (64 << SET_BITS) as f32;

/// Some bytes as a number.
fn gram(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |gram, byte| gram << 8 | u32::from(*byte))
}

const fn hash(gram: u32) -> u32 {
    gram.wrapping_mul(0x9e37_79b1)
}

fn bucket(gram: u32) -> usize {
    (hash(gram) >> (u32::BITS - BUCKET_BITS)) as usize
}

/// The first of the `stride` neighbouring grams that are found least often besides those of `chosen`.
fn rarest(literal: &[u8], width: usize, stride: usize, chosen: &HashSet<u32>) -> usize {
    let rates: Vec<f32> = literal
        .windows(width)
        .map(|bytes| {
            let bits = literals::rarity_bits(bytes) as f32;
            if chosen.contains(&gram(bytes)) { 0.0 } else { (-bits).exp2() + BIT_RATE }
        })
        .collect();
    let sums = rates.windows(stride).map(|rates| rates.iter().sum::<f32>()).enumerate();
    sums.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(at, _)| at)
}

// === impl GramSet ===

impl GramSet {
    /// The set of no gram.
    pub(crate) const fn new() -> Self {
        Self([0; 1 << SET_BITS])
    }

    /// Adds a gram.
    pub(crate) const fn insert(&mut self, gram: u32) {
        let (word, bit) = Self::place(gram);
        self.0[word] |= 1 << bit;
    }

    /// Whether the gram was added, or one like it.
    #[inline]
    pub(crate) const fn contains(&self, gram: u32) -> bool {
        let (word, bit) = Self::place(gram);
        self.0[word] >> bit & 1 == 1
    }

    const fn place(gram: u32) -> (usize, u32) {
        let hash = hash(gram);
        ((hash >> (u32::BITS - SET_BITS)) as usize, hash >> (u32::BITS - SET_BITS - 6) & 63)
    }
}

// === impl GramIndex ===

impl GramIndex {
    /// Looks for literals, each with a key to return; `None` if there are none. None may be empty.
    pub(crate) fn new(literals: &[(&[u8], usize)]) -> Option<Self> {
        let mut sorted = literals.to_vec();
        // The short ones have the least choice.
        sorted.sort_by_key(|(literal, _)| literal.len());
        let shortest = sorted.first()?.0.len();
        let width = shortest.min(GRAM);
        let stride = shortest.min(LONG) - width + 1;

        let mut chosen = HashSet::new();
        let mut entries = Vec::new();
        for (index, (literal, _)) in sorted.iter().enumerate() {
            let from = rarest(literal, width, stride, &chosen);
            for at in from..from + stride {
                let gram = gram(&literal[at..at + width]);
                chosen.insert(gram);
                entries.push(Entry { gram, literal: index, at });
            }
        }
        entries.sort_by_key(|entry| bucket(entry.gram));
        let starts = (0..=1 << BUCKET_BITS).map(|end| entries.partition_point(|entry| bucket(entry.gram) < end));
        let mut set = Box::new(GramSet::new());
        for gram in chosen {
            set.insert(gram);
        }
        let literals = sorted.iter().map(|(literal, key)| ((*literal).into(), *key)).collect();
        Some(Self { width, stride, set, literals, starts: starts.collect(), entries })
    }

    /// Calls `found` with the key of each literal in `line`, maybe more than once, until it breaks.
    ///
    /// This is the hot path.
    #[inline]
    pub(crate) fn find(&self, line: &[u8], found: &mut dyn FnMut(usize) -> ControlFlow<()>) -> ControlFlow<()> {
        match (self.width, self.stride) {
            (GRAM, 4) => self.find_every::<4>(line, found),
            (GRAM, 3) => self.find_every::<3>(line, found),
            (GRAM, 2) => self.find_every::<2>(line, found),
            (GRAM, _) => self.find_every::<1>(line, found),
            _ => line.windows(self.width).map(gram).enumerate().try_for_each(|(place, gram)| {
                if self.set.contains(gram) { self.compare(line, place, gram, found) } else { ControlFlow::Continue(()) }
            }),
        }
    }

    /// Looks up whole grams at every `STRIDE`-th place.
    #[inline]
    fn find_every<const STRIDE: usize>(
        &self,
        line: &[u8],
        found: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut rest = line;
        while let Some(bytes) = rest.first_chunk() {
            let gram = u32::from_le_bytes(*bytes);
            if self.set.contains(gram) {
                self.compare(line, line.len() - rest.len(), gram, found)?;
            }
            rest = rest.get(STRIDE..).unwrap_or_default();
        }
        ControlFlow::Continue(())
    }

    /// Calls `found` for the literals that stand in `line` with `gram` at `place`.
    #[cold]
    fn compare(
        &self,
        line: &[u8],
        place: usize,
        gram: u32,
        found: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let bucket = bucket(gram);
        for entry in &self.entries[self.starts[bucket]..self.starts[bucket + 1]] {
            let (literal, key) = &self.literals[entry.literal];
            let rest = || line.get(place.checked_sub(entry.at)?..);
            if entry.gram == gram && rest().is_some_and(|rest| rest.starts_with(literal)) {
                found(*key)?;
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(literals: &[&str]) -> GramIndex {
        let keyed: Vec<_> = literals.iter().enumerate().map(|(key, literal)| (literal.as_bytes(), key)).collect();
        GramIndex::new(&keyed).unwrap()
    }

    fn found(index: &GramIndex, line: &str) -> Vec<usize> {
        let mut keys = Vec::new();
        let end = index.find(line.as_bytes(), &mut |key| {
            keys.push(key);
            ControlFlow::Continue(())
        });
        assert!(end.is_continue());
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    #[test]
    fn literals_of_every_length_are_found_at_every_place() {
        let literal = "abcdefghijklmnopqrstuvwxyz";
        for length in 1..literal.len() {
            let index = index(&[&literal[..length], literal]);
            for place in 0..40 {
                let line = format!("{}{}{}", "-".repeat(place), &literal[..length], "-".repeat(place % 5));
                assert_eq!(found(&index, &line), [0], "{line}");
                assert_eq!(found(&index, &line[..place + length - 1]), [0; 0], "{line}");
            }
        }
    }

    #[test]
    fn literals_within_literals_are_found_too() {
        let index = index(&["kernel panic", "panic at the", "el panic at", "kernel panic at the disco"]);
        assert_eq!(found(&index, "a kernel panic at the disco"), [0, 1, 2, 3]);
        assert_eq!(found(&index, "a kernel panic"), [0]);
    }

    #[test]
    fn only_short_literals_need_more_places() {
        assert_eq!(index(&["seven b", "and many more"]).stride, 4);
        assert_eq!((index(&["six by", "and many more"]).stride, index(&["four"]).stride), (3, 1));
        assert_eq!((index(&["Xid"]).width, index(&["Xi"]).width), (3, 2));
        assert!(GramIndex::new(&[]).is_none());
    }

    #[test]
    fn alike_literals_share_grams() {
        let literals: Vec<String> = (0..100).map(|n| format!("driver{n}: xyzzyx on port {n}")).collect();
        let index = index(&literals.iter().map(String::as_str).collect::<Vec<_>>());
        let grams: HashSet<u32> = index.entries.iter().map(|entry| entry.gram).collect();
        assert_eq!(grams.len(), 4);
    }

    #[test]
    fn literals_are_not_looked_for_by_everyday_words() {
        let index = index(&["filesystem corrupt, xid 7 at"]);
        assert!(index.entries.iter().all(|entry| entry.at >= "filesys".len()), "{index:?}");
    }
}
