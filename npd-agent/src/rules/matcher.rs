//! The search itself: where does the leftmost match that ends with the newest byte start?
//!
//! A rule's pattern must match to the end of the buffered text, so the end of a match is known and only its start is
//! asked for. One lazy automaton of the reversed pattern answers that: it reads the text backwards from the newest
//! byte, remembers the last accepting position and stops as soon as it is dead. The leftmost-first match of
//! `(?:p)\z` starts at the leftmost position from which `p` reaches the end, which is the longest reversed match.
//! So the buffered lines need not be joined, and most lines are read only a few bytes far.
//!
//! The lazy automaton fills a cache on use; a rule that never comes near a match never has one.

use regex_automata::{
    Anchored, MatchKind,
    hybrid::{
        CacheError, LazyStateID,
        dfa::{Cache, DFA},
    },
    nfa::thompson,
    util::start,
};
use regex_syntax::hir::Hir;

use super::{
    line_buffer::Text,
    pattern::{PatternError, SIZE_LIMIT},
};

/// One or several patterns, searched in one backward walk.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    dfa: DFA,
    cache: Option<Box<Cache>>,
    starts: Vec<Option<Start>>,
}

/// Where a match starts. It ends with the newest line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// How many lines before the newest one; a newline between two lines belongs to the later one.
    pub(super) lines_back: usize,
    /// How many bytes of (valid UTF-8) text the match has.
    pub(super) len: usize,
}

/// Bounds the cache of one matcher. When it is full it is cleared and filled again.
const CACHE_BYTES: usize = 128 << 10;

// === impl Matcher ===

impl Matcher {
    /// Compiles patterns that are anchored at the end of the text.
    pub(super) fn new(hirs: &[&Hir]) -> Result<Self, PatternError> {
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new()
                    .reverse(true)
                    .which_captures(thompson::WhichCaptures::None)
                    .nfa_size_limit(Some(SIZE_LIMIT)),
            )
            .build_many_from_hir(hirs)
            .map_err(|error| PatternError::TooLarge(Box::new(error)))?;
        let config = DFA::config()
            // Leftmost-first would stop at the shortest start; the longest is wanted.
            .match_kind(MatchKind::All)
            .cache_capacity(CACHE_BYTES)
            .skip_cache_capacity_check(true);
        let dfa = DFA::builder()
            .configure(config)
            .build_from_nfa(nfa)
            .map_err(|error| PatternError::Unsupported(Box::new(error)))?;
        let starts = vec![None; hirs.len()];
        Ok(Self { dfa, cache: None, starts })
    }

    /// For each pattern the leftmost start of a match that ends with the text.
    pub(super) fn find(&mut self, text: &Text<'_>) -> &[Option<Start>] {
        self.starts.fill(None);
        let cache = self.cache.get_or_insert_with(|| Box::new(self.dfa.create_cache()));
        let mut walk = Walk { dfa: &self.dfa, cache, starts: &mut self.starts, at: Start { lines_back: 0, len: 0 } };
        if walk.run(text).is_err() {
            // Cannot happen: the cache may be cleared without limit and no byte makes the automaton quit.
            self.starts.fill(None);
        }
        &self.starts
    }
}

/// One backward walk.
struct Walk<'a> {
    dfa: &'a DFA,
    cache: &'a mut Cache,
    starts: &'a mut [Option<Start>],
    /// Where a match would start if it began with the byte read last.
    at: Start,
}

// === impl Walk ===

impl Walk<'_> {
    fn run(&mut self, text: &Text<'_>) -> Result<(), CacheError> {
        let config = start::Config::new().anchored(Anchored::Yes);
        let Ok(mut state) = self.dfa.start_state(self.cache, &config) else { return Ok(()) };
        for lines_back in 0..text.lines() {
            if lines_back > 0 {
                state = self.step(state, b'\n')?;
                if state.is_dead() {
                    return Ok(());
                }
                // The newline between two lines belongs to the later one.
                self.at.lines_back = lines_back - 1;
            }
            let line = text.line(lines_back);
            for byte in line.bytes().rev() {
                state = self.step(state, byte)?;
                if state.is_dead() {
                    return Ok(());
                }
                self.at.lines_back = lines_back;
            }
        }
        state = self.dfa.next_eoi_state(self.cache, state)?;
        self.note(state);
        Ok(())
    }

    #[inline]
    fn step(&mut self, state: LazyStateID, byte: u8) -> Result<LazyStateID, CacheError> {
        let state = self.dfa.next_state(self.cache, state, byte)?;
        if state.is_tagged() {
            self.note(state);
        }
        self.at.len += 1;
        Ok(state)
    }

    /// Accepting states come one byte late, so that the automaton can look at the byte before the match.
    fn note(&mut self, state: LazyStateID) {
        if !state.is_match() {
            return;
        }
        if let [start] = &mut *self.starts {
            *start = Some(self.at);
            return;
        }
        for index in 0..self.dfa.match_len(self.cache, state) {
            let pattern = self.dfa.match_pattern(self.cache, state, index);
            if let Some(start) = self.starts.get_mut(pattern.as_usize()) {
                *start = Some(self.at);
            }
        }
    }
}
