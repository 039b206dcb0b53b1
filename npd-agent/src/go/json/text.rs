//! The text inside a JSON string's quotes, unescaped as Go does it.

/// Unescapes what stands between the quotes. The reader has checked the escapes.
///
/// A surrogate without its partner, and every single byte that is not part of valid UTF-8, becomes U+FFFD.
pub(super) fn unescape(quoted: &[u8]) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some(backslash) = rest.iter().position(|byte| *byte == b'\\') {
        let (plain, escape) = rest.split_at(backslash);
        push_utf8(&mut text, plain);
        let (character, length) = read_escape(escape);
        text.push(character);
        rest = escape.get(length..).unwrap_or_default();
    }
    push_utf8(&mut text, rest);
    text
}

/// Appends bytes that should be UTF-8. `String::from_utf8_lossy` gives one U+FFFD for a cut-off character, Go one for
/// each of its bytes.
fn push_utf8(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

/// The character an escape sequence stands for, and how long the sequence is.
fn read_escape(escape: &[u8]) -> (char, usize) {
    let character = match escape.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return read_unicode_escape(escape),
        Some(itself) => char::from(*itself),
        None => char::REPLACEMENT_CHARACTER,
    };
    (character, 2)
}

fn read_unicode_escape(escape: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = escape.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let units = [unit(0), unit(6)].into_iter().map_while(|unit| unit);
    match char::decode_utf16(units).next() {
        Some(Ok(character)) => (character, 6 * character.len_utf16()),
        Some(Err(_)) | None => (char::REPLACEMENT_CHARACTER, 6),
    }
}
