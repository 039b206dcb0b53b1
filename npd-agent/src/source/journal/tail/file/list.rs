//! A list of entries: a chain of ever larger arrays. Each file has one for all its entries and one for each value of
//! each field. A list grows only at its end.

use super::{
    FileError,
    objects::{DataEntries, EntryArray, Objects},
};

/// Number of items that are read at once.
const CHUNK: u64 = 64;

/// A place in a list.
#[derive(Debug, Default)]
pub(super) struct EntryList {
    entries: DataEntries,
    /// Number of items already passed.
    taken: u64,
    /// The current array, and how many of its items have been passed.
    array: Option<EntryArray>,
    within: u64,
    /// The items read ahead, and how many of them have been passed.
    chunk: Vec<u64>,
    at: usize,
}

// === impl EntryList ===

impl EntryList {
    /// A list, at its start.
    pub(super) fn new(entries: DataEntries) -> Self {
        Self { entries, ..Self::default() }
    }

    /// Picks up added entries.
    pub(super) fn grow(&mut self, entries: DataEntries) {
        self.entries = entries;
    }

    /// The next item.
    pub(super) fn peek(&mut self, objects: &Objects) -> Result<Option<u64>, FileError> {
        if self.at == self.chunk.len() {
            self.fill(objects)?;
        }
        Ok(self.chunk.get(self.at).copied())
    }

    /// Moves past the next item.
    pub(super) fn pop(&mut self) {
        if self.at < self.chunk.len() {
            self.at += 1;
            self.taken += 1;
            self.within += u64::from(self.array.is_some());
        }
    }

    /// Moves forward to the first item for which `before` is false.
    pub(super) fn seek(
        &mut self,
        objects: &Objects,
        before: impl Fn(u64) -> Result<bool, FileError>,
    ) -> Result<(), FileError> {
        if self.taken == 0 && self.entries.first != 0 && self.entries.total > 0 {
            if !before(self.entries.first)? {
                return Ok(());
            }
            self.taken = 1;
        }
        while self.enter_array(objects)? {
            let Some(array) = self.array else { break };
            let usable = (array.capacity - self.within).min(self.entries.total - self.taken);
            if Self::item_is(objects, array, self.within + usable - 1, &before)? {
                self.taken += usable;
                self.within += usable;
                continue;
            }
            let (mut low, mut high) = (0, usable - 1);
            while low < high {
                let middle = low + (high - low) / 2;
                if Self::item_is(objects, array, self.within + middle, &before)? {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            self.taken += low;
            self.within += low;
            break;
        }
        Ok(())
    }

    /// The last item.
    pub(super) fn last(mut self, objects: &Objects) -> Result<Option<u64>, FileError> {
        if self.entries.total == 1 && self.entries.first != 0 {
            return Ok(Some(self.entries.first));
        }
        self.taken = u64::from(self.entries.first != 0);
        while self.enter_array(objects)? {
            let Some(array) = self.array else { break };
            let left = self.entries.total - self.taken;
            if left > array.capacity {
                self.taken += array.capacity;
                self.within = array.capacity;
                continue;
            }
            objects.array_items(array, left - 1, 1, &mut self.chunk)?;
            break;
        }
        Ok(self.chunk.first().copied().filter(|item| *item != 0))
    }

    fn item_is(
        objects: &Objects,
        array: EntryArray,
        at: u64,
        before: impl Fn(u64) -> Result<bool, FileError>,
    ) -> Result<bool, FileError> {
        let mut item = Vec::new();
        objects.array_items(array, at, 1, &mut item)?;
        match item.first() {
            Some(0) | None => Ok(false),
            Some(item) => before(*item),
        }
    }

    /// Reads the next items.
    fn fill(&mut self, objects: &Objects) -> Result<(), FileError> {
        self.chunk.clear();
        self.at = 0;
        if self.taken == 0 && self.entries.first != 0 && self.entries.total > 0 {
            self.chunk.push(self.entries.first);
            return Ok(());
        }
        if !self.enter_array(objects)? {
            return Ok(());
        }
        let Some(array) = self.array else { return Ok(()) };
        let count = (array.capacity - self.within).min(self.entries.total - self.taken).min(CHUNK);
        let read = objects.array_items(array, self.within, count as usize, &mut self.chunk);
        // A zero has not been written yet.
        let written = self.chunk.iter().position(|item| *item == 0).unwrap_or(self.chunk.len());
        self.chunk.truncate(written);
        read
    }

    /// Moves to the array that has the next item. Returns `false` if there is no next item.
    fn enter_array(&mut self, objects: &Objects) -> Result<bool, FileError> {
        if self.taken >= self.entries.total {
            return Ok(false);
        }
        loop {
            let next = match self.array {
                Some(array) if self.within < array.capacity => return Ok(true),
                Some(array) => objects.next_array(array)?,
                None => self.entries.array,
            };
            if next == 0 {
                return Ok(false);
            }
            self.array = Some(objects.entry_array(next)?);
            self.within = 0;
        }
    }
}
