//! The fields of an entry that the source passes on.

use crate::source::journal::{Cursor, Entry};

/// Longer messages are cut.
pub(super) const MAX_MESSAGE: usize = 2 << 20;
/// Longer values of other fields are cut; systemd allows 255 bytes for the name of a unit.
const MAX_VALUE: usize = 256;
/// Message buffers above this size are freed, so that one very long message does not hold its memory forever.
const KEPT_BYTES: usize = 16 << 10;

/// The fields of the current entry; the memory is reused for the next one.
#[derive(Debug, Default)]
pub(super) struct EntryFields {
    pub(super) message: Vec<u8>,
    values: [Option<String>; FIELDS.len()],
}

/// A short field of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Priority,
    Facility,
    Identifier,
    Unit,
    AboutUnit,
    Transport,
    Pid,
}

const FIELDS: [(&[u8], Field); 7] = [
    (b"PRIORITY", Field::Priority),
    (b"SYSLOG_FACILITY", Field::Facility),
    (b"SYSLOG_IDENTIFIER", Field::Identifier),
    (b"_SYSTEMD_UNIT", Field::Unit),
    (b"UNIT", Field::AboutUnit),
    (b"_TRANSPORT", Field::Transport),
    (b"_PID", Field::Pid),
];

// === impl Field ===

impl Field {
    /// The field with this name, if it is of interest.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
    }
}

// === impl EntryFields ===

impl EntryFields {
    /// Clears the previous entry.
    pub(super) fn clear(&mut self) {
        if self.message.capacity() > KEPT_BYTES {
            self.message = Vec::new();
        }
        self.message.clear();
        self.values = Default::default();
    }

    /// Sets a field. Only its first value counts.
    pub(super) fn set(&mut self, field: Field, value: &[u8]) {
        let value = &value[..value.len().min(MAX_VALUE)];
        self.values[field as usize].get_or_insert_with(|| String::from_utf8_lossy(value).into_owned());
    }

    /// The entry.
    pub(super) fn entry(&self, cursor: Cursor) -> Entry<'_> {
        let text = |field: Field| self.values[field as usize].as_deref();
        let pid = text(Field::Pid).and_then(|pid| pid.parse().ok());
        let about = text(Field::AboutUnit).filter(|_| pid == Some(1));
        Entry {
            message: &self.message,
            at: cursor.at(),
            priority: text(Field::Priority).and_then(|level| level.parse().ok()).filter(|level| *level <= 7),
            facility: text(Field::Facility).and_then(|facility| facility.parse().ok()),
            identifier: text(Field::Identifier),
            unit: about.or(text(Field::Unit)),
            transport: text(Field::Transport),
            pid,
            cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURSOR: Cursor = Cursor { seqnum_id: 0, seqnum: 0, boot_id: 0, monotonic: 0, realtime: 5, xor_hash: 0 };

    #[test]
    fn a_message_of_systemd_about_a_unit_is_attributed_to_that_unit() {
        let mut fields = EntryFields::default();
        fields.set(Field::Unit, b"init.scope");
        fields.set(Field::AboutUnit, b"kubelet.service");
        assert_eq!(fields.entry(CURSOR).unit, Some("init.scope"));
        fields.set(Field::Pid, b"1");
        assert_eq!(fields.entry(CURSOR).unit, Some("kubelet.service"));
        fields.clear();
        assert_eq!(fields.entry(CURSOR).unit, None);
    }

    #[test]
    fn invalid_numbers_are_left_out() {
        let mut fields = EntryFields::default();
        fields.set(Field::Priority, b"8");
        fields.set(Field::Facility, b"kern");
        fields.set(Field::Pid, b"-1");
        let entry = fields.entry(CURSOR);
        assert_eq!((entry.priority, entry.facility, entry.pid), (None, None, None));
        assert_eq!(entry.at.unix_nanos(), 5000);
    }

    #[test]
    fn the_first_value_of_a_field_counts_and_a_long_one_is_cut() {
        let mut fields = EntryFields::default();
        fields.set(Field::Identifier, &[b'a'; 1000]);
        fields.set(Field::Identifier, b"b");
        assert_eq!(fields.entry(CURSOR).identifier.unwrap(), "a".repeat(MAX_VALUE));
    }

    #[test]
    fn every_name_finds_its_field() {
        for (at, (name, field)) in FIELDS.iter().enumerate() {
            assert_eq!(Field::named(name), Some(*field));
            assert_eq!(*field as usize, at);
        }
    }
}
