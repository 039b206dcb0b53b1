//! The rule engine: which rules does a log line hit?
//!
//! node-problem-detector's contract: every rule is tried on every line, in order; its pattern is searched in the
//! latest lines joined with newlines and must reach the end of the newest one. Here that costs next to nothing for
//! a line that hits no rule, and hardly grows with the number of rules:
//!
//! 1. One pass over the raw bytes looks for the strings, one of which each rule requires (`literals`, `prefilter`,
//!    `gram_index`). An innocent line ends here. Only where a rule can match a newline is it copied, to memory that is
//!    reused.
//! 2. Otherwise the rules whose strings occur are searched one by one, backwards from the end (`matcher`). Rules
//!    from which no string can be derived are searched together in each line; most give up after a few bytes.
//!
//! It does no I/O, reads no clock and does not know what a hit means.

use std::{num::NonZeroUsize, sync::Arc};

use crate::time::Timestamp;

mod captures;
mod extractor;
mod gram_index;
mod line_buffer;
mod literals;
mod matcher;
mod pattern;
mod prefilter;
mod template;

pub(crate) use self::line_buffer::decode;
pub use self::{
    extractor::Extractor,
    pattern::{Pattern, PatternError},
    template::{Template, TemplateError},
};

use self::{
    captures::Captures,
    line_buffer::{LineBuffer, Text},
    literals::Place,
    matcher::{Matcher, Start},
    prefilter::Prefilter,
};

/// The rules of one monitor and the latest lines of its log.
#[derive(Debug)]
pub struct Rules {
    size: NonZeroUsize,
    earlier: LineBuffer,
    /// How many lines have come.
    count: u64,
    prefilter: Prefilter,
    gated: Vec<Gated>,
    /// Until this line some rule is a candidate because of an earlier line.
    open_until: u64,
    ungated: Vec<Ungated>,
    /// By rule; those without named groups have none.
    captures: Vec<Option<Arc<Captures>>>,
    /// Memory that is reused from line to line: the indexes of `gated` to search, and what was found.
    candidates: Vec<usize>,
    found: Vec<(usize, Start)>,
}

/// A line that hits a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The rule's index in the list that the [`Rules`] were made of.
    pub rule: usize,
    /// The time of the first line of the match.
    pub timestamp: Timestamp,
    /// The lines from the one in which the match starts to the newest, joined with newlines.
    pub message: String,
    /// The texts of the pattern's named groups, those that took part in the match.
    pub captures: Vec<(Arc<str>, String)>,
}

/// A rule that is searched only when one of its literals occurs.
#[derive(Debug)]
struct Gated {
    rule: usize,
    matcher: Matcher,
    place: Place,
    /// For [`Place::Anywhere`]: before this line the buffer may hold a literal.
    open_until: u64,
}

/// Rules without literals.
#[derive(Debug)]
struct Ungated {
    rules: Vec<usize>,
    matcher: Matcher,
}

// === impl Rules ===

impl Rules {
    /// Rules over a buffer of `buffer_size` lines.
    #[must_use]
    pub fn new(patterns: Vec<Pattern>, buffer_size: NonZeroUsize) -> Self {
        let mut required = Vec::new();
        let mut gated: Vec<Gated> = Vec::new();
        let mut others = Vec::new();
        let mut keeps_lines = false;
        let captures = patterns.iter().map(|pattern| pattern.captures.clone()).collect();
        for (rule, pattern) in patterns.into_iter().enumerate() {
            if !pattern.can_match(buffer_size) {
                continue;
            }
            keeps_lines |= pattern.may_match_newline;
            if let Some(literals) = pattern.required {
                required.extend(literals.any_of.into_iter().map(|literal| (literal, gated.len())));
                gated.push(Gated { rule, matcher: pattern.matcher, place: literals.place, open_until: 0 });
            } else {
                others.push((rule, pattern));
            }
        }
        Self {
            size: buffer_size,
            earlier: LineBuffer::new(if keeps_lines { buffer_size.get() - 1 } else { 0 }),
            count: 0,
            prefilter: Prefilter::new(required),
            gated,
            open_until: 0,
            ungated: Ungated::group(others),
            captures,
            candidates: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Appends one line, without its newline, and calls `hit` for each rule that matches now, in the rules' order.
    ///
    /// The line may hold any bytes. As in Go, a byte outside of valid UTF-8 counts as U+FFFD.
    #[inline]
    pub fn push(&mut self, line: &[u8], at: Timestamp, hit: &mut dyn FnMut(Hit)) {
        let concerned = self.prefilter.may_concern(line);
        if concerned || self.count < self.open_until || !self.ungated.is_empty() {
            self.search(line, at, concerned, hit);
        }
        self.keep(line, at);
    }

    /// Whether a line with this text, or with a part of it, can hit anything or has to be kept. It may answer yes too
    /// often, never no.
    #[inline]
    #[must_use]
    pub fn may_concern(&self, text: &[u8]) -> bool {
        self.earlier.keeps_any()
            || self.count < self.open_until
            || !self.ungated.is_empty()
            || self.prefilter.may_concern(text)
    }

    /// The lines that later matches may start in, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], Timestamp)> {
        self.earlier.iter()
    }

    /// Appends one line that is not to hit anything itself; later matches may start in it.
    pub fn push_unmatched(&mut self, line: &[u8], at: Timestamp) {
        // Not searched: the line may contain what any of these rules requires.
        for gated in self.gated.iter_mut().filter(|gated| gated.place == Place::Anywhere) {
            gated.open_until = self.count + self.size.get() as u64;
            self.open_until = gated.open_until;
        }
        self.keep(line, at);
    }

    #[inline]
    fn keep(&mut self, line: &[u8], at: Timestamp) {
        self.count += 1;
        self.earlier.push(line, at);
    }

    #[inline(never)]
    fn search(&mut self, line: &[u8], at: Timestamp, concerned: bool, hit: &mut dyn FnMut(Hit)) {
        self.candidates.clear();
        if concerned {
            self.prefilter.candidates(line, |index| self.candidates.push(index));
            self.candidates.sort_unstable();
            self.candidates.dedup();
        }
        self.hold_open();

        let newest = line_buffer::decode(line);
        let text = Text::new(&newest, at, &self.earlier, self.size);
        self.found.clear();
        for index in &self.candidates {
            let Some(gated) = self.gated.get_mut(*index) else { continue };
            self.found.extend(gated.matcher.find(&text).iter().flatten().map(|start| (gated.rule, *start)));
        }
        for ungated in &mut self.ungated {
            let starts = ungated.matcher.find(&text);
            self.found.extend(ungated.rules.iter().zip(starts).filter_map(|(rule, start)| Some((*rule, (*start)?))));
        }
        self.found.sort_unstable_by_key(|(rule, _)| *rule);

        for (rule, start) in &self.found {
            let (timestamp, message) = text.since(start.lines_back);
            let captures = self.captures.get(*rule).and_then(Option::as_ref);
            let captures = captures.map(|captures| captures.read(&text.joined(), start.len)).unwrap_or_default();
            hit(Hit { rule: *rule, timestamp, message, captures });
        }
    }

    /// A literal that may stand in an earlier line keeps its rule a candidate while that line is in the buffer.
    fn hold_open(&mut self) {
        for index in &self.candidates {
            if let Some(gated) = self.gated.get_mut(*index).filter(|gated| gated.place == Place::Anywhere) {
                gated.open_until = self.count + self.size.get() as u64;
                self.open_until = gated.open_until;
            }
        }
        if self.count < self.open_until {
            let open = self.gated.iter().enumerate().filter(|(_, gated)| self.count < gated.open_until);
            self.candidates.extend(open.map(|(index, _)| index));
            self.candidates.sort_unstable();
            self.candidates.dedup();
        }
    }
}

// === impl Ungated ===

impl Ungated {
    /// All of them in one automaton if that is not too large, otherwise each in its own.
    fn group(patterns: Vec<(usize, Pattern)>) -> Vec<Self> {
        if patterns.len() > 1 {
            let hirs: Vec<_> = patterns.iter().map(|(_, pattern)| &pattern.hir).collect();
            if let Ok(matcher) = Matcher::new(&hirs) {
                return vec![Self { rules: patterns.iter().map(|(rule, _)| *rule).collect(), matcher }];
            }
        }
        patterns.into_iter().map(|(rule, pattern)| Self { rules: vec![rule], matcher: pattern.matcher }).collect()
    }
}

#[cfg(test)]
mod tests;
