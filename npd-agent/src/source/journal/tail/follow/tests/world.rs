//! A journald in memory: its files, what it does with them, and a reader's view of them.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use super::*;

/// The world: files, their entries, and journald's place in it.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) files: Vec<SimulatedFile>,
    /// The files that journald writes to: the system's and a user's, in /run or in /var.
    system: Option<usize>,
    user: Option<usize>,
    is_flushed: bool,
    /// How many entries of /run have been copied; `None` when no flush is going on.
    copied: Option<usize>,
    seqnum: u64,
    written: u64,
    /// An entry that has its number but is not to be seen yet.
    unpublished: Option<(usize, SimulatedEntry)>,
    pub(super) changes: Changes,
    /// What journald does while the reader reads, one thing a call.
    pub(super) meanwhile: Vec<Op>,
    pub(super) delivered: Vec<u64>,
    pub(super) lost: BTreeSet<u64>,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(super) struct SimulatedFile {
    found: Found,
    id: u128,
    seqnum_id: u128,
    pub(super) tail: u64,
    pub(super) entries: Vec<SimulatedEntry>,
    pub(super) archived: bool,
    pub(super) is_ready: bool,
    pub(super) is_linked: bool,
    handles: usize,
    gave_up: bool,
    /// Something in it is damaged, again and again.
    pub(super) is_damaged: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SimulatedEntry {
    pub(super) cursor: Cursor,
    pub(super) number: u64,
    pub(super) wanted: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Write {
        user: bool,
        wanted: bool,
    },
    Publish,
    Rotate,
    /// Writes an entry that does not fit into its file to the end.
    Overflow,
    /// Deletes the oldest archived file.
    Vacuum,
    /// Copies so many entries from /run to /var.
    FlushSome(usize),
    FlushEnd,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Simulation(pub(super) Rc<RefCell<World>>);

#[derive(Debug)]
pub(super) struct Handle {
    world: Simulation,
    file: usize,
    place: usize,
    seen: usize,
    origin: Origin,
}

// === impl World ===

impl World {
    fn create(&mut self, runtime: bool, name: &str) -> usize {
        let taken =
            |inode| self.files.iter().any(|file| file.found.key.inode == inode && (file.is_linked || file.handles > 0));
        // As ext4 does, the number of a file that is gone is given again.
        let inode = (1..1000).find(|inode| !taken(*inode)).unwrap();
        let folder = if runtime { "/run" } else { "/var" };
        let found = Found {
            key: FileKey { device: runtime.into(), inode },
            path: PathBuf::from(format!("{folder}/{name}.journal")),
            runtime,
            stamp: (0, 0),
        };
        self.changes = Changes::Names;
        let seqnum_id = if runtime { 1 } else { 2 };
        // A new file goes on with the numbers of the one before.
        let tail = self.files.iter().filter(|file| file.seqnum_id == seqnum_id).map(|file| file.tail).max();
        self.files.push(SimulatedFile {
            found,
            id: self.files.len() as u128 + 100,
            seqnum_id,
            tail: tail.unwrap_or(0),
            entries: Vec::new(),
            archived: false,
            is_ready: false,
            is_linked: true,
            handles: 0,
            gave_up: false,
            is_damaged: false,
        });
        self.files.len() - 1
    }

    /// The file to write to.
    pub(super) fn active(&mut self, user: bool) -> usize {
        let runtime = !self.is_flushed && self.copied.is_none();
        let (slot, name) = if user { (self.user, "user") } else { (self.system, "system") };
        let file = slot.unwrap_or_else(|| self.create(runtime, name));
        *(if user { &mut self.user } else { &mut self.system }) = Some(file);
        file
    }

    pub(super) fn append(&mut self, file: usize, mut entry: SimulatedEntry, shared: bool) {
        let of = &mut self.files[file];
        let seqnum = if shared { self.seqnum.max(of.tail) + 1 } else { of.tail + 1 };
        of.tail = seqnum;
        if shared {
            self.seqnum = seqnum;
        }
        entry.cursor.seqnum = seqnum;
        entry.cursor.seqnum_id = of.seqnum_id;
        self.unpublished = Some((file, entry));
    }

    fn publish(&mut self) {
        if let Some((file, entry)) = self.unpublished.take() {
            self.files[file].is_ready = true;
            self.files[file].entries.push(entry);
            self.tell();
        }
    }

    pub(super) fn tell(&mut self) {
        self.changes = self.changes.max(Changes::Content);
    }

    fn new_entry(&mut self, wanted: bool) -> SimulatedEntry {
        self.written += 1;
        let (number, at) = (self.written, self.written * 10);
        let cursor =
            Cursor { seqnum_id: 0, seqnum: 0, boot_id: 5, monotonic: at, realtime: at + 1000, xor_hash: number };
        SimulatedEntry { cursor, number, wanted }
    }

    fn rotate(&mut self) {
        for file in [self.system.take(), self.user.take()].into_iter().flatten() {
            let name = format!("{}@{file}", self.files[file].found.path.display());
            self.files[file].found.path = name.into();
            self.files[file].archived = true;
            self.changes = Changes::Names;
        }
    }

    fn unlink(&mut self, file: usize) {
        self.files[file].is_linked = false;
        self.changes = Changes::Names;
        self.note_losses();
    }

    /// What no file has any more, and no open one either, cannot be given.
    fn note_losses(&mut self) {
        let there: BTreeSet<_> = self
            .files
            .iter()
            .filter(|file| file.is_linked || file.handles > 0)
            .flat_map(|file| file.entries.iter().map(|entry| entry.number))
            .chain(self.unpublished.iter().map(|(_, entry)| entry.number))
            .collect();
        self.lost.extend((1..=self.written).filter(|number| !there.contains(number)));
    }

    fn runtime_entries(&self) -> Vec<SimulatedEntry> {
        let files = self.files.iter().filter(|file| file.found.runtime && file.is_linked);
        let mut entries: Vec<_> = files.flat_map(|file| file.entries.iter().copied()).collect();
        entries.sort_by_key(|entry| (entry.number, entry.cursor.seqnum));
        entries.dedup_by_key(|entry| entry.number);
        entries
    }

    pub(super) fn act(&mut self, op: Op) {
        self.publish();
        match op {
            Op::Write { user, wanted } if self.copied.is_none() => {
                let (file, entry) = (self.active(user), self.new_entry(wanted));
                self.append(file, entry, true);
            }
            Op::Rotate => self.rotate(),
            Op::Overflow if self.copied.is_none() => {
                let (file, entry) = (self.active(false), self.new_entry(true));
                self.append(file, entry, true);
                self.publish();
                self.files[file].gave_up = true;
                self.rotate();
                let file = self.active(false);
                self.append(file, entry, true);
            }
            Op::Vacuum => {
                // Without the file nobody can tell an entry that was given up from the same line once more.
                let is_oldest = |file: &SimulatedFile| file.archived && file.is_linked && !file.gave_up;
                let oldest = self.files.iter().position(is_oldest);
                if let Some(file) = oldest {
                    self.unlink(file);
                }
            }
            Op::FlushSome(count) if !self.is_flushed => {
                if self.copied.is_none() {
                    (self.system, self.user, self.copied) = (None, None, Some(0));
                }
                let from = self.copied.unwrap();
                let entries = self.runtime_entries();
                for entry in entries.iter().skip(from).take(count) {
                    let file = self.active(false);
                    self.append(file, *entry, false);
                    self.publish();
                }
                self.copied = Some(entries.len().min(from + count));
            }
            Op::FlushEnd if self.copied.is_some() => {
                self.act(Op::FlushSome(usize::MAX / 2));
                (self.copied, self.is_flushed) = (None, true);
                for file in 0..self.files.len() {
                    if self.files[file].found.runtime {
                        self.unlink(file);
                    }
                }
            }
            Op::Publish | Op::Write { .. } | Op::Overflow | Op::FlushSome(_) | Op::FlushEnd => {}
        }
    }
}

// === impl Simulation ===

impl Simulation {
    pub(super) fn act(&self, op: Op) {
        self.0.borrow_mut().act(op);
    }

    /// A call of the reader: journald does something before it.
    fn meanwhile(&self) {
        let op = self.0.borrow_mut().meanwhile.pop();
        if let Some(op) = op {
            self.act(op);
        }
    }

    pub(super) fn read(&self, follow: &mut Follow<Self>, most: usize) -> bool {
        let mut given = 0;
        let outcome = follow.read(Monotonic::default(), &mut |entry| {
            let number = std::str::from_utf8(entry.message).unwrap().parse().unwrap();
            self.0.borrow_mut().delivered.push(number);
            given += 1;
            if given == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(outcome.entries, given);
        outcome.more
    }
}

impl JournalFolders for Simulation {
    type File = Handle;

    fn changes(&mut self) -> Changes {
        self.meanwhile();
        std::mem::replace(&mut self.0.borrow_mut().changes, Changes::None)
    }

    fn list(&mut self) -> Vec<Found> {
        self.meanwhile();
        self.0.borrow().files.iter().filter(|file| file.is_linked).map(|file| file.found.clone()).collect()
    }

    fn open(&mut self, found: &Found) -> Result<Handle, FileError> {
        self.meanwhile();
        let mut world = self.0.borrow_mut();
        let file = world.files.iter().position(|file| file.is_linked && file.found.path == found.path);
        // Another file may have the name by now.
        let file = file.filter(|file| world.files[*file].found.key == found.key).ok_or(FileError::Moved)?;
        if !world.files[file].is_ready {
            return Err(FileError::Incomplete);
        }
        world.files[file].handles += 1;
        drop(world);
        Ok(Handle { world: self.clone(), file, place: 0, seen: 0, origin: Origin::Since(0) })
    }

    fn is_waiting(&self) -> bool {
        false
    }
}

// === impl Handle ===

impl Handle {
    fn with<T>(&self, get: impl FnOnce(&SimulatedFile) -> T) -> T {
        get(&self.world.0.borrow().files[self.file])
    }
}

impl JournalFile for Handle {
    fn id(&self) -> u128 {
        self.with(|file| file.id)
    }

    fn tail(&mut self) -> Tail {
        self.world.meanwhile();
        self.with(|file| Tail { seqnum_id: file.seqnum_id, seqnum: file.tail, archived: file.archived })
    }

    fn begin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    fn refresh(&mut self) {
        self.world.meanwhile();
        self.seen = self.with(|file| file.entries.len());
    }

    fn peek(&mut self, bound: u64) -> Option<Cursor> {
        while self.place < self.seen {
            let entry = self.with(|file| file.entries[self.place]);
            if entry.cursor.seqnum > bound {
                return None;
            }
            if entry.wanted && self.origin.admits(&entry.cursor) {
                return Some(entry.cursor);
            }
            self.place += 1;
        }
        None
    }

    fn read(&mut self, fields: &mut EntryFields) -> bool {
        fields.clear();
        fields.message.extend_from_slice(self.with(|file| file.entries[self.place].number).to_string().as_bytes());
        true
    }

    fn advance(&mut self) {
        self.place += 1;
    }

    fn locate(&mut self, entry: &Cursor) -> Option<u64> {
        self.with(|file| file.entries.iter().find(|own| own.cursor.is_copy_of(entry)).map(|own| own.cursor.seqnum))
    }

    fn gave_up(&mut self, entry: &Cursor) -> bool {
        self.with(|file| file.gave_up && file.entries.last().is_some_and(|last| last.cursor == *entry))
    }

    fn take_fault(&mut self) -> Option<FileError> {
        self.with(|file| file.is_damaged).then_some(FileError::Xz)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut world = self.world.0.borrow_mut();
        world.files[self.file].handles -= 1;
        world.note_losses();
    }
}
