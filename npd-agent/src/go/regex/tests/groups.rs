//! Patterns with texts and what Go 1.26 finds in their groups; group 0 is the match.

/// A pattern, a text, and each group's span.
pub(super) type Row = (&'static str, &'static str, &'static [Option<(usize, usize)>]);

#[rustfmt::skip]
pub(super) const GROUPS: &[Row] = &[
    ("(a)(b)?", "a", &[Some((0, 1)), Some((0, 1)), None]),
    ("(a)(b)?", "ab", &[Some((0, 2)), Some((0, 1)), Some((1, 2))]),
    ("(a|b)*", "ab", &[Some((0, 2)), Some((1, 2))]),
    ("(a|b)*", "", &[Some((0, 0)), None]),
    ("(a*)*", "aa", &[Some((0, 2)), Some((0, 2))]),
    ("(a*)*", "b", &[Some((0, 0)), Some((0, 0))]),
    ("(a*)+", "b", &[Some((0, 0)), Some((0, 0))]),
    ("(|a)*", "aa", &[Some((0, 0)), Some((0, 0))]),
    ("((a)|b)*", "ab", &[Some((0, 2)), Some((1, 2)), Some((0, 1))]),
    ("((a)|b)*", "ba", &[Some((0, 2)), Some((1, 2)), Some((1, 2))]),
    ("(a)|(b)", "b", &[Some((0, 1)), None, Some((0, 1))]),
    ("(?:(a)|b)*", "ab", &[Some((0, 2)), Some((0, 1))]),
    ("(a){2}", "aa", &[Some((0, 2)), Some((1, 2))]),
    ("(a){0}(b)", "b", &[Some((0, 1)), None, Some((0, 1))]),
    ("(b)(a){0}", "b", &[Some((0, 1)), Some((0, 1)), None]),
    ("((a){0}){2}", "a", &[Some((0, 0)), Some((0, 0)), None]),
    ("(?:(a){0}|(b))+", "b", &[Some((0, 0)), None, None]),
    ("(a??)(b)", "ab", &[Some((0, 2)), Some((0, 1)), Some((1, 2))]),
    ("(?P<n>a)(?P<n>b)", "ab", &[Some((0, 2)), Some((0, 1)), Some((1, 2))]),
    ("(a+)(a+)", "aaa", &[Some((0, 3)), Some((0, 2)), Some((2, 3))]),
    ("(a+?)(a+)", "aaa", &[Some((0, 3)), Some((0, 1)), Some((1, 3))]),
    (r"(.*?)(\d+)$", "ab12", &[Some((0, 4)), Some((0, 2)), Some((2, 4))]),
    (r"^(\w+)\s(.*)$", "Jan 01", &[Some((0, 6)), Some((0, 3)), Some((4, 6))]),
    ("((((a))))", "a", &[Some((0, 1)), Some((0, 1)), Some((0, 1)), Some((0, 1)), Some((0, 1))]),
    ("(a)|b|(c)", "c", &[Some((0, 1)), None, Some((0, 1))]),
    ("(?:(a)b?)+", "aba", &[Some((0, 3)), Some((2, 3))]),
    ("(a{2}){2}", "aaaaa", &[Some((0, 4)), Some((2, 4))]),
    ("()*", "a", &[Some((0, 0)), Some((0, 0))]),
    ("(a?){3}", "aa", &[Some((0, 2)), Some((2, 2))]),
    ("(a|ab)(c|bcd)(d*)", "abcd", &[Some((0, 4)), Some((0, 1)), Some((1, 4)), Some((4, 4))]),
    (r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)", "at 2026-01-02T03:04:05", &[Some((3, 19)), Some((3, 13)), Some((14, 19))]),
];
