//! Go's regular expression dialect, as `regexp.Compile` of Go 1.26 reads it.
//!
//! Patterns of existing configurations are written for Go. Most of them mean the same to the `regex` crate, but not
//! all: `\<` is a literal `<` there and a word boundary here, `x{` is text there and an error here, `[a&&b]` is three
//! characters there and an empty intersection here, and `\d`, `\w`, `\s` and `\b` are ASCII. Rewriting tokens cannot
//! bridge that (`\W` of Go takes one whole code point, which no byte-oriented class of `regex` does), so this module
//! parses the dialect itself and gives the high-level form (HIR) that the matching engine is built from.
//!
//! It is not an engine, and it does not anchor patterns: the caller does both. The haystack must be valid UTF-8; Go
//! sees each byte that is not as U+FFFD, and so must the caller.
//!
//! Known differences from Go:
//!
//! * Unicode tables are those of `regex-syntax`, 16.0 against Go's 15.0. Besides the characters that are new, U+1171E
//!   changed its category, and these have another case under `(?i)`: ƛ, ɤ, U+0390, U+03B0, U+1FD3, U+1FE3, ﬅ and ﬆ.
//!   Property *names* are Go's.
//! * A pattern is too large as soon as its program would be; Go estimates before it counts and lets some literals
//!   of several million characters pass.
//! * Go factors common prefixes of an alternation before it measures nesting. Within a few levels of the limit of
//!   1000 such a pattern may be judged differently.
//! * `^\x{d800}$` never matches. In Go a lone surrogate at the head of a one-pass pattern matches U+FFFD.
//! * What is parsed may be too large for the caller to run: a [`Pattern`](crate::rules::Pattern) refuses `\pL{1000}` thrice.

mod class;
mod error;
mod escape;
mod expr;
mod fold;
mod parser;
mod property;
mod repeat;

pub use error::{GoRegexError, GoRegexErrorKind};
use regex_syntax::hir::Hir;

/// Parses `pattern` as Go's `regexp.Compile` would.
///
/// Group numbers are Go's. Of groups that share a name only the first keeps it, as the engine wants names unique.
///
/// # Errors
///
/// Wherever Go refuses the pattern, in Go's words and with the fragment that Go quotes.
pub fn parse(pattern: &str) -> Result<Hir, GoRegexError> {
    parser::Parser::new(pattern).parse()
}

#[cfg(test)]
mod tests;
