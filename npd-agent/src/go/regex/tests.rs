//! The dialect against tables that Go 1.26 computed, and the limits.

mod groups;
mod hostile;
mod matches;
mod refused;

use regex_automata::{Input, meta};
use regex_syntax::hir::{Hir, Look};

use super::parse;

fn engine(hir: &Hir) -> meta::Regex {
    let config = meta::Config::new().nfa_size_limit(None);
    meta::Builder::new().configure(config).build_from_hir(hir).expect("an engine from a parsed pattern")
}

fn parsed(pattern: &str) -> Hir {
    parse(pattern).unwrap_or_else(|error| panic!("{pattern:?} is refused: {error}"))
}

fn at_end(pattern: &str) -> meta::Regex {
    engine(&Hir::concat(vec![parsed(pattern), Hir::look(Look::End)]))
}

fn span(regex: &meta::Regex, text: &str) -> Option<(usize, usize)> {
    regex.find(text).map(|found| (found.start(), found.end()))
}

fn assert_found(rows: &[matches::Row]) {
    for &(pattern, text, anywhere, ending) in rows {
        assert_eq!(span(&engine(&parsed(pattern)), text), anywhere, "{pattern:?} on {text:?}");
        assert_eq!(span(&at_end(pattern), text), ending, "{pattern:?} at the end of {text:?}");
    }
}

#[test]
fn a_brace_that_is_no_repetition_is_text() {
    assert_found(matches::BRACES);
}

#[test]
fn escapes_stand_for_code_points_and_escaped_punctuation_for_itself() {
    assert_found(matches::ESCAPES);
}

#[test]
fn quotations_are_literal() {
    assert_found(matches::QUOTATIONS);
}

#[test]
fn an_unterminated_quotation_does_not_swallow_an_end_anchor() {
    let regex = at_end(r"a\Qb.");
    assert_eq!(span(&regex, "ab."), Some((0, 3)));
    assert_eq!(span(&regex, "ab.c"), None);
}

#[test]
fn classes_hold_what_go_reads_in_them() {
    assert_found(matches::CLASSES);
}

#[test]
fn perl_classes_are_ascii_and_their_complements_take_whole_characters() {
    assert_found(matches::ASCII_CLASSES);
}

#[test]
fn word_boundaries_are_ascii() {
    assert_found(matches::WORD_BOUNDARIES);
}

#[test]
fn folding_is_simple_and_precedes_negation() {
    assert_found(matches::FOLDING);
}

#[test]
fn properties_have_the_names_that_go_knows() {
    assert_found(matches::PROPERTIES);
}

#[test]
fn flags_last_to_the_end_of_their_group() {
    assert_found(matches::FLAGS);
}

#[test]
fn anchors_are_of_the_whole_text_without_m() {
    assert_found(matches::ANCHORS);
}

#[test]
fn the_leftmost_match_prefers_earlier_branches_and_greed() {
    assert_found(matches::ORDER);
}

#[test]
fn empty_branches_and_loops_match_what_they_match_in_go() {
    assert_found(matches::EMPTIES);
    assert_found(matches::LOOPS);
}

#[test]
fn named_groups_match_whatever_their_names() {
    assert_found(matches::GROUPS);
}

#[test]
fn rules_on_log_lines_match() {
    assert_found(matches::LOG_LINES);
}

#[test]
fn groups_capture_what_they_capture_in_go() {
    for &(pattern, text, groups) in groups::GROUPS {
        let regex = engine(&parsed(pattern));
        let mut captures = regex.create_captures();
        regex.captures(Input::new(text), &mut captures);
        let found: Vec<_> = captures.iter().map(|group| group.map(|span| (span.start, span.end))).collect();
        assert_eq!(found, groups, "{pattern:?} on {text:?}");
    }
}

#[test]
fn of_groups_that_share_a_name_the_first_keeps_it() {
    let regex = engine(&parsed("(?P<n>a)(?<m>b)(?P<n>c)"));
    let names: Vec<_> = regex.group_info().pattern_names(regex_automata::PatternID::ZERO).collect();
    assert_eq!(names, [None, Some("n"), Some("m"), None]);
}

#[test]
fn refusals_say_what_go_says() {
    for &(pattern, words) in refused::REFUSED {
        let error = parse(pattern).expect_err(pattern);
        assert_eq!(error.to_string(), words, "{pattern:?}");
    }
}

#[test]
fn refusals_point_at_the_text_they_quote() {
    for &(pattern, words) in refused::REFUSED {
        let error = parse(pattern).expect_err(pattern);
        let (_, quoted) = words.strip_suffix('`').and_then(|words| words.split_once('`')).expect("a quotation");
        assert!(
            quoted == pattern || pattern[error.offset()..].starts_with(quoted),
            "{pattern:?}: {words} is not at {}",
            error.offset()
        );
    }
}

#[test]
fn an_unclosed_group_is_pointed_at_where_it_opens() {
    assert_eq!(parse("a(b)(c(d)").map_err(|error| error.offset()), Err(4));
    assert_eq!(parse("a(b))c").map_err(|error| error.offset()), Err(4));
}
