//! How a message shows text that is not its own: keys, names and values from config files.

use std::{error::Error, fmt};

/// Escapes control characters: keys, names and patterns come from config files and must not be able to forge log lines.
pub(super) struct OneLine<'a, 'f>(pub(super) &'a mut fmt::Formatter<'f>);

/// An error and its sources in one line; a config error has no `source` of its own.
pub(super) struct Chain<'a>(pub(super) &'a dyn Error);

/// The beginning of a text that may be long.
pub(super) struct Excerpt<'a>(pub(super) &'a str);

/// An [`Excerpt`] in double quotes.
pub(super) struct Quoted<'a>(pub(super) &'a str);

/// Words in double quotes, separated by commas.
pub(super) struct QuotedList<'a>(pub(super) &'a [&'a str]);

/// The closest known key for an unknown one, or else all known keys.
pub(super) struct Suggestion<'a>(pub(super) Option<&'a str>, pub(super) &'a [&'a str]);

/// The closest known name for an unknown one, if any is close.
pub(super) struct DidYouMean<'a>(pub(super) Option<&'a str>);

/// Introduces the condition of a rule that is permanent, or counts as permanent because of its type.
pub(super) struct RuleKind<'a>(pub(super) &'a str);

/// Introduces a statement about a rule's type, or about its absence.
pub(super) struct TypeIs<'a>(pub(super) &'a str);

/// Maximum number of characters of a foreign text that a message shows.
const EXCERPT: usize = 80;

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(f, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(EXCERPT) {
            Some((end, _)) => write!(f, "{}…", &self.0[..end]),
            None => f.write_str(self.0),
        }
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Excerpt(self.0))
    }
}

impl fmt::Display for QuotedList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, word) in self.0.iter().enumerate() {
            write!(f, "{}\"{word}\"", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Suggestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, ", did you mean \"{nearest}\"?"),
            None => write!(f, ", known: {}", QuotedList(self.1)),
        }
    }
}

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |nearest| write!(f, ", did you mean \"{nearest}\"?"))
    }
}

impl fmt::Display for RuleKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "permanent" => f.write_str("the permanent rule's"),
            "" => f.write_str("the rule has no type and so counts as permanent, but its"),
            other => write!(f, "the rule's type {} counts as permanent, but its", Quoted(other)),
        }
    }
}

impl fmt::Display for TypeIs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("the rule has no type, it is"),
            other => write!(f, "the rule's type {} is", Quoted(other)),
        }
    }
}

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            match part.chars().next_back() {
                Some(last) if last.is_control() => {
                    self.0.write_str(&part[..part.len() - last.len_utf8()])?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                _ => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}
