//! One journal file: the entries that pass a filter, from a given start, and those written later.
//!
//! It does not know of other files, and skips damaged parts. journald writes an entry's fields first, then the
//! entry, then links it into the list of all entries, then into the list of each of its fields; what is linked is
//! complete. It writes to mapped memory, so its writes are visible at once, long before inotify reports them.

use std::{fs::File, io, path::Path, sync::Arc};

use self::{
    list::EntryList,
    objects::{DataEntries, Header, Objects},
    unwanted::Unwanted,
};
use super::{
    Cursor,
    entry_fields::EntryFields,
    files::{FileKey, JournalFile, Tail},
    filter::Filter,
    origin::Origin,
};

mod compression;
mod field_reader;
mod hash;
mod list;
mod objects;
mod unwanted;

/// Why a file, or a part of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// The system refuses it.
    #[error("cannot be read")]
    Read(#[from] io::Error),
    /// Its name is gone, or now belongs to another file.
    #[error("it was deleted or renamed while being opened")]
    Moved,
    /// It has no header yet.
    #[error("it is empty or has just been created")]
    Incomplete,
    /// It is not a journal file.
    #[error("not a journal file")]
    Foreign,
    /// It was written by a newer systemd.
    #[error("written in an unknown format (incompatible flags {0:#x})")]
    Unknown(u32),
    /// A message is compressed with XZ.
    #[error("a message is compressed with XZ, which is not supported")]
    Xz,
    /// An object is not what it should be.
    #[error("damaged at offset {offset:#x}: {what}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Another file with the same id is being followed: this one is a copy, such as an administrator makes.
    #[error("a copy of a journal file that is already being read")]
    Copy,
}

/// A journal file that is open.
#[derive(Debug)]
pub(super) struct FileReader {
    objects: Objects,
    header: Header,
    filter: Arc<Filter>,
    /// Where each term of the filter is stored in this file.
    terms: Vec<Option<u64>>,
    /// The list of all entries, or those of the filter's leading terms.
    lists: Vec<Source>,
    origin: Origin,
    /// Everything up to this offset has been delivered or skipped.
    behind: u64,
    /// The next entry that passes, and where it is.
    next: Option<(Cursor, u64)>,
    /// Its fields.
    items: Vec<u64>,
    unwanted: Unwanted,
    fault: Option<FileError>,
}

#[derive(Debug)]
struct Source {
    list: EntryList,
    /// The place of the term in the filter; `None` is the list of all entries.
    term: Option<usize>,
}

/// Maximum number of entries of one microsecond that are compared to find one of them.
const MAX_ALIKE: usize = 4096;

// === impl FileReader ===

impl FileReader {
    /// Opens a file; nothing is read before [`JournalFile::begin`].
    pub(super) fn open(path: &Path, key: FileKey, filter: Arc<Filter>) -> Result<Self, FileError> {
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FileError::Moved,
            _ => FileError::Read(error),
        })?;
        // journald may have given the name to a new file since it was looked up.
        if FileKey::of(&file.metadata()?) != key {
            return Err(FileError::Moved);
        }
        let header = Header::read(&file)?;
        let objects = Objects::new(file, &header);
        let terms = vec![None; filter.terms().len()];
        let unwanted = Unwanted::default();
        let (lists, items) = (Vec::new(), Vec::new());
        let origin = Origin::Since(0);
        Ok(Self { objects, header, filter, terms, lists, origin, behind: 0, next: None, items, unwanted, fault: None })
    }

    fn read_header(&mut self) {
        let header = self.objects.header();
        if let Some(header) = self.note(header)
            && header.file_id == self.header.file_id
        {
            self.header = header;
        }
    }

    fn all_entries(&self) -> DataEntries {
        DataEntries { first: 0, array: self.header.entry_array, total: self.header.entries }
    }

    fn last_entry(&self) -> Option<u64> {
        EntryList::new(self.all_entries()).last(&self.objects).ok().flatten()
    }

    /// A list, starting at the origin.
    fn list(&mut self, entries: DataEntries, origin: Origin) -> EntryList {
        let mut list = EntryList::new(entries);
        let seqnum_id = self.header.seqnum_id;
        let sought =
            list.seek(&self.objects, |offset| Ok(!origin.admits(&self.objects.entry_cursor(seqnum_id, offset)?)));
        self.note(sought);
        list
    }

    /// Looks up terms that the file did not have before, and picks up new entries.
    fn grow(&mut self) {
        let filter = Arc::clone(&self.filter);
        for (place, term) in filter.terms().iter().enumerate() {
            if self.terms[place].is_none() {
                let found = self.objects.find_data(&self.header, term);
                self.terms[place] = self.note(found).flatten();
            }
        }
        if filter.leads().is_empty() && self.lists.is_empty() {
            let list = self.list(self.all_entries(), self.origin);
            self.lists.push(Source { list, term: None });
        }
        for term in filter.leads() {
            let known = self.lists.iter().any(|source| source.term == Some(*term));
            if let (Some(offset), false) = (self.terms[*term], known) {
                let found = self.objects.data_entries(offset);
                if let Some(entries) = self.note(found) {
                    let list = self.list(entries, self.origin);
                    self.lists.push(Source { list, term: Some(*term) });
                }
            }
        }
        for place in 0..self.lists.len() {
            let found = match self.lists[place].term.map(|term| self.terms[term]) {
                None => Ok(self.all_entries()),
                Some(Some(offset)) => self.objects.data_entries(offset),
                Some(None) => continue,
            };
            if let Some(entries) = self.note(found) {
                self.lists[place].list.grow(entries);
            }
        }
    }

    /// The next entry of any list, wanted or not, and the list that has it.
    fn next_offset(&mut self) -> Option<(u64, usize)> {
        let mut next: Option<(u64, usize)> = None;
        for (place, source) in self.lists.iter_mut().enumerate() {
            let offset = loop {
                match source.list.peek(&self.objects) {
                    // Two lists may have the same entry.
                    Ok(Some(offset)) if offset <= self.behind => source.list.pop(),
                    Ok(offset) => break offset,
                    Err(error) => {
                        self.fault.get_or_insert(error);
                        break None;
                    }
                }
            };
            if let Some(offset) = offset.filter(|offset| next.is_none_or(|(least, _)| *offset < least)) {
                next = Some((offset, place));
            }
        }
        next
    }

    /// Keeps the first error that has not been reported yet.
    fn note<T>(&mut self, result: Result<T, FileError>) -> Option<T> {
        result.map_err(|error| self.fault.get_or_insert(error)).ok()
    }

    fn is_wanted(&self, cursor: &Cursor) -> bool {
        self.origin.admits(cursor)
            && self.filter.passes(|term| self.terms[term].is_some_and(|offset| self.items.contains(&offset)))
    }
}

impl JournalFile for FileReader {
    fn id(&self) -> u128 {
        u128::from_be_bytes(self.header.file_id)
    }

    fn tail(&mut self) -> Tail {
        self.read_header();
        let Header { seqnum_id, tail_seqnum, archived, .. } = self.header;
        Tail { seqnum_id, seqnum: tail_seqnum, archived }
    }

    fn begin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    fn refresh(&mut self) {
        self.read_header();
        self.grow();
    }

    fn peek(&mut self, bound: u64) -> Option<Cursor> {
        if let Some((cursor, _)) = self.next {
            return (cursor.seqnum <= bound).then_some(cursor);
        }
        while let Some((offset, place)) = self.next_offset() {
            let entry = self.objects.entry(self.header.seqnum_id, offset, &mut self.items);
            match entry {
                // It is read again later: by then a list may have an entry before it.
                Ok(cursor) if cursor.seqnum > bound => return None,
                Ok(cursor) if self.is_wanted(&cursor) => {
                    self.next = Some((cursor, offset));
                    return Some(cursor);
                }
                Ok(_) => self.behind = offset,
                Err(error) => {
                    // Not `behind`: a damaged list may point anywhere.
                    self.fault.get_or_insert(error);
                    self.lists[place].list.pop();
                }
            }
        }
        None
    }

    fn read(&mut self, fields: &mut EntryFields) -> bool {
        let read = field_reader::read(&self.objects, &self.items, &mut self.unwanted, fields);
        if let Some(fault) = read.fault {
            self.fault.get_or_insert(fault);
        }
        read.usable
    }

    fn advance(&mut self) {
        if let Some((_, offset)) = self.next.take() {
            self.behind = offset;
        }
    }

    fn locate(&mut self, entry: &Cursor) -> Option<u64> {
        let mut list = self.list(self.all_entries(), Origin::Since(entry.realtime));
        for _ in 0..MAX_ALIKE {
            let offset = list.peek(&self.objects).ok().flatten()?;
            list.pop();
            let Ok(found) = self.objects.entry_cursor(self.header.seqnum_id, offset) else { continue };
            if found.is_copy_of(entry) {
                return Some(found.seqnum);
            }
            if found.realtime > entry.realtime {
                break;
            }
        }
        None
    }

    fn gave_up(&mut self, entry: &Cursor) -> bool {
        if self.header.seqnum_id != entry.seqnum_id {
            return false;
        }
        let Some(last) = self.last_entry() else { return false };
        let mut items = Vec::new();
        let found = self.objects.entry(self.header.seqnum_id, last, &mut items);
        // journald links an entry to the lists of its fields last.
        let is_linked = |field: &u64| {
            let entries = self.objects.data_entries(*field)?;
            EntryList::new(entries).last(&self.objects).map(|newest| newest == Some(last))
        };
        found.is_ok_and(|found| found == *entry) && !items.iter().all(|field| is_linked(field).unwrap_or(true))
    }

    fn take_fault(&mut self) -> Option<FileError> {
        self.fault.take()
    }
}

#[cfg(test)]
mod tests;
