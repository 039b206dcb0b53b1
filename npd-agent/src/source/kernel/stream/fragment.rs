//! One fragment of printk text as the printk probe saw it: decoding it, and finding its place in the log.
//!
//! A record is printed in one fragment, or in several when the kernel continues a line (`pr_cont`). The probe fires
//! inside the printk ring, where the text of a record follows the id of its data block
//! (`struct prb_data_block`, unchanged since Linux 5.10). The id grows by one per record, so
//! `sequence = id - base` with one base per boot; [`Sequencer`] holds it. For a continuation the same eight bytes
//! are text and give a number far from any expected one.

use npd_common::{Header, TAIL_SIZE};

use crate::time::Monotonic;

const BLOCK_ID_SIZE: usize = 8;
const NEWLINE: u8 = b'\n';
/// How far from the expected sequence number a plausible one may lie. Text read as a number is off by 2^40 and
/// more, as at least one of its upper bytes is not zero.
const PLAUSIBLE: u64 = 1 << 32;
/// The last byte before a continuation is text, so that as a number it is at least this large.
const TEXT: u64 = 1 << 56;

/// A fragment of text, borrowed from the ring buffer's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    /// When it was printed.
    pub ktime: Monotonic,
    /// The address of its text in the kernel's memory.
    pub address: u64,
    /// The eight bytes before the text.
    pub block: u64,
    /// The text without its level prefix and its newline.
    pub text: &'a [u8],
    /// Whether its newline was seen: nothing can be appended to the record any more.
    pub complete: bool,
}

/// Turns block ids into sequence numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequencer {
    base: u64,
}

// === impl Fragment ===

impl<'a> Fragment<'a> {
    /// Decodes what follows `header` in the ring. `None` if it is too short or its text could not be read.
    #[must_use]
    pub(crate) fn parse(header: &Header, body: &'a [u8]) -> Option<Self> {
        if header.blind != 0 {
            return None;
        }
        let (block, rest) = body.split_first_chunk::<BLOCK_ID_SIZE>()?;
        let (text, rest) = rest.split_at_checked(usize::from(header.len))?;
        let tail = rest.first_chunk::<TAIL_SIZE>()?;
        Some(Self {
            ktime: Monotonic::from_nanos(header.ktime),
            address: header.address,
            block: u64::from_ne_bytes(*block),
            text,
            complete: is_complete(text, *tail),
        })
    }

    /// The address right after the text, where a continuation would start.
    #[must_use]
    pub(crate) fn end(&self) -> u64 {
        self.address.wrapping_add(self.text.len() as u64)
    }
}

/// Finds the newline that printk cut off without erasing it.
///
/// It is right after a text that was printed without a level prefix. If there was a prefix, the kernel moved all bytes
/// two to the front, so that the last two characters are still there a second time and the newline follows them.
/// Texts with longer prefixes look incomplete, which only costs a read of /dev/kmsg.
fn is_complete(text: &[u8], tail: [u8; TAIL_SIZE]) -> bool {
    let [first, second, third] = tail;
    match text {
        [.., a, b] if first == *a && second == *b => third == NEWLINE,
        // The leftover of a prefixed text that itself ends in "\n?" would look like a newline behind the text.
        [.., a, _] => first == NEWLINE && *a != NEWLINE,
        _ => first == NEWLINE,
    }
}

// === impl Sequencer ===

impl Sequencer {
    /// The sequencer of a kernel whose record 0 would have the block id `base`.
    #[must_use]
    pub(crate) const fn with_base(base: u64) -> Self {
        Self { base }
    }

    /// Block ids as they are: they order the fragments, though they are not the log's sequence numbers.
    #[must_use]
    pub(crate) const fn uncalibrated() -> Self {
        Self { base: 0 }
    }

    /// The constant between block ids and sequence numbers.
    #[cfg(test)]
    #[must_use]
    pub(crate) const fn base(self) -> u64 {
        self.base
    }

    /// The sequence number of the record that starts with `fragment`; `None` for a continuation.
    /// `expected` is a number that it should be close to, if one is known.
    #[must_use]
    pub(crate) fn sequence(self, fragment: &Fragment<'_>, expected: Option<u64>) -> Option<u64> {
        let seq = fragment.block.wrapping_sub(self.base);
        let plausible = match expected {
            Some(expected) => seq.abs_diff(expected) < PLAUSIBLE,
            None => fragment.block < TEXT,
        };
        plausible.then_some(seq)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The memory behind `text` after printk wrote `prefix + text + newline` and shifted the prefix out.
    fn tail_of(text: &[u8], prefix: bool, newline: bool) -> [u8; 3] {
        let mut memory = if prefix { b"\x016".to_vec() } else { Vec::new() };
        memory.extend_from_slice(text);
        if newline {
            memory.push(NEWLINE);
        }
        memory.extend_from_slice(&[0; 4]);
        if prefix {
            memory.copy_within(2..2 + text.len(), 0);
        }
        [memory[text.len()], memory[text.len() + 1], memory[text.len() + 2]]
    }

    #[test]
    fn a_newline_inside_a_prefixed_text_is_not_its_end() {
        assert!(!is_complete(b"a\nb", tail_of(b"a\nb", true, false)));
        assert!(is_complete(b"a\nb", tail_of(b"a\nb", true, true)));
        assert!(!is_complete(b"oom-kill:constraint=", tail_of(b"oom-kill:constraint=", true, false)));
    }

    #[test]
    fn text_read_as_a_block_id_is_no_sequence_number() {
        let sequencer = Sequencer::with_base(0xffff_f000);
        let mut fragment =
            Fragment { ktime: Monotonic::default(), address: 0, block: 0xffff_f000 + 1234, text: b"", complete: true };
        assert_eq!(sequencer.sequence(&fragment, Some(1200)), Some(1234));
        assert_eq!(sequencer.sequence(&fragment, None), Some(1234));
        fragment.block = u64::from_ne_bytes(*b"nt=CONST");
        assert_eq!(sequencer.sequence(&fragment, Some(1200)), None);
        assert_eq!(sequencer.sequence(&fragment, None), None);
        // Three bytes of text after the upper five of a block id.
        fragment.block = u64::from_ne_bytes([0, 0, 0, 0, 0, b'a', b'b', b'c']);
        assert_eq!(sequencer.sequence(&fragment, Some(1200)), None);
    }

    proptest! {
        #[test]
        fn completeness_is_what_printk_did(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), any::<u8>().prop_filter("no NUL in C strings", |b| *b != 0)], 3..40),
            prefix: bool,
            newline: bool,
        ) {
            // printk cuts one trailing newline, so a text that still ends in one is followed by a second.
            let text = if !newline && text.last() == Some(&NEWLINE) { [&text[..], b"."].concat() } else { text };
            let found = is_complete(&text, tail_of(&text, prefix, newline));
            // "Incomplete" is always safe; "complete" must be true.
            prop_assert!(!found || newline);
            if text.iter().all(|b| *b != NEWLINE) {
                let repeats = !prefix && text[text.len() - 2] == NEWLINE;
                prop_assert!(found == newline || repeats);
            }
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some((header, body)) = Header::parse(&bytes) {
                prop_assert!(Fragment::parse(&header, body).is_none_or(|fragment| fragment.text.len() == usize::from(header.len)));
            }
        }
    }
}
