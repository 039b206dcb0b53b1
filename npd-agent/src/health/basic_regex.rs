//! The basic regular expressions of grep, which node-problem-detector uses for `--log-pattern`.
//!
//! It runs `grep -i`, so `a\|b` is an alternative and `a|b` is text, `x*` repeats, `(` is a parenthesis and `\(` a group. They are
//! translated to the syntax of [`regex`] and match bytes regardless of case. What needs backtracking (`\1`) is refused.

use std::fmt::Write as _;

use regex::bytes::{Regex, RegexBuilder};

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct BasicRegex(Regex);

/// An invalid pattern.
#[derive(Debug, thiserror::Error)]
pub enum BasicRegexError {
    /// A reference to what a group has matched.
    #[error("back-references such as \\{0} are not supported")]
    BackReference(char),
    /// A bracket expression without an end.
    #[error("a bracket ([) is never closed")]
    Bracket,
    /// A backslash with nothing after it.
    #[error("a backslash at the end escapes nothing")]
    Backslash,
    /// Not a regular expression, or too large.
    #[error("not a basic regular expression")]
    Syntax(#[from] regex::Error),
}

/// Maximum size of a compiled pattern, in bytes.
const SIZE_LIMIT: usize = 8 << 20;

// === impl BasicRegex ===

impl BasicRegex {
    /// Compiles a pattern as `grep -i` reads it.
    pub fn parse(pattern: &str) -> Result<Self, BasicRegexError> {
        let translated = translate(pattern)?;
        Ok(Self(RegexBuilder::new(&translated).case_insensitive(true).size_limit(SIZE_LIMIT).build()?))
    }

    /// Whether a line, without its newline, matches.
    #[must_use]
    pub fn is_match(&self, line: &[u8]) -> bool {
        self.0.is_match(line)
    }
}

/// The same pattern in the syntax of the `regex` crate.
fn translate(pattern: &str) -> Result<String, BasicRegexError> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    // At the start of an expression `*` is text and `^` an anchor, after which `*` is text as well.
    let (mut begins, mut repeats_nothing) = (true, false);
    while let Some(c) = chars.next() {
        let (began, nothing) = (begins, begins || repeats_nothing);
        (begins, repeats_nothing) = (false, false);
        match c {
            '\\' => match chars.next().ok_or(BasicRegexError::Backslash)? {
                '(' => {
                    out.push_str("(?:");
                    begins = true;
                }
                '|' => {
                    out.push('|');
                    begins = true;
                }
                operator @ (')' | '{' | '}') => out.push(operator),
                operator @ ('?' | '+') if !nothing => out.push(operator),
                digit @ '1'..='9' => return Err(BasicRegexError::BackReference(digit)),
                class @ ('w' | 'W' | 's' | 'S' | 'b' | 'B') => {
                    out.push('\\');
                    out.push(class);
                }
                '<' => out.push_str(r"\b{start}"),
                '>' => out.push_str(r"\b{end}"),
                '`' => out.push_str(r"\A"),
                '\'' => out.push_str(r"\z"),
                other => push_literal(&mut out, other),
            },
            '[' => push_bracket(&mut out, &mut chars)?,
            '^' if began => {
                out.push('^');
                repeats_nothing = true;
            }
            '$' if ends(&chars) => out.push('$'),
            '*' if !nothing => out.push('*'),
            '.' => out.push('.'),
            other => push_literal(&mut out, other),
        }
    }
    Ok(out)
}

/// Whether an expression ends here.
fn ends(rest: &std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let mut rest = rest.clone();
    match rest.next() {
        None => true,
        Some('\\') => matches!(rest.next(), Some(')' | '|')),
        Some(_) => false,
    }
}

/// A bracket expression after its `[`. A backslash in it is text.
fn push_bracket(out: &mut String, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<(), BasicRegexError> {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        let c = chars.next().ok_or(BasicRegexError::Bracket)?;
        match c {
            ']' if !first => break,
            '[' if chars.peek() == Some(&':') => {
                // A class such as [:digit:], which is the same in both syntaxes.
                out.push('[');
                loop {
                    let c = chars.next().ok_or(BasicRegexError::Bracket)?;
                    out.push(c);
                    if c == ':' && chars.next_if_eq(&']').is_some() {
                        out.push(']');
                        break;
                    }
                }
            }
            // A range, unless it is at either end, where it is text.
            '-' if !first && chars.peek() != Some(&']') => out.push('-'),
            other => push_literal(out, other),
        }
        first = false;
    }
    out.push(']');
    Ok(())
}

fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() {
        out.push('\\');
        out.push(c);
    } else if c.is_control() {
        // Writing to a string cannot fail.
        write!(out, "\\x{{{:x}}}", u32::from(c)).unwrap_or_default();
    } else {
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use proptest::prelude::*;

    use super::*;

    fn is_match(pattern: &str, line: &str) -> bool {
        BasicRegex::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(line.as_bytes())
    }

    #[test]
    fn operators_are_those_of_grep() {
        for (pattern, line, matches) in [
            ("Oops", "an OOPS here", true),
            ("a|b", "a", false),
            ("a|b", "a|b", true),
            (r"a\|b", "xb", true),
            ("(x)", "x", false),
            (r"\(ab\)*c$", "ababc", true),
            ("a+", "aa", false),
            (r"ba\+$", "baa", true),
            (r"^a\{2\}$", "aa", true),
            ("*a", "*a", true),
            ("a^b", "a^b", true),
            ("a$b", "a$b", true),
            (r"[]x]y", "]y", true),
            (r"[\n]", "\\", true),
            ("[[:digit:]]s", "5s", true),
            ("[^a-c]$", "B", false),
            ("[a-]$", "-", true),
            (r"\<word\>", "a word.", true),
            (r"\<word\>", "swords", false),
            ("1.5s", "1x5s", true),
            ("", "anything", true),
        ] {
            assert_eq!(is_match(pattern, line), matches, "{pattern} on {line}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for (pattern, words) in [
            (r"\(a\)\1", r"back-references such as \1 are not supported"),
            ("[a", "a bracket ([) is never closed"),
            ("a\\", "a backslash at the end escapes nothing"),
            (r"\(a", "not a basic regular expression"),
        ] {
            assert_eq!(BasicRegex::parse(pattern).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn bytes_that_are_not_text_can_surround_a_match() {
        assert!(BasicRegex::parse("bad.*thing").unwrap().is_match(b"\xff bad thing \xfe"));
    }

    /// The answer of grep itself; `None` if it refuses the pattern.
    fn grep(pattern: &str, line: &str) -> Option<bool> {
        let mut child = Command::new("grep")
            .args(["-i", "-q", "-e", pattern])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It may have exited already.
        drop(writeln!(child.stdin.take().unwrap(), "{line}"));
        match child.wait().unwrap().code() {
            Some(0) => Some(true),
            Some(1) => Some(false),
            _ => None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_grep_matches_matches(
            pattern in r"(\\\([ab]\\\)|\\\(a\\\|b\\\)|[ab.]|[ab.]\*|[ab]\\\{1,2\\\}|\[\^?[\]ab]{1,3}\]|[|+?(){}/-]|\^|\$){1,5}",
            line in "[AabB|+?(){}/^$.-]{0,6}",
        ) {
            if let (Ok(ours), Some(theirs)) = (BasicRegex::parse(&pattern), grep(&pattern, &line)) {
                prop_assert_eq!(ours.is_match(line.as_bytes()), theirs, "{} on {}", pattern, line);
            }
        }

        #[test]
        fn no_pattern_panics(pattern in r"[\\\[\](){}*+?|^$.:a1-]{0,12}|.{0,20}") {
            drop(BasicRegex::parse(&pattern));
        }
    }
}
