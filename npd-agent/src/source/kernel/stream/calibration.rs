//! Finds the base of the sequence numbers: by the same line in both streams.
//!
//! The agent's own self-test line is enough by itself, as its nonce is unique. If /dev/kmsg cannot be
//! written, it takes two ordinary lines that lead to the same base.

use std::collections::VecDeque;

use crate::source::kernel::{
    kmsg::KmsgRecord,
    stream::fragment::{Fragment, Sequencer},
};

/// How many fragments are remembered until their records are read from /dev/kmsg.
const REMEMBERED: usize = 64;

/// Watches both streams until the base is known.
#[derive(Debug)]
pub(crate) struct Calibration {
    nonce: Option<Vec<u8>>,
    fragments: VecDeque<(u64, Vec<u8>)>,
    candidate: Option<Sequencer>,
}

// === impl Calibration ===

impl Calibration {
    /// A calibration; `nonce` is the text of the self-test line, if one was written.
    #[must_use]
    pub(crate) fn new(nonce: Option<&str>) -> Self {
        Self { nonce: nonce.map(|text| text.as_bytes().to_vec()), fragments: VecDeque::new(), candidate: None }
    }

    /// Whether this is the text of the self-test line.
    #[must_use]
    pub(crate) fn is_nonce(&self, text: &[u8]) -> bool {
        self.nonce.as_deref() == Some(text)
    }

    /// Remembers a fragment of the ring.
    pub(crate) fn fragment(&mut self, fragment: &Fragment<'_>) {
        if self.fragments.len() == REMEMBERED {
            self.fragments.pop_front();
        }
        self.fragments.push_back((fragment.block, fragment.text.to_vec()));
    }

    /// Looks for a record of /dev/kmsg among the fragments; returns the sequencer once the base is certain.
    pub(crate) fn record(&mut self, record: &KmsgRecord<'_>) -> Option<Sequencer> {
        let text = record.text();
        let mut same = self.fragments.iter().filter(|(_, fragment)| *fragment == *text);
        // A text that was printed more than once is ambiguous.
        let (Some((block, _)), None) = (same.next(), same.next()) else { return None };
        let found = Sequencer::with_base(block.wrapping_sub(record.seq));
        let sure = self.is_nonce(&text) || self.candidate == Some(found);
        self.fragments.retain(|(_, fragment)| *fragment != *text);
        self.candidate = Some(found);
        sure.then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Monotonic;

    fn fragment(block: u64, text: &[u8]) -> Fragment<'_> {
        Fragment { ktime: Monotonic::default(), address: 0, block, text, complete: true }
    }

    fn record(calibration: &mut Calibration, seq: u64, text: &str) -> Option<u64> {
        let bytes = format!("6,{seq},0,-;{text}\n");
        calibration.record(&KmsgRecord::parse(bytes.as_bytes()).unwrap()).map(Sequencer::base)
    }

    #[test]
    fn the_nonce_alone_is_enough() {
        let mut calibration = Calibration::new(Some("self-test 1"));
        calibration.fragment(&fragment(1007, b"self-test 1"));
        assert_eq!(record(&mut calibration, 5, "other"), None);
        assert_eq!(record(&mut calibration, 7, "self-test 1"), Some(1000));
    }

    #[test]
    fn without_a_nonce_two_lines_must_agree() {
        let mut calibration = Calibration::new(None);
        for (block, text) in [(1001, "a"), (1002, "b"), (1003, "c")] {
            calibration.fragment(&fragment(block, text.as_bytes()));
        }
        assert_eq!(record(&mut calibration, 1, "a"), None);
        assert_eq!(record(&mut calibration, 9, "b"), None, "9 is not one after 1");
        assert_eq!(record(&mut calibration, 10, "c"), Some(993));
    }

    #[test]
    fn a_text_that_was_printed_twice_is_ambiguous() {
        let mut calibration = Calibration::new(None);
        for (block, text) in [(1001, "a"), (1002, "a"), (1003, "b")] {
            calibration.fragment(&fragment(block, text.as_bytes()));
        }
        assert_eq!(record(&mut calibration, 1, "a"), None);
        assert_eq!(record(&mut calibration, 3, "b"), None);
    }
}
