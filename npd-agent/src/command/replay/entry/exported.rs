//! What is kept of an entry exported by journalctl, apart from its message: the fields that filters use. The fields for rules are
//! derived from them.

use std::borrow::Cow;

use crate::{problem::Fields, source::journal::Filter};

/// The `FIELD=value` pairs of one entry, in memory that is reused for the next one.
#[derive(Debug, Default)]
pub(crate) struct Exported {
    pairs: Vec<u8>,
    /// Where each pair ends.
    ends: Vec<usize>,
}

/// How many bytes of an entry are kept. Pairs beyond that are dropped: no unit or program has such a long name.
const MAX_BYTES: usize = 64 << 10;

// === impl Exported ===

impl Exported {
    pub(crate) fn clear(&mut self) {
        self.pairs.clear();
        self.ends.clear();
    }

    /// Keeps a pair of the field `name` if a filter can use it.
    pub(crate) fn add(&mut self, name: &[u8], pair: &[u8]) {
        let is_used = Filter::FIELDS.iter().any(|field| field.as_bytes() == name);
        if is_used && self.pairs.len() + pair.len() <= MAX_BYTES {
            self.pairs.extend_from_slice(pair);
            self.ends.push(self.pairs.len());
        }
    }

    /// Whether the entry has this pair, even among several of the same field.
    pub(crate) fn has(&self, pair: &[u8]) -> bool {
        self.pairs().any(|known| known == pair)
    }

    /// The fields that the reader of the journal passes to rules.
    pub(crate) fn fields(&self) -> Fields {
        let pid = self.value("_PID").filter(|pid| pid.parse::<u32>().is_ok());
        // A message of systemd about a unit belongs to that unit.
        let about = self.value("UNIT").filter(|_| pid.as_deref() == Some("1"));
        let mut fields = Fields::default();
        for (name, value) in [
            ("identifier", self.value("SYSLOG_IDENTIFIER")),
            ("unit", about.or_else(|| self.value("_SYSTEMD_UNIT"))),
            ("transport", self.value("_TRANSPORT")),
            ("pid", pid),
        ] {
            if let Some(value) = value {
                fields.add(name, value);
            }
        }
        fields
    }

    /// The first value of a field.
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.pairs().find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        value.map(String::from_utf8_lossy)
    }

    fn pairs(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().filter_map(move |end| self.pairs.get(std::mem::replace(&mut start, *end)..*end))
    }
}
