//! Patterns that want to exhaust the stack, memory or time.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    super::{GoRegexErrorKind, parse},
    at_end, engine, parsed, span,
};

const TWO_MIB: usize = 2 << 20;

fn nested(open: &str, inner: &str, close: &str, depth: usize) -> String {
    open.repeat(depth) + inner + &close.repeat(depth)
}

fn kind(pattern: &str) -> Option<GoRegexErrorKind> {
    parse(pattern).err().map(|error| error.kind())
}

/// The deepest that Go accepts, as each construct counts towards the height of its tree.
fn deepest() -> Vec<String> {
    vec![
        nested("(", "a", ")", 999),
        nested("(?:", "a", ")*", 999),
        nested("(?:", "a", "){1,}?", 999),
        nested("(?:", "(a)", "){0}", 998),
        nested("(.", "b", ")", 499),
        nested("(?:bc|.", "b", ")", 499),
        nested("(?:", "a", ")", 20_000),
    ]
}

#[test]
fn nesting_is_limited_where_go_limits_it() {
    for (pattern, too_deep) in [
        (nested("(", "a", ")", 999), nested("(", "a", ")", 1000)),
        (nested("(?:", "a", ")*", 999), nested("(?:", "a", ")*", 1000)),
        (nested("(.", "b", ")", 499), nested("(.", "b", ")", 500)),
        (nested("(.a|", "b", ")", 499), nested("(.a|", "b", ")", 500)),
    ] {
        parsed(&pattern);
        assert_eq!(kind(&too_deep), Some(GoRegexErrorKind::NestingDepth), "{too_deep:.20}");
    }
    assert_eq!(kind(&"(".repeat(100_000)), Some(GoRegexErrorKind::MissingParen));
}

#[test]
fn a_count_of_a_thousand_is_the_largest() {
    for pattern in
        ["a{1000}", "(?:a{500}){2}", "(?:a{2}){500}", "((a{10}){10}){10}", "(?:(?:a{1000}){0}a){1000}", "a{1000,1000}"]
    {
        let regex = at_end(pattern);
        assert_eq!(span(&regex, &"a".repeat(1000)), Some((0, 1000)), "{pattern}");
        assert_eq!(span(&regex, &"a".repeat(999)), None, "{pattern}");
    }
    for pattern in ["a{1001}", "(?:a{500}){3}", "(?:a{2}){501}", "((a{10}){10}){11}", "(?:a{1000}){2}", "a{1000,1001}"]
    {
        assert_eq!(kind(pattern), Some(GoRegexErrorKind::RepeatCount), "{pattern}");
    }
}

/// The `regex` crate refuses these by its default limits: 10 MiB, and nesting to 250.
#[test]
fn what_is_large_but_legal_in_go_is_parsed() {
    for (pattern, character) in [(r"\pL{1000}", "é"), (r"\w{1000}", "_"), (r"\PN{1000}", "世"), (r"[^\d]{1000}", "é")]
    {
        let regex = at_end(pattern);
        assert!(regex.is_match(&character.repeat(1000)), "{pattern}");
        assert!(!regex.is_match(&character.repeat(999)), "{pattern}");
    }
    for pattern in [nested("(", "a", ")", 251), nested("(?:.", "b", ")?", 499)] {
        assert!(regex_syntax::parse(&pattern).is_err());
        parsed(&pattern);
    }
}

#[test]
fn the_deepest_nesting_parses_and_compiles_on_a_thread_of_two_mib() {
    let thread = std::thread::Builder::new().stack_size(TWO_MIB);
    let run = thread.spawn(|| {
        for pattern in deepest() {
            drop(engine(&parsed(&pattern)));
        }
    });
    run.expect("a thread").join().expect("no panic");
}

#[test]
fn a_program_is_limited_where_go_limits_it() {
    parsed(&"x{1000}".repeat(3355));
    for pattern in [
        "x{1000}".repeat(3356),
        "(?:x{1000}|y)".repeat(3354),
        format!("(?:{}){{1000}}", "ab".repeat(1678)),
        r"\pL".repeat(27_000),
    ] {
        assert_eq!(kind(&pattern), Some(GoRegexErrorKind::TooLarge), "{pattern:.20}");
    }
}

#[test]
fn the_slowest_patterns_of_16_kib_parse_in_seconds() {
    let fill = |part: &str| part.repeat((16 << 10) / part.len());
    let nest = |open: &str, close: &str| nested(open, "", close, (16 << 10) / (open.len() + close.len()));
    for pattern in [
        fill(r"(?i)[B-\x{10ffff}]"),
        fill("[[:"),
        fill("[[:a"),
        format!(r"[{}]", fill(r"\PL")),
        nest("a.(?:b.", ")"),
        nest("(?:a|bc|", ")"),
        nest("(?:.", "a)"),
        nest("(", ")*"),
        fill("(?P<a"),
        fill("a|"),
    ] {
        let start = Instant::now();
        drop(parse(&pattern));
        assert!(start.elapsed() < Duration::from_secs(20), "{pattern:.20} took {:?}", start.elapsed());
    }
}

/// Pieces of syntax, whole and broken, in any order.
fn soup() -> impl Strategy<Value = String> {
    let pieces = proptest::sample::select(vec![
        "(",
        ")",
        "(?:",
        "(?i)",
        "(?P<n>",
        "(?<",
        "(?-s:",
        "(?U",
        "|",
        "*",
        "+?",
        "??",
        "{2}",
        "{0}",
        "{1,3}",
        "{1001}",
        "{",
        "}",
        "[",
        "[^",
        "]",
        "-",
        "[:alpha:]",
        "[:",
        ":]",
        "a",
        "Z",
        "9",
        "é",
        "ſ",
        "😀",
        "\n",
        ".",
        "^",
        "$",
        "\\",
        r"\d",
        r"\W",
        r"\b",
        r"\pL",
        r"\p{Greek}",
        r"\P{^",
        r"\Q",
        r"\E",
        r"\x",
        r"\x{1F600}",
        r"\x{d800}",
        r"\01",
        r"\z",
    ]);
    proptest::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_pattern_panics_and_what_is_accepted_compiles(pattern in prop_oneof![soup(), any::<String>()]) {
        match parse(&pattern) {
            Ok(hir) => {
                let regex = engine(&hir);
                regex.is_match("aéſ \n9😀");
            }
            Err(error) => prop_assert!(pattern.is_char_boundary(error.offset())),
        }
    }
}
