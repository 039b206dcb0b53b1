//! Shortens texts to a maximum number of bytes.

#[cfg(feature = "kubernetes")]
use std::borrow::Cow;

/// As much of the text as fits into `max` bytes, without splitting a character.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// The text, or as much of it as fits into `max` bytes with an ellipsis that shows the cut.
#[cfg(feature = "kubernetes")]
pub(crate) fn shorten(text: &str, max: usize) -> Cow<'_, str> {
    const ELLIPSIS: &str = "…";
    if text.len() <= max {
        return text.into();
    }
    format!("{}{ELLIPSIS}", cut(text, max.saturating_sub(ELLIPSIS.len()))).into()
}

#[cfg(all(test, feature = "kubernetes"))]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_shows_it() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abc…");
        assert_eq!(shorten("ääää", 6), "ä…", "the second ä does not fit whole");
        assert_eq!(shorten(&"x".repeat(5000), 1024).len(), 1024);
    }
}
