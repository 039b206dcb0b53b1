//! Following a set of journal files: which ones are open, which one has the next entry, what has been delivered.
//!
//! * Each file has its own position, so that no file's entry is lost because another's was seen first.
//! * Entries are delivered in the order of their numbers. journald is one thread and finishes an entry before it starts
//!   the next one, in whichever file. So the newest number of all files is read first; when the files are read after
//!   that, everything up to this number is there, and later entries are left for the next read. This makes the last
//!   cursor an exact place to resume from.
//! * A file that is deleted or rotated away stays open until its last entry is delivered.
//! * Entries that journald copies from /run to /var are delivered from /run. The copies are recognised by looking them
//!   up in the files in /run. These stay open until a listing of the folders shows that they are gone, and by then the
//!   copying is over.
//! * An entry that did not fit completely into its file is also in the next file, and is delivered once.
//!
//! The files are traits, so that all of this is tested against a simulated journald.

use std::{collections::VecDeque, ops::ControlFlow, path::PathBuf, time::Duration};

use super::{
    Cursor, Entry, ReadOutcome,
    entry_fields::EntryFields,
    file::FileError,
    files::{Changes, FileKey, Found, JournalFile, JournalFolders, Tail},
    origin::Origin,
};
use crate::time::Monotonic;

/// The state of following.
#[derive(Debug)]
pub(super) struct Follow<F: JournalFolders> {
    folders: F,
    origin: Origin,
    files: Vec<Followed<F::File>>,
    /// Files that were read to their end and are still there.
    finished: Vec<Finished>,
    /// Files that disappeared. They may come back, as on a volume that is mounted again.
    gone: VecDeque<Finished>,
    refused: Vec<Refused>,
    position: Option<Cursor>,
    /// An entry of a closed file that was delivered, although journald abandoned it half-way.
    given_up: Option<Cursor>,
    fields: EntryFields,
}

#[derive(Debug)]
struct Followed<F> {
    found: Found,
    file: F,
    /// As it was before the folders were listed.
    tail: Tail,
    /// It is no longer in its folder.
    is_gone: bool,
    warned: bool,
}

#[derive(Clone, Debug)]
struct Finished {
    key: FileKey,
    path: PathBuf,
    id: u128,
    seqnum: u64,
}

/// A file that could not be opened.
#[derive(Debug)]
struct Refused {
    key: FileKey,
    stamp: (u64, i64),
    /// When it was first seen: it may just be being created.
    since: Monotonic,
    warned: bool,
    /// Retrying is useless until it changes.
    is_permanent: bool,
}

/// How many files that disappeared are remembered.
const MAX_GONE: usize = 64;
/// How often in a row the folders are listed for new files before entries are delivered.
const MAX_LOOKS: usize = 8;
/// A file that still has no header after this time is not just being created.
const CREATION: Duration = Duration::from_secs(2);
/// How often a missing folder is looked for: mounting a file system over a folder causes no event.
const MISSING_FOLDER: Duration = Duration::from_secs(30);

// === impl Follow ===

impl<F: JournalFolders> Follow<F> {
    pub(super) fn new(folders: F, origin: Origin) -> Self {
        let position = match origin {
            Origin::After(cursor) => Some(cursor),
            Origin::Since(_) | Origin::Above(_) => None,
        };
        Self {
            folders,
            origin,
            files: Vec::new(),
            finished: Vec::new(),
            gone: VecDeque::new(),
            refused: Vec::new(),
            position,
            given_up: None,
            fields: EntryFields::default(),
        }
    }

    pub(super) fn folders(&self) -> &F {
        &self.folders
    }

    /// The files that are open.
    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    /// The entry to resume after.
    pub(super) fn position(&self) -> Option<Cursor> {
        self.position
    }

    /// When to read even if no event arrives.
    pub(super) fn timeout(&self) -> Option<Duration> {
        if self.refused.iter().any(|refused| !refused.warned) {
            return Some(CREATION);
        }
        self.folders.is_waiting().then_some(MISSING_FOLDER)
    }

    /// Delivers all available entries, oldest first, until `deliver` breaks.
    pub(super) fn read(
        &mut self,
        now: Monotonic,
        deliver: &mut dyn FnMut(&Entry<'_>) -> ControlFlow<()>,
    ) -> ReadOutcome {
        let mut bounds = self.bounds();
        let mut settled = false;
        for _ in 0..MAX_LOOKS {
            // In this order: a file with an entry below the bounds already existed when they were read.
            settled = !self.look(now);
            if settled {
                break;
            }
            bounds = self.bounds();
        }
        for followed in &mut self.files {
            followed.file.refresh();
        }
        let mut outcome = self.deliver(&bounds, deliver);
        outcome.more |= !settled;
        if !outcome.more {
            self.close_read_files();
        }
        for followed in &mut self.files {
            followed.warn();
        }
        outcome
    }

    /// The newest number of each sequence.
    fn bounds(&mut self) -> Vec<(u128, u64)> {
        let mut bounds: Vec<(u128, u64)> = Vec::new();
        for followed in &mut self.files {
            followed.tail = followed.file.tail();
            let Tail { seqnum_id, seqnum, .. } = followed.tail;
            match bounds.iter_mut().find(|(id, _)| *id == seqnum_id) {
                Some((_, bound)) => *bound = seqnum.max(*bound),
                None => bounds.push((seqnum_id, seqnum)),
            }
        }
        bounds
    }

    /// Looks for files that appeared or disappeared. Returns `true` if there were any, so that it must look again.
    fn look(&mut self, now: Monotonic) -> bool {
        let changes = self.folders.changes();
        let being_created = self.refused.iter().any(|refused| !refused.warned);
        let refused = being_created || changes == Changes::Content && !self.refused.is_empty();
        if changes != Changes::Names && !refused && !self.folders.is_waiting() {
            return false;
        }
        let found = self.folders.list();
        let there = |key: FileKey| found.iter().find(|found| found.key == key);
        let mut again = false;
        for followed in &mut self.files {
            let place = there(followed.found.key);
            // Copies that were made of it before it disappeared are above bounds that are older than that.
            again |= place.is_none() && !followed.is_gone;
            followed.is_gone = place.is_none();
            if let Some(place) = place {
                followed.found.path.clone_from(&place.path);
            }
        }
        self.refused.retain(|refused| there(refused.key).is_some());
        let stays = |finished: &Finished| there(finished.key).is_some_and(|found| found.path == finished.path);
        for finished in self.finished.extract_if(.., |finished| !stays(finished)) {
            remember(&mut self.gone, finished);
        }
        for found in found {
            again |= self.open_new(found, now);
        }
        again
    }

    /// Opens a file, unless it is known. Returns `false` if that changed nothing.
    fn open_new(&mut self, found: Found, now: Monotonic) -> bool {
        let key = found.key;
        if self.files.iter().any(|followed| followed.found.key == key)
            || self.finished.iter().any(|finished| finished.key == key)
        {
            return false;
        }
        let refused = self.refused.iter().position(|refused| refused.key == key);
        if refused.is_some_and(|at| self.refused[at].is_final(&found)) {
            return false;
        }
        let error = match self.folders.open(&found) {
            Err(FileError::Moved) => return true,
            Err(error) => error,
            Ok(file) if self.is_followed(file.id()) => FileError::Copy,
            Ok(file) => {
                self.follow(found, file);
                if let Some(at) = refused {
                    self.refused.swap_remove(at);
                }
                return true;
            }
        };
        let new = Refused { key, stamp: found.stamp, since: now, warned: false, is_permanent: false };
        let at = refused.unwrap_or_else(|| {
            self.refused.push(new);
            self.refused.len() - 1
        });
        let refused = &mut self.refused[at];
        refused.stamp = found.stamp;
        // The system may allow it later: for example, there may be no free file descriptor now.
        refused.is_permanent = !matches!(error, FileError::Read(_));
        let may_be_new = matches!(error, FileError::Incomplete) && now.since(refused.since) < CREATION;
        if !refused.warned && !may_be_new {
            refused.warned = true;
            warn(&found, &error, "skipping a journal file");
        }
        false
    }

    fn is_followed(&self, id: u128) -> bool {
        self.files.iter().any(|followed| followed.file.id() == id) || self.finished.iter().any(|file| file.id == id)
    }

    fn follow(&mut self, found: Found, mut file: F::File) {
        let tail = file.tail();
        let before = self.gone.iter().position(|gone| gone.id == file.id()).and_then(|at| self.gone.remove(at));
        let origin = match (before, &self.origin) {
            (Some(before), _) => Origin::Above(before.seqnum),
            // Its number is different here, and there may be lines of the same microsecond before and after it.
            (None, Origin::After(cursor)) if cursor.seqnum_id != tail.seqnum_id => {
                file.locate(cursor).map_or(self.origin, Origin::Above)
            }
            (None, origin) => *origin,
        };
        file.begin(origin);
        self.files.push(Followed { found, file, tail, is_gone: false, warned: false });
    }

    fn deliver(
        &mut self,
        bounds: &[(u128, u64)],
        deliver: &mut dyn FnMut(&Entry<'_>) -> ControlFlow<()>,
    ) -> ReadOutcome {
        let mut outcome = ReadOutcome::default();
        while let Some((at, cursor)) = self.next(bounds) {
            let given = !self.is_delivered_elsewhere(at, &cursor) && self.files[at].file.read(&mut self.fields);
            self.files[at].file.advance();
            if !given {
                continue;
            }
            let goes_back = |last: &Cursor| last.seqnum_id == cursor.seqnum_id && last.seqnum > cursor.seqnum;
            if !self.position.as_ref().is_some_and(goes_back) {
                self.position = Some(cursor);
            }
            outcome.entries += 1;
            if deliver(&self.fields.entry(cursor)).is_break() {
                outcome.more = true;
                break;
            }
        }
        outcome
    }

    /// Whether the next entry of a file is delivered from another file.
    fn is_delivered_elsewhere(&mut self, at: usize, cursor: &Cursor) -> bool {
        let is_runtime = self.files[at].found.runtime;
        if !is_runtime && self.files.iter_mut().any(|other| other.found.runtime && other.file.locate(cursor).is_some())
        {
            return true;
        }
        let last = self.position.filter(|last| cursor.is_copy_of(last));
        last.is_some_and(|last| {
            let mut others = self.files.iter_mut().enumerate().filter(|(other, _)| *other != at);
            self.given_up == Some(last) || others.any(|(_, other)| other.file.gave_up(&last))
        })
    }

    /// The file with the next entry.
    fn next(&mut self, bounds: &[(u128, u64)]) -> Option<(usize, Cursor)> {
        let mut next: Option<(usize, Cursor)> = None;
        for (at, followed) in self.files.iter_mut().enumerate() {
            let Tail { seqnum_id, archived, .. } = followed.tail;
            let bound = bounds.iter().find(|(id, _)| *id == seqnum_id).map(|(_, bound)| *bound);
            // An archived file is complete, whatever a damaged header says.
            let Some(bound) = bound.max(archived.then_some(u64::MAX)) else { continue };
            let Some(cursor) = followed.file.peek(bound) else { continue };
            if next.is_none_or(|(_, least)| cursor.order(&least).is_lt()) {
                next = Some((at, cursor));
            }
        }
        next
    }

    /// Closes files that were read to their end and will not grow. Files in /run stay open to look up copies in them.
    fn close_read_files(&mut self) {
        let done =
            |followed: &mut Followed<F::File>| followed.is_gone || followed.tail.archived && !followed.found.runtime;
        for mut followed in self.files.extract_if(.., done) {
            followed.warn();
            self.given_up = self.position.filter(|last| followed.file.gave_up(last)).or(self.given_up);
            let Found { key, path, .. } = followed.found;
            let finished = Finished { key, path, id: followed.file.id(), seqnum: followed.tail.seqnum };
            if followed.is_gone {
                remember(&mut self.gone, finished);
            } else {
                self.finished.push(finished);
            }
        }
    }
}

fn remember(gone: &mut VecDeque<Finished>, file: Finished) {
    if gone.len() == MAX_GONE {
        gone.pop_front();
    }
    gone.push_back(file);
}

fn warn(found: &Found, error: &FileError, what: &'static str) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(path = %found.path.display(), error, "{what}");
}

// === impl Refused ===

impl Refused {
    fn is_final(&self, found: &Found) -> bool {
        self.warned && self.is_permanent && self.stamp == found.stamp
    }
}

// === impl Followed ===

impl<F: JournalFile> Followed<F> {
    /// Logs the first fault of a file.
    fn warn(&mut self) {
        if let Some(error) = self.file.take_fault()
            && !self.warned
        {
            self.warned = true;
            warn(&self.found, &error, "a journal file is damaged: skipping what cannot be read");
        }
    }
}

#[cfg(test)]
mod tests;
