//! Remembers which fields need not be read again: most entries of a host share `_BOOT_ID`, `_HOSTNAME` and a dozen
//! more, and a field never changes once it is written.

/// A small table of offsets of fields that are not needed. If two share a slot, the newer one replaces the older.
#[derive(Debug)]
pub(super) struct Unwanted {
    offsets: Box<[u64; SIZE]>,
}

const SIZE: usize = 256;

// === impl Unwanted ===

impl Unwanted {
    pub(super) fn contains(&self, offset: u64) -> bool {
        self.offsets[slot(offset)] == offset
    }

    pub(super) fn add(&mut self, offset: u64) {
        self.offsets[slot(offset)] = offset;
    }
}

impl Default for Unwanted {
    fn default() -> Self {
        Self { offsets: Box::new([0; SIZE]) }
    }
}

/// Objects are aligned to 8 bytes; the multiplication spreads neighbouring offsets.
fn slot(offset: u64) -> usize {
    ((offset >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}
