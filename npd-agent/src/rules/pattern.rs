//! A rule's pattern: Go syntax, compiled and ready to run.
//!
//! Whatever can be wrong with a pattern shows here, so a [`Rules`](super::Rules) is built from patterns that work.

use std::{num::NonZeroUsize, sync::Arc};

use regex_automata::{hybrid, nfa::thompson};
use regex_syntax::hir::{Hir, Look};

use super::{
    captures::Captures,
    literals::{self, Required},
    matcher::Matcher,
};
use crate::go::regex::{self, GoRegexError};

/// A checked and compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Arc<str>,
    /// Anchored at the end of the text.
    pub(super) hir: Hir,
    pub(super) matcher: Matcher,
    pub(super) required: Option<Required>,
    pub(super) captures: Option<Arc<Captures>>,
    pub(super) may_match_newline: bool,
    at_start: bool,
}

/// What is wrong with a pattern.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// It is not a regular expression as Go has them.
    #[error(transparent)]
    Syntax(#[from] GoRegexError),
    /// It is valid but takes too much memory.
    #[error("the compiled pattern is larger than {} MiB: repeat less", SIZE_LIMIT >> 20)]
    TooLarge(#[source] Box<thompson::BuildError>),
    /// It is valid but cannot be run backwards.
    #[error("the pattern cannot be compiled")]
    Unsupported(#[source] Box<hybrid::BuildError>),
    /// It is valid but cannot be compiled for a part of a line.
    #[error("the pattern cannot be compiled")]
    Part(#[source] Box<regex_automata::meta::BuildError>),
}

/// A compiled pattern must not be larger than this many bytes.
///
/// What Go takes fits: `\pL{1000}`, its largest repetition of one of the largest classes, takes 32 MiB.
pub(super) const SIZE_LIMIT: usize = 64 << 20;

// === impl Pattern ===

impl Pattern {
    /// Checks and compiles a pattern in Go's syntax.
    ///
    /// It is to match up to the end of the newest line: `a|b` means `(?:a|b)\z`, both branches.
    pub fn parse(source: &str) -> Result<Self, PatternError> {
        let hir = Hir::concat(vec![regex::parse(source)?, Hir::look(Look::End)]);
        Ok(Self {
            source: source.into(),
            matcher: Matcher::new(&[&hir])?,
            required: literals::required(&hir),
            captures: Captures::new(&hir)?.map(Arc::new),
            may_match_newline: literals::may_match_newline(&hir),
            at_start: hir.properties().look_set_prefix().contains(Look::Start),
            hir,
        })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names of its groups.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.captures.iter().flat_map(|captures| captures.names())
    }

    /// Whether it can match in a buffer of this many lines.
    ///
    /// `^` is the start of the whole buffer, not of a line. So `^oops` matches only in a buffer of one line; in a
    /// larger one `(?m)^oops` is what was meant.
    #[must_use]
    pub fn can_match(&self, buffer_size: NonZeroUsize) -> bool {
        buffer_size.get() == 1 || !self.at_start || self.may_match_newline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_keeps_its_source() {
        assert_eq!(Pattern::parse("a|b").unwrap().source(), "a|b");
    }

    #[test]
    fn a_wrong_pattern_is_an_error_that_says_what_is_wrong() {
        let error = Pattern::parse("a(b").unwrap_err();
        assert!(matches!(error, PatternError::Syntax(_)));
        assert!(!error.to_string().is_empty());
    }

    #[test]
    fn a_pattern_that_would_eat_the_memory_is_refused() {
        let error = Pattern::parse(r"(?:\pL{1000}\pN{1000}){1,30}x").unwrap_err();
        assert!(matches!(error, PatternError::TooLarge(_) | PatternError::Syntax(_)), "{error}");
        let error = Pattern::parse(&r"\pL{1000}".repeat(40)).unwrap_err();
        assert!(matches!(error, PatternError::TooLarge(_)), "{error}");
        assert_eq!(error.to_string(), "the compiled pattern is larger than 64 MiB: repeat less");
    }

    #[test]
    fn a_start_anchor_needs_a_buffer_of_one_line_or_a_newline() {
        let can = |pattern: &str, lines| Pattern::parse(pattern).unwrap().can_match(NonZeroUsize::new(lines).unwrap());
        assert!(can("^oops", 1));
        assert!(!can("^oops", 10));
        assert!(!can("^a|^b", 2));
        assert!(can("^a|b", 2));
        assert!(can("(?m)^oops", 10));
        assert!(can(r"^\n*oops", 10));
    }
}
