//! From JSON values to typed fields, collecting every error.
//!
//! Go decodes a file in one pass, in order, each value into the field of its name. So a duplicate key is not a
//! conflict but a second decoding into the same field, and what comes of it depends on the field's type: a later
//! scalar wins and a later `null` leaves it; objects merge; arrays merge element by element; a `null` empties a list,
//! a map or an optional value. This module does the same with the same types: [`Field`], [`Optional`], [`List`],
//! [`Map`] and whatever implements [`Decode`] with [`object`]. A value of the wrong type is an error that no later
//! duplicate heals.

mod placed;

use std::collections::HashMap;

pub(super) use self::placed::Placed;

use super::report::{Findings, Notice, Problem};
use crate::go::json::{Kind, Member, Position, Value};

/// Something that values are decoded into, one after another.
pub(super) trait Decode<'d>: Default {
    /// Decodes `value`. `false` if it has the wrong type, which is then among the findings; the content of an object or
    /// array has its own findings and does not count.
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool;
}

/// What a [`Field`] can hold.
pub(super) trait Scalar<'d>: Copy + Default {
    /// Reads a value that is not null.
    fn read(value: Value<'d>) -> Result<Self, Problem>;
}

/// A scalar and its location.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Field<'d, T> {
    /// Never given, or only as null: Go's zero value.
    #[default]
    Absent,
    /// Given.
    Present { value: T, at: Value<'d> },
    /// Given with the wrong type; the error is among the findings.
    Refused,
}

/// A scalar that a later null resets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Optional<'d, T>(pub(super) Field<'d, T>);

/// The elements of an array.
#[derive(Debug)]
pub(super) struct List<'d, T> {
    /// Go shortens a slice without clearing its tail, and finds the old elements there when it grows again.
    backing: Vec<Element<'d, T>>,
    length: usize,
    refused: bool,
}

/// One element of a [`List`].
#[derive(Debug)]
pub(super) struct Element<'d, T> {
    /// What has been decoded into it.
    pub(super) value: T,
    /// The value last decoded into it.
    pub(super) at: Value<'d>,
    /// Nothing but null has been decoded into it.
    pub(super) null: bool,
    /// Something of the wrong type was given; the error is among the findings.
    pub(super) refused: bool,
}

/// An object of strings with any keys. Keys are case-sensitive.
#[derive(Debug, Default)]
pub(super) struct Map<'d> {
    /// The object; `None` if absent.
    pub(super) at: Option<Value<'d>>,
    /// The entries, each with its value in the document.
    pub(super) entries: HashMap<&'d str, (&'d str, Value<'d>)>,
}

/// Hands each member of an object to `field` under its name among `keys`, and reports unknown and duplicate keys.
/// Null is an object without members here.
pub(super) fn object<'d>(
    value: Value<'d>,
    keys: &'static [&'static str],
    findings: &mut Findings,
    mut field: impl FnMut(&'static str, Value<'d>, &mut Findings) -> bool,
) -> bool {
    match value.kind() {
        Kind::Null => return true,
        Kind::Object => {}
        got => {
            findings.error(value, Problem::mismatch("an object", got));
            return false;
        }
    }
    let mut first = vec![None; keys.len()];
    for member in value.members() {
        let Some(known) = keys.iter().position(|key| folds_to(member.key, key)) else {
            report_unknown(member, keys, findings);
            continue;
        };
        match first[known] {
            Some(before) => report_duplicate(member, before, findings),
            None => first[known] = Some(member.position),
        }
        field(keys[known], member.value, findings);
    }
    true
}

/// Whether Go takes `key` for `name`, a field's name in ASCII letters. Go compares under Unicode's simple folding,
/// in which just two characters beyond ASCII meet an ASCII letter.
fn folds_to(key: &str, name: &str) -> bool {
    let folded = key.chars().map(|character| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(name.chars().map(|character| character.to_ascii_lowercase()))
}

fn report_duplicate(member: Member<'_>, first: Position, findings: &mut Findings) {
    findings.notice_at_key(member, Notice::DuplicateKey { key: member.key.to_owned(), first });
}

fn report_unknown(member: Member<'_>, keys: &'static [&'static str], findings: &mut Findings) {
    if is_remark(member.key) {
        return;
    }
    let nearest = nearest(member.key, keys);
    findings.notice_at_key(member, Notice::UnknownKey { key: member.key.to_owned(), nearest, known: keys });
}

/// JSON has no comments, so people write keys that are not meant to be read: `_comment`, `//`, `$schema`.
fn is_remark(key: &str) -> bool {
    !key.starts_with(|first: char| first.is_alphabetic()) || ["comment", "description"].iter().any(|k| folds_to(key, k))
}

/// The known key that was probably meant.
pub(super) fn nearest(key: &str, keys: &[&'static str]) -> Option<&'static str> {
    let plain = |key: &str| -> String {
        key.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
    };
    // No known key is longer than half of this.
    if key.len() > 64 {
        return None;
    }
    let given = plain(key);
    let distances = keys.iter().map(|known| (strsim::osa_distance(&given, &plain(known)), *known));
    distances.filter(|(distance, known)| distance * 3 <= known.len()).min().map(|(_, known)| known)
}

// === impl Field ===

impl<'d, T: Scalar<'d>> Field<'d, T> {
    /// The value, or Go's zero value if absent; `None` if it had the wrong type.
    pub(super) fn get(&self) -> Option<T> {
        match self {
            Self::Absent => Some(T::default()),
            Self::Present { value, .. } => Some(*value),
            Self::Refused => None,
        }
    }

    /// The value in the document; `owner` if absent.
    pub(super) fn at(&self, owner: Value<'d>) -> Value<'d> {
        match self {
            Self::Present { at, .. } => *at,
            Self::Absent | Self::Refused => owner,
        }
    }
}

impl<'d, T: Scalar<'d>> Decode<'d> for Field<'d, T> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        if value.kind() == Kind::Null {
            return true;
        }
        match T::read(value) {
            Ok(read) if !matches!(self, Self::Refused) => *self = Self::Present { value: read, at: value },
            Ok(_) => {}
            Err(problem) => {
                findings.error(value, problem);
                *self = Self::Refused;
                return false;
            }
        }
        true
    }
}

// === impl Optional ===

impl<'d, T: Scalar<'d>> Decode<'d> for Optional<'d, T> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        if value.kind() == Kind::Null && !matches!(self.0, Field::Refused) {
            self.0 = Field::Absent;
        }
        self.0.decode(value, findings)
    }
}

// === impl List ===

impl<'d, T> List<'d, T> {
    /// The elements as they are after everything was decoded.
    pub(super) fn elements(&self) -> &[Element<'d, T>] {
        &self.backing[..self.length]
    }

    /// Whether something else than an array was given; the error is reported.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    fn clear(&mut self) {
        self.backing.clear();
        self.length = 0;
    }
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self { backing: Vec::new(), length: 0, refused: false }
    }
}

impl<'d, T: Decode<'d>> Decode<'d> for List<'d, T> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        match value.kind() {
            Kind::Null => {
                self.clear();
                return true;
            }
            Kind::Array => {}
            got => {
                findings.error(value, Problem::mismatch("an array", got));
                self.refused = true;
                return false;
            }
        }
        self.length = 0;
        for at in value.elements() {
            if self.length == self.backing.len() {
                self.backing.push(Element { value: T::default(), at, null: true, refused: false });
            }
            let element = &mut self.backing[self.length];
            element.refused |= !element.value.decode(at, findings);
            element.null &= at.kind() == Kind::Null;
            element.at = at;
            self.length += 1;
        }
        if self.length == 0 {
            self.clear();
        }
        true
    }
}

// === impl Element ===

impl<'d, T> Element<'d, T> {
    /// The decoded value and its value in the document. Null instead of `what` is an error; a value of the wrong type was
    /// reported before.
    pub(super) fn given(&self, what: &'static str, findings: &mut Findings) -> Option<(&T, Value<'d>)> {
        if self.null {
            findings.error(self.at, Problem::Null(what));
        }
        (!self.null && !self.refused).then_some((&self.value, self.at))
    }
}

// === impl Map ===

impl<'d> Decode<'d> for Map<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        match value.kind() {
            Kind::Null => {
                *self = Self::default();
                return true;
            }
            Kind::Object => {}
            got => {
                findings.error(value, Problem::mismatch("an object of strings", got));
                return false;
            }
        }
        self.at = Some(value);
        let mut first = HashMap::new();
        for member in value.members() {
            if let Some(before) = first.insert(member.key, member.position) {
                report_duplicate(member, before, findings);
            }
            // Unlike a field, an entry starts from scratch each time: null makes it the empty string.
            let mut entry = Field::<&str>::Absent;
            entry.decode(member.value, findings);
            self.entries.insert(member.key, (entry.get().unwrap_or_default(), member.value));
        }
        true
    }
}

// === impl Scalar ===

impl<'d> Scalar<'d> for &'d str {
    fn read(value: Value<'d>) -> Result<Self, Problem> {
        match value.kind() {
            Kind::String(text) => Ok(text),
            got => Err(Problem::mismatch("a string", got)),
        }
    }
}

impl Scalar<'_> for bool {
    fn read(value: Value<'_>) -> Result<Self, Problem> {
        match value.kind() {
            Kind::Bool(value) => Ok(value),
            got => Err(Problem::mismatch("true or false (without quotes)", got)),
        }
    }
}

impl Scalar<'_> for i64 {
    /// Go looks at the spelling: `10.0` and `1e1` are not integers.
    fn read(value: Value<'_>) -> Result<Self, Problem> {
        match value.kind() {
            Kind::Number(spelling) => spelling.parse().map_err(|_| Problem::Integer(spelling.to_owned())),
            got => Err(Problem::mismatch("an integer (without quotes)", got)),
        }
    }
}

#[cfg(test)]
mod tests;
