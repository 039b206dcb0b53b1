//! Extracts a part of a text with a regular expression in Go's dialect.
//!
//! Unlike a [`Pattern`](super::Pattern) it is searched forwards and may match anywhere. The leftmost match counts: its
//! last group, or the whole match if the expression has no groups. node-problem-detector reads time and message of a
//! log line this way.

use regex_automata::{Anchored, Input, meta};

use super::pattern::{PatternError, SIZE_LIMIT};
use crate::go;

/// A regular expression for a part of a text.
#[derive(Clone, Debug)]
pub struct Extractor {
    source: Box<str>,
    regex: meta::Regex,
}

// === impl Extractor ===

impl PartialEq for Extractor {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Extractor {}

impl Extractor {
    /// Compiles an expression in Go's dialect.
    ///
    /// # Errors
    ///
    /// If it is not valid in that dialect, or takes too much memory.
    pub fn new(source: &str) -> Result<Self, PatternError> {
        let hir = go::regex::parse(source)?;
        let regex = meta::Builder::new()
            .configure(meta::Config::new().nfa_size_limit(Some(SIZE_LIMIT)).onepass_size_limit(Some(SIZE_LIMIT)))
            .build_from_hir(&hir)
            .map_err(|error| PatternError::Part(Box::new(error)))?;
        Ok(Self { source: source.into(), regex })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it matches anywhere in a text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The last group of the leftmost match, empty if it took no part; the whole match if there are no groups.
    pub(crate) fn find<'l>(&self, line: &'l str) -> Option<&'l str> {
        let groups = self.regex.group_info().group_len(regex_automata::PatternID::ZERO);
        if groups <= 1 {
            return line.get(self.regex.find(line)?.range());
        }
        let mut captures = self.regex.create_captures();
        self.regex.search_captures(&Input::new(line).anchored(Anchored::No), &mut captures);
        if !captures.is_match() {
            return None;
        }
        Some(captures.get_group(groups - 1).and_then(|span| line.get(span.range())).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_took_no_part_is_empty() {
        assert_eq!(Extractor::new("(a)(b)|(c)").unwrap().find("ab"), Some(""), "a group that took no part is empty");
    }
}
