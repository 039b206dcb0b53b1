//! Patterns on raw bytes with the verdict of Go 1.26.6 on `(?:pattern)\z`.
//!
//! Go's own anchor would be quoted by an unterminated `\Q`: such patterns were given a `\E` before the parenthesis.

use std::num::NonZeroUsize;

use super::{
    super::{
        Pattern, PatternError, Rules, Text,
        line_buffer::{LineBuffer, decode},
    },
    push,
};
use crate::time::Timestamp;

/// A pattern, a text, and where in it the match that reaches its end starts.
type Row = (&'static str, &'static [u8], Option<usize>);

/// The text goes through the matcher as one line, and through the rules line by line.
fn matches_as_in_go(rows: &[Row]) {
    for &(pattern, text, start) in rows {
        let parsed = Pattern::parse(pattern).unwrap();
        let line = decode(text);
        let earlier = LineBuffer::new(0);
        let whole = Text::new(&line, Timestamp::default(), &earlier, NonZeroUsize::MIN);
        let found = parsed.clone().matcher.find(&whole)[0].map(|start| start.len);
        let expected = start.map(|start| decode(&text[start..]).len());
        assert_eq!(found, expected, "{pattern:?} on {}", text.escape_ascii());

        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        let mut rules = Rules::new(vec![parsed], NonZeroUsize::new(lines.len()).unwrap());
        let hits = lines.iter().map(|line| push(&mut rules, line, 0)).last().unwrap();
        let messages: Vec<_> = hits.into_iter().map(|hit| hit.message).collect();
        let expected: Vec<_> = start.iter().map(|start| message(text, *start)).collect();
        assert_eq!(messages, expected, "{pattern:?} on the lines of {}", text.escape_ascii());
    }
}

/// The lines from that in which the match starts; a newline belongs to the line after it.
fn message(text: &[u8], start: usize) -> String {
    let until = if text.get(start) == Some(&b'\n') { start + 1 } else { start };
    let first = text[..until].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    decode(&text[first..]).into_owned()
}

#[test]
fn every_invalid_byte_is_one_replacement_character() {
    matches_as_in_go(INVALID_BYTES);
}

#[test]
fn the_whole_pattern_reaches_the_end() {
    matches_as_in_go(ENDINGS);
}

#[test]
fn patterns_that_are_legal_in_go_may_be_too_large_to_run() {
    for pattern in
        [r"\w{1000}", r".{1000}", r"\W{1000}", r"(?i)\w{1000}", r"\pL{1000}", r"\PN{1000}", "(?:[^a]{100}){10}"]
    {
        assert!(Pattern::parse(pattern).is_ok(), "{pattern}");
    }
    for pattern in [r"\pL{1000}\pL{1000}\pL{1000}", r"(?:\pL{500}\pN{500}\pL{500}){2}\PL{1000}"] {
        assert!(matches!(Pattern::parse(pattern), Err(PatternError::TooLarge(_))), "{pattern}");
    }
}

#[test]
fn what_only_an_appended_anchor_would_complete_is_refused() {
    // Go 1.26.6 takes `a\` + `\z`, and refuses `a\`, which is what counts.
    for (pattern, words) in [
        (r"a\", "trailing backslash at end of expression: ``"),
        (r"a|\", "trailing backslash at end of expression: ``"),
        (r"[a\", "trailing backslash at end of expression: ``"),
        ("(?x)a # b", "invalid or unsupported Perl syntax: `(?x`"),
        ("a)|(b", "unexpected ): `a)|(b`"),
        (")", "unexpected ): `)`"),
        (r"a)\Q", r"unexpected ): `a)\Q`"),
    ] {
        assert_eq!(Pattern::parse(pattern).unwrap_err().to_string(), words);
    }
}

/// Bytes that are no UTF-8 count as U+FFFD each, and an escape is a code point, never a byte.
#[rustfmt::skip]
const INVALID_BYTES: &[Row] = &[
    (".", b"\xff", Some(0)),
    (".", b"a\xff", Some(1)),
    (".", b"\xff\n", None),
    ("^.$", b"\xff", Some(0)),
    ("^.$", b"\xe2\x82", None),
    ("^.$", b"\xc3\xa9", Some(0)),
    ("^.$", b"\xf0\x9f\x98\x80", Some(0)),
    ("^..$", b"\xe2\x82", Some(0)),
    ("^..$", b"\xc3(", Some(0)),
    ("^..$", b"\xe2\x82\xac", None),
    ("^...$", b"\xed\xa0\x80", Some(0)),
    ("^...$", b"\xf0\x9f\x98", Some(0)),
    ("^...$", b"\xf4\x90\x80", Some(0)),
    ("^....$", b"\xf0\x9f\x98\x80", None),
    ("^....$", b"\xf4\x90\x80\x80", Some(0)),
    ("^....$", b"\xf8\x88\x80\x80", Some(0)),
    ("^[^a]{2}$", b"\xc0\xaf", Some(0)),
    ("^[^a]{2}$", b"\xc2\xaf", None),
    (r"\x{fffd}", b"\xff", Some(0)),
    (r"\x{fffd}", b"\xef\xbf\xbd", Some(0)),
    (r"\x{fffd}", b"\xef\xbf", Some(1)),
    (r"^\x{fffd}{3}$", b"\xed\xbf\xbf", Some(0)),
    (r"^\x{fffd}{3}$", b"\xef\xbf\xbd\xff\xfe", Some(0)),
    ("�b", b"\x80b", Some(0)),
    (r"\p{So}", b"\x80", Some(0)),
    (r"\pL", b"\xe9", None),
    (r"\PL", b"\xe9", Some(0)),
    (r"\p{Common}+", b"\xff\xff", Some(0)),
    (r"\W", b"\xff", Some(0)),
    (r"\w", b"\xff", None),
    (r"\D\S", b"\xe2\x82", Some(0)),
    (r"\s", b"\xa0", None),
    (r"\s", b"\x85", None),
    ("[^a]", b"\xff", Some(0)),
    (r"[^\x{fffd}]", b"\xff", None),
    (r"[^\x{fffd}]", b"a", Some(0)),
    ("[[:^ascii:]]", b"\xff", Some(0)),
    ("[[:^alpha:]]+", b"\xe9\xe8", Some(0)),
    ("[[:ascii:]]", b"\xff", None),
    (r"\xff", b"\xff", None),
    (r"\xff", b"\xc3\xbf", Some(0)),
    ("ÿ", b"\xff", None),
    (r"[\x80-\xff]", b"\xff", None),
    (r"[\x80-\xff]", b"\xc3\xbf", Some(0)),
    (r"\377", b"\xff", None),
    (r"\377", b"\xc3\xbf", Some(0)),
    (r"^\xc3\xa9$", b"\xc3\xa9", None),
    (r"^\xc3\xa9$", b"\xc3\x83\xc2\xa9", Some(0)),
    (r"\x{d800}", b"\xed\xa0\x80", None),
    (r"[\x{d800}-\x{dfff}]", b"\xed\xa0\x80", None),
    (r"[^\x{d800}]", b"\xed\xa0\x80", Some(2)),
    (r"\p{Cs}", b"\xed\xa0\x80", None),
    (r"(?i)\w", b"\xe2\x84", None),
    (r"(?i)\w", b"\xe2\x84\xaa", Some(0)),
    ("(?i)k", b"\xe2\x84\xaa", Some(0)),
    ("(?i)k", b"\xe2\x84\xaa\xff", None),
    ("(?i)k", b"\xe2\x84k", Some(2)),
    (r"\bb", b"\xffb", Some(1)),
    (r"\bb", b"\xc3\xa9b", Some(2)),
    (r"a\b", b"a\xff", None),
    (r"a\b.", b"a\xff", Some(0)),
    (r"\B", b"\xff", Some(1)),
    (r"\b", b"\xff", None),
    ("a.c", b"a\xffc", Some(0)),
    ("a.c", b"a\xe2\x82c", None),
    ("a.c", b"a\nc", None),
    ("a..c", b"a\xe2\x82c", Some(0)),
    ("(?s)a.*", b"\xffa\n\xff\xff", Some(1)),
    ("(?s)..$", b"x\n\xff", Some(1)),
    (".*", b"a\n\xe2\x82b", Some(2)),
    (".*", b"", Some(0)),
    (r"\Qé\E", b"\xc3\xa9", Some(0)),
    (r"\Qé\E", b"\xc3", None),
    (r"\Qé\E", b"\xc3\n\xa9", None),
    (r"\xc3\n\xa9", b"\xc3\n\xa9", None),
    (r"\xc3\n\xa9", b"\xc3\x83\n\xc2\xa9", Some(0)),
    (r"x\Q\x{fffd}", b"x\\x{fffd}", Some(0)),
    (r"x\Q\x{fffd}", b"x\xff", None),
    (r"\Q�", b"\xff", Some(0)),
];

/// Every branch has to reach the end, whatever the pattern ends with.
#[rustfmt::skip]
const ENDINGS: &[Row] = &[
    ("a|b", b"ab", Some(1)),
    ("a|b", b"ba", Some(1)),
    ("a|b", b"a\nc", None),
    ("a|b", b"b\na", Some(2)),
    ("a|b", b"ca", Some(1)),
    ("a|", b"b", Some(1)),
    ("a|", b"a", Some(0)),
    ("a||b", b"c", Some(1)),
    ("alpha|beta", b"alphabeta", Some(5)),
    ("alpha|beta", b"betaalpha", Some(4)),
    ("alpha|beta", b"alpha beta.", None),
    ("(?:alpha|beta)", b"alpha\nbeta", Some(6)),
    ("^a|b", b"a", Some(0)),
    ("^a|b", b"ca", None),
    ("^a|b", b"x\na", None),
    ("^a|b", b"cb", Some(1)),
    ("a$|b", b"ab", Some(1)),
    ("a$|b", b"ba", Some(1)),
    ("a$|b", b"a\nb", Some(2)),
    (r"a\z|b\z", b"ba", Some(1)),
    (r"a\z|b\z", b"bab", Some(2)),
    ("(?m)a$|b", b"a\nc", None),
    ("(?m)a$|b", b"a\nb", Some(2)),
    ("(?m)a$|b", b"c\na", Some(2)),
    ("(?m)^a|^b", b"x\nb", Some(2)),
    ("(?m)^a|^b", b"x\ncb", None),
    ("(?i)a|b", b"B", Some(0)),
    ("a|(?i)b", b"B", Some(0)),
    ("a|(?i)b", b"A", None),
    (r"a|b\Q", b"a", Some(0)),
    (r"a|b\Q", b"b", Some(0)),
    (r"a|b\Q", b"b\\Q", None),
    (r"x|\Qa|b", b"x", Some(0)),
    (r"x|\Qa|b", b"a|b", Some(0)),
    (r"x|\Qa|b", b"b", None),
    (r"x|\Qa|b", b"a|b\\z", None),
    (r"\Qa.b", b"a.b", Some(0)),
    (r"\Qa.b", b"axb", None),
    (r"\Qa.b", b"a.b\n", None),
    (r"\Qa.b", b"a.b\\z", None),
    (r"\Q", b"a", Some(1)),
    (r"\Q", b"", Some(0)),
    (r"(?i)\Qks", b"\xe2\x84\xaa\xc5\xbf", Some(0)),
    (r"(?i)\Qks", b"KS.", None),
    (r"\Qa\z", b"a\\z", Some(0)),
    (r"\Qa\z", b"a", None),
    (r"\Qab\", b"ab\\", Some(0)),
    (r"\Qab\", b"ab", None),
    (r"\Qab\E+", b"abb", Some(0)),
    (r"\Qab\E+", b"abab", Some(2)),
    (r"\Qab\E+", b"aab", Some(1)),
    (r"a\Q\E*", b"baa", Some(1)),
    (r"a\Q\E*", b"b", Some(1)),
    ("a # b", b"a # b", Some(0)),
    ("a # b", b"a", None),
    ("a # b", b"x a # b", Some(2)),
    ("a#b", b"a#b", Some(0)),
    ("a#b", b"a", None),
    ("#.*|b", b"# a", Some(0)),
    ("#.*|b", b"b", Some(0)),
    ("#.*|b", b"# a\nc", None),
    ("#", b"#", Some(0)),
    ("#", b"a", None),
    ("a+?", b"baa", Some(1)),
    ("a??", b"a", Some(0)),
    (".*?", b"ab", Some(0)),
    (".*?", b"a\nb", Some(2)),
    ("(?U)a+", b"baa", Some(1)),
    ("a*", b"baa", Some(1)),
    ("a*", b"ab", Some(2)),
    ("(?:a|ab)(?:c|bcd)", b"abcd", Some(0)),
    ("a|ab|abc", b"abc", Some(0)),
    ("(|a)+", b"baa", Some(1)),
    ("$", b"a", Some(1)),
    ("$", b"a\n", Some(2)),
    ("a$", b"a\n", None),
    ("a$", b"a", Some(0)),
    ("^", b"a", None),
    ("^", b"", Some(0)),
    (r"\A\z", b"", Some(0)),
    (r"\A\z", b"a", None),
    ("a(?s:.)*|b", b"a\nc\nd", Some(0)),
    ("a(?s:.)*|b", b"c\nb", Some(2)),
    (r"\n", b"a\n", Some(1)),
    (r"\n", b"\n\na", None),
    (r"a\nb|c", b"a\nb", Some(0)),
    (r"a\nb|c", b"a\nc", Some(2)),
    (r"a\nb|c", b"b\nb", None),
    ("[^a]b", b"a\nb", Some(1)),
    ("[^a]b", b"ab", None),
    (r"\s*x", b"a \n\n x", Some(1)),
    ("[[a]&&b|[c]", b"a&&b", Some(0)),
    ("[[a]&&b|[c]", b"[&&b", Some(0)),
    ("[[a]&&b|[c]", b"c", Some(0)),
    (r"[a&&b]+|\<x\>", b"a&b", Some(0)),
    (r"[a&&b]+|\<x\>", b"<x>", Some(0)),
    (r"[a&&b]+|\<x\>", b"x", None),
    ("a{,3}|x{", b"a{,3}", Some(0)),
    ("a{,3}|x{", b"aaa", None),
    ("a{,3}|x{", b"x{", Some(0)),
    ("a{,3}|x{", b"x", None),
    (r"\101|\08", b"A", Some(0)),
    (r"\101|\08", b"\x008", Some(0)),
    (r"\101|\08", b"101", None),
    ("(?i)[a-k]|[[:alpha:]]", b"\xe2\x84\xaa", Some(0)),
    ("(?i)[a-k]|[[:alpha:]]", b"\xc5\xbf", Some(0)),
    ("(?i)[a-k]|[[:alpha:]]", b"\xc3\xa9", None),
    ("a{2}|{", b"{", Some(0)),
    ("a{2}|{", b"caa", Some(1)),
    ("(?P<n>a)|(?P<n>b)", b"b", Some(0)),
];
