//! JSON as Go's `encoding/json` reads it, with the place of every value.
//!
//! node-problem-detector's files are read by that package, so a file means here what it means there: an object keeps
//! duplicate keys (what they come to depends on the type they are read into, see [`crate::config::decode`]), a number keeps
//! its spelling, lone surrogates and invalid UTF-8 become U+FFFD, one value nests at most 10000 deep, and
//! syntax errors have Go's words (but for a text that ends within a word, a number or an escape, where Go complains of
//! a blank that is not there). Errors have to name line, column and JSON pointer, also after the syntax is done.
//! `serde_json` gives neither the duplicates nor the places, and refuses lone surrogates.
//!
//! All values of a text lie in one flat list, so neither reading nor dropping recurses.

mod reader;
mod text;

use std::fmt;

/// Values one text may hold: a bound on memory that Go does not have. The largest monitor file known has a few hundred.
pub const MAX_VALUES: usize = 1 << 20;

/// A JSON text and all its values.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t [u8],
    entries: Vec<Entry>,
}

/// A line and a column, both counted from one; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character in the line.
    pub column: u32,
}

/// Why a text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct SyntaxError {
    /// The first character that cannot be there, or the end of the text.
    pub position: Position,
    /// What is wrong, in Go's words, and what it means where Go's words do not say.
    pub what: String,
}

/// One value of a [`Document`].
#[derive(Clone, Copy)]
pub struct Value<'d> {
    document: &'d Document<'d>,
    index: u32,
}

/// What a [`Value`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'d> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it is spelt.
    Number(&'d str),
    /// A string, unquoted.
    String(&'d str),
    /// An array; see [`Value::elements`].
    Array,
    /// An object; see [`Value::members`].
    Object,
}

/// One member of an object.
#[derive(Clone, Copy, Debug)]
pub struct Member<'d> {
    /// The key, unquoted.
    pub key: &'d str,
    /// The position of the key.
    pub position: Position,
    /// Its value.
    pub value: Value<'d>,
}

/// A value and its links. The first entry is the text's own value; it is never a sibling or child, so index 0 means "none" in a link.
#[derive(Debug)]
struct Entry {
    parent: u32,
    next: u32,
    first_child: u32,
    position: Position,
    /// The value's bytes in the text: up to its end for scalars, the opening bracket for the others.
    start: usize,
    end: usize,
    label: Label,
    content: Content,
}

/// The name of a value within its array or object.
#[derive(Debug)]
enum Label {
    Root,
    Element(u32),
    Member { key: Box<str>, position: Position },
}

#[derive(Debug)]
enum Content {
    Null,
    Bool(bool),
    Number,
    String(Box<str>),
    Array,
    Object,
}

/// Reads one JSON text.
pub fn parse(text: &[u8]) -> Result<Document<'_>, SyntaxError> {
    Ok(Document { text, entries: reader::read(text)? })
}

// === impl Document ===

impl<'t> Document<'t> {
    /// The text's value.
    #[must_use]
    pub fn root<'d>(&'d self) -> Value<'d>
    where
        't: 'd,
    {
        Value { document: self, index: 0 }
    }
}

// === impl Value ===

impl<'d> Value<'d> {
    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind<'d> {
        match &self.entry().content {
            Content::Null => Kind::Null,
            Content::Bool(value) => Kind::Bool(*value),
            // The reader lets nothing but ASCII into a number.
            Content::Number => Kind::Number(std::str::from_utf8(self.spelling()).unwrap_or_default()),
            Content::String(text) => Kind::String(text),
            Content::Array => Kind::Array,
            Content::Object => Kind::Object,
        }
    }

    /// Where it begins.
    #[must_use]
    pub fn position(self) -> Position {
        self.entry().position
    }

    /// The bytes of a scalar, quotes and escapes included; the opening bracket of an array or object.
    #[must_use]
    pub fn spelling(self) -> &'d [u8] {
        let entry = self.entry();
        self.document.text.get(entry.start..entry.end).unwrap_or_default()
    }

    /// The elements of an array; none for any other value.
    pub fn elements(self) -> impl Iterator<Item = Value<'d>> {
        self.children().filter(|child| matches!(child.entry().label, Label::Element(_)))
    }

    /// The members of an object in the order of the text, duplicates included; none for any other value.
    pub fn members(self) -> impl Iterator<Item = Member<'d>> {
        self.children().filter_map(|value| match &value.entry().label {
            Label::Member { key, position } => Some(Member { key, position: *position, value }),
            _ => None,
        })
    }

    /// The RFC 6901 pointer to this value, with the keys as the text spells them. The whole text's is empty.
    #[must_use]
    pub fn pointer(self) -> String {
        let mut labels = Vec::new();
        let mut entry = self.entry();
        while !matches!(entry.label, Label::Root) {
            labels.push(&entry.label);
            entry = &self.document.entries[entry.parent as usize];
        }
        let mut pointer = String::new();
        for label in labels.into_iter().rev() {
            pointer.push('/');
            label.push_token(&mut pointer);
        }
        pointer
    }

    fn children(self) -> impl Iterator<Item = Value<'d>> {
        let document = self.document;
        let value = move |index| (index != 0).then_some(Value { document, index });
        std::iter::successors(value(self.entry().first_child), move |child| value(child.entry().next))
    }

    fn entry(self) -> &'d Entry {
        &self.document.entries[self.index as usize]
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.kind(), self.position())
    }
}

// === impl Label ===

impl Label {
    /// Appends this label as a token of a JSON pointer.
    fn push_token(&self, pointer: &mut String) {
        match self {
            Self::Root => {}
            Self::Element(index) => pointer.push_str(&index.to_string()),
            Self::Member { key, .. } => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
        }
    }
}

// === impl Kind ===

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        })
    }
}

// === impl Position ===

impl Position {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests;
