//! Why a pattern was refused, in the words that operators know from Go.

use thiserror::Error;

/// Go's error for a pattern: what is wrong, the offending text, and where it is.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{kind}: `{fragment}`")]
pub struct GoRegexError {
    kind: GoRegexErrorKind,
    fragment: String,
    offset: usize,
}

/// The kinds of refusal, one for each of Go's `syntax.ErrorCode`s that a valid UTF-8 pattern can meet.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum GoRegexErrorKind {
    /// A range whose ends are reversed, or an unknown POSIX class or Unicode property.
    #[error("invalid character class range")]
    ClassRange,
    /// A backslash before a character it has no meaning with.
    #[error("invalid escape sequence")]
    Escape,
    /// A group name that is empty, unterminated or more than ASCII letters, digits and `_`.
    #[error("invalid named capture")]
    NamedCapture,
    /// `(?` followed by something that is neither flags nor a name.
    #[error("invalid or unsupported Perl syntax")]
    PerlSyntax,
    /// A repetition of a repetition, like `a**`.
    #[error("invalid nested repetition operator")]
    NestedRepeat,
    /// A count over 1000, by itself or multiplied with the counts around it, or a reversed one.
    #[error("invalid repeat count")]
    RepeatCount,
    /// A repetition with nothing before it.
    #[error("missing argument to repetition operator")]
    RepeatArgument,
    /// An unterminated character class.
    #[error("missing closing ]")]
    MissingBracket,
    /// An unterminated group.
    #[error("missing closing )")]
    MissingParen,
    /// A `)` that closes nothing.
    #[error("unexpected )")]
    UnexpectedParen,
    /// A `\` as the last character.
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    /// Groups and repetitions nested more than 1000 deep.
    #[error("expression nests too deeply")]
    NestingDepth,
    /// A program or character classes beyond 128 MiB in Go.
    #[error("expression too large")]
    TooLarge,
}

// === impl GoRegexError ===

impl GoRegexError {
    pub(super) fn new(kind: GoRegexErrorKind, fragment: &str, offset: usize) -> Self {
        Self { kind, fragment: fragment.to_owned(), offset }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> GoRegexErrorKind {
        self.kind
    }

    /// Where, in bytes from the start of the pattern.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }
}
