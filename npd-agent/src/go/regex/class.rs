//! Sets of characters: `[...]`, `\d` and its kin, POSIX names and `\p`.
//!
//! A set is of code points, never of bytes, so that a negated one takes a whole character. Under `(?i)` Go folds each
//! member as it reads it and negates afterwards; `[^k]` then excludes the Kelvin sign too.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::{
    error::{GoRegexError, GoRegexErrorKind},
    fold::fold,
    parser::Parser,
    property::Property,
};

type AsciiRanges = &'static [(char, char)];

const DIGIT: AsciiRanges = &[('0', '9')];
const WORD: AsciiRanges = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
/// Without U+000B, unlike `[[:space:]]`.
const PERL_SPACE: AsciiRanges = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];

fn posix(name: &str) -> Option<AsciiRanges> {
    Some(match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => DIGIT,
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => WORD,
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    })
}

/// `.`: any character, or any but a newline.
pub(super) fn dot(newline_too: bool) -> ClassUnicode {
    if newline_too {
        return ClassUnicode::new([ClassUnicodeRange::new('\0', char::MAX)]);
    }
    ClassUnicode::new([ClassUnicodeRange::new('\0', '\t'), ClassUnicodeRange::new('\x0b', char::MAX)])
}

impl Parser<'_> {
    /// The class in brackets at the cursor.
    pub(super) fn bracket_class(&mut self) -> Result<ClassUnicode, GoRegexError> {
        let start = self.at();
        self.bump();
        let negated = self.eat("^");
        let mut ranges = Vec::new();
        let mut named = ClassUnicode::empty();
        // A `]` that comes first is a member.
        let mut first = true;
        while first || !self.eat("]") {
            first = false;
            if let Some(class) = self.named_class()? {
                named.union(&class);
            } else {
                ranges.extend(self.range(start)?);
            }
        }
        let mut class = ClassUnicode::new(ranges);
        if self.flags().fold {
            fold(&mut class);
        }
        class.union(&named);
        if negated {
            class.negate();
        }
        Ok(class)
    }

    /// `\pN`, `\p{Greek}` or `\d`, if there is one at the cursor.
    pub(super) fn escaped_class(&mut self) -> Result<Option<ClassUnicode>, GoRegexError> {
        let (negated, ranges) = match self.rest().as_bytes() {
            [b'\\', b'p' | b'P', ..] => return self.property().map(Some),
            [b'\\', b'd', ..] => (false, DIGIT),
            [b'\\', b'D', ..] => (true, DIGIT),
            [b'\\', b's', ..] => (false, PERL_SPACE),
            [b'\\', b'S', ..] => (true, PERL_SPACE),
            [b'\\', b'w', ..] => (false, WORD),
            [b'\\', b'W', ..] => (true, WORD),
            _ => return Ok(None),
        };
        self.skip(2);
        Ok(Some(self.ascii_class(ranges, negated)))
    }

    /// `[:alpha:]`, or anything that is a class outside brackets as well.
    fn named_class(&mut self) -> Result<Option<ClassUnicode>, GoRegexError> {
        let start = self.at();
        let Some((name, _)) = self.rest().strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else {
            return self.escaped_class();
        };
        self.skip("[:".len() + name.len() + ":]".len());
        let (negated, positive) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
        let ranges = posix(positive).ok_or_else(|| self.error(GoRegexErrorKind::ClassRange, start))?;
        Ok(Some(self.ascii_class(ranges, negated)))
    }

    fn ascii_class(&self, ranges: AsciiRanges, negated: bool) -> ClassUnicode {
        let mut class = ClassUnicode::new(ranges.iter().map(|&(low, high)| ClassUnicodeRange::new(low, high)));
        if self.flags().fold {
            fold(&mut class);
        }
        if negated {
            class.negate();
        }
        class
    }

    /// The property class at the cursor.
    fn property(&mut self) -> Result<ClassUnicode, GoRegexError> {
        let start = self.at();
        self.bump();
        let mut negated = self.bump() == Some('P');
        let rest = self.rest();
        let name = if let Some(braced) = rest.strip_prefix('{') {
            let Some((name, _)) = braced.split_once('}') else {
                return Err(self.error_to_end(GoRegexErrorKind::ClassRange, start));
            };
            self.skip(name.len() + "{}".len());
            name
        } else {
            let letter = self.bump().map_or(0, char::len_utf8);
            &rest[..letter]
        };
        let positive = name.strip_prefix('^').map_or(name, |name| {
            negated = !negated;
            name
        });
        let property = Property::named(positive).ok_or_else(|| self.error(GoRegexErrorKind::ClassRange, start))?;
        let mut class = self.property_class(property);
        if negated {
            class.negate();
        }
        Ok(class)
    }

    /// A character or a range of them. None if all of it is surrogates, which Go admits and no text contains.
    fn range(&mut self, class: usize) -> Result<Option<ClassUnicodeRange>, GoRegexError> {
        let start = self.at();
        let low = self.class_rune(class)?;
        let mut high = low;
        // A `-` before the closing bracket is a member.
        if self.rest().len() >= 2 && self.rest().starts_with('-') && !self.rest().starts_with("-]") {
            self.bump();
            high = self.class_rune(class)?;
            if high < low {
                return Err(self.error(GoRegexErrorKind::ClassRange, start));
            }
        }
        let low = char::from_u32(low).unwrap_or('\u{e000}');
        let high = char::from_u32(high).unwrap_or('\u{d7ff}');
        Ok((low <= high).then(|| ClassUnicodeRange::new(low, high)))
    }

    fn class_rune(&mut self, class: usize) -> Result<u32, GoRegexError> {
        match self.peek() {
            None => Err(self.error(GoRegexErrorKind::MissingBracket, class)),
            Some('\\') => self.escape(),
            Some(c) => {
                self.bump();
                Ok(c.into())
            }
        }
    }
}
