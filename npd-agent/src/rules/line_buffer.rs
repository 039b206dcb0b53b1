//! The lines before the newest one, for patterns that reach over several lines.
//!
//! The buffer keeps raw bytes and reuses its memory. Only a search or a message turns them into text, and does so
//! as Go does: every byte that is not part of valid UTF-8 becomes one U+FFFD.

use std::{borrow::Cow, num::NonZeroUsize};

use crate::time::Timestamp;

/// A ring of the latest lines.
#[derive(Clone, Debug)]
pub(super) struct LineBuffer {
    lines: Vec<Line>,
    capacity: usize,
    newest: usize,
}

#[derive(Clone, Debug)]
struct Line {
    bytes: Vec<u8>,
    at: Timestamp,
}

/// The newest line and those before it: what a pattern is matched against.
///
/// It reads as `size` lines joined with newlines; lines that have not come yet are empty and stand in front.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    newest: &'a str,
    at: Timestamp,
    earlier: &'a LineBuffer,
    size: NonZeroUsize,
}

/// A line that was very long once does not hold its memory for ever.
const KEPT_BYTES: usize = 16 << 10;

/// `bytes` as text: each byte outside of valid UTF-8 is one U+FFFD.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

// === impl LineBuffer ===

impl LineBuffer {
    /// An empty buffer for `capacity` lines; a capacity of 0 is fine.
    pub(super) fn new(capacity: usize) -> Self {
        Self { lines: Vec::new(), capacity, newest: 0 }
    }

    /// Appends a line; the oldest one goes.
    pub(super) fn push(&mut self, line: &[u8], at: Timestamp) {
        if self.lines.len() < self.capacity {
            self.newest = self.lines.len();
            self.lines.push(Line { bytes: line.to_vec(), at });
            return;
        }
        self.newest = if self.newest + 1 < self.lines.len() { self.newest + 1 } else { 0 };
        let Some(slot) = self.lines.get_mut(self.newest) else { return };
        if slot.bytes.capacity() > KEPT_BYTES.max(line.len()) {
            slot.bytes = Vec::new();
        }
        slot.bytes.clear();
        slot.bytes.extend_from_slice(line);
        slot.at = at;
    }

    /// Whether lines are kept at all.
    pub(super) fn keeps_any(&self) -> bool {
        self.capacity > 0
    }

    /// The lines, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Timestamp)> {
        (1..=self.lines.len()).rev().filter_map(|back| self.get(back)).map(|line| (&*line.bytes, line.at))
    }

    /// The line that came `back` lines before the one that is matched now; 1 is the one just before.
    fn get(&self, back: usize) -> Option<&Line> {
        if back == 0 || back > self.lines.len() {
            return None;
        }
        let at = (self.newest + self.lines.len() + 1 - back) % self.lines.len();
        self.lines.get(at)
    }
}

// === impl Text ===

impl<'a> Text<'a> {
    /// The text that ends with `newest`.
    pub(super) fn new(newest: &'a str, at: Timestamp, earlier: &'a LineBuffer, size: NonZeroUsize) -> Self {
        Self { newest, at, earlier, size }
    }

    /// How many lines it has, those that have not come yet included.
    pub(super) fn lines(&self) -> usize {
        self.size.get()
    }

    /// The line `back` lines before the newest.
    pub(super) fn line(&self, back: usize) -> Cow<'a, str> {
        if back == 0 {
            return Cow::Borrowed(self.newest);
        }
        self.earlier.get(back).map_or(Cow::Borrowed(""), |line| decode(&line.bytes))
    }

    /// The lines from `back` lines before the newest, joined, and the time of the first of them.
    ///
    /// Lines that have not come yet are left out.
    pub(super) fn since(&self, back: usize) -> (Timestamp, String) {
        let back = back.min(self.earlier.lines.len());
        let mut message = String::new();
        for back in (1..=back).rev() {
            message.push_str(&self.line(back));
            message.push('\n');
        }
        message.push_str(self.newest);
        (self.earlier.get(back).map_or(self.at, |line| line.at), message)
    }

    /// The whole text.
    pub(super) fn joined(&self) -> String {
        (0..self.lines()).rev().map(|back| self.line(back)).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(capacity: usize, lines: &[&str]) -> LineBuffer {
        let mut buffer = LineBuffer::new(capacity);
        for (at, line) in (1..).zip(lines) {
            buffer.push(line.as_bytes(), Timestamp::from_unix_nanos(at));
        }
        buffer
    }

    fn text<'a>(buffer: &'a LineBuffer, newest: &'a str) -> Text<'a> {
        let size = NonZeroUsize::new(buffer.capacity + 1).unwrap();
        Text::new(newest, Timestamp::from_unix_nanos(99), buffer, size)
    }

    #[test]
    fn lines_that_have_not_come_yet_are_empty_lines_in_front() {
        assert_eq!(text(&filled(3, &["a"]), "b").joined(), "\n\na\nb");
        assert_eq!(text(&filled(3, &[]), "b").joined(), "\n\n\nb");
    }

    #[test]
    fn the_oldest_line_goes_first() {
        assert_eq!(text(&filled(3, &["a", "b", "c", "d", "e"]), "f").joined(), "c\nd\ne\nf");
        assert_eq!(text(&filled(0, &["a"]), "b").joined(), "b");
    }

    #[test]
    fn a_message_starts_with_its_first_line_and_has_its_time() {
        let buffer = filled(3, &["a", "b", "c", "d"]);
        assert_eq!(text(&buffer, "e").since(0), (Timestamp::from_unix_nanos(99), "e".into()));
        assert_eq!(text(&buffer, "e").since(2), (Timestamp::from_unix_nanos(3), "c\nd\ne".into()));
    }

    #[test]
    fn a_message_has_no_lines_that_have_not_come_yet() {
        assert_eq!(text(&filled(9, &["a"]), "b").since(7), (Timestamp::from_unix_nanos(1), "a\nb".into()));
    }

    #[test]
    fn every_invalid_byte_is_one_replacement_character() {
        assert_eq!(decode(b"ok"), "ok");
        assert_eq!(decode(b"a\xe2\x82b\xff"), "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(decode(b"\xed\xa0\x80"), "\u{fffd}\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_long_line_does_not_hold_its_memory() {
        let mut buffer = filled(1, &[&"x".repeat(1 << 20)]);
        buffer.push(b"short", Timestamp::default());
        assert!(buffer.lines[0].bytes.capacity() <= KEPT_BYTES);
    }
}
