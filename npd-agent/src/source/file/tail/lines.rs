//! One open log file, read line by line.
//!
//! No text is kept between two reads. What is known of an unfinished line is where it starts and how far it was
//! searched for its end; when more comes it is read again from its start, or, when it is long, only once its end is
//! found. So a reader costs no memory, one buffer serves all of them, and a line of any length costs twice its
//! reading and not more.
//!
//! Truncation is seen in the size and in the first bytes of the file, which are looked at *after* each read: when
//! they are still there, what was read belongs to them.

use std::{fs::File, io, ops::ControlFlow, time::Instant};

use rustix::{fs::SeekFrom, io::Errno};

use super::{FileMark, MAX_LINE, head::read_at, stat::FileStat};
use crate::path_watch::Home;

/// How much is read at once. Larger is not faster: this much stays in the second level cache.
pub(crate) const CHUNK: usize = 64 << 10;
/// An unfinished line up to this size is read again with what comes behind it.
const NEAR: u64 = CHUNK as u64 / 2;

/// A file that is followed.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    stat: FileStat,
    /// Behind the last line that was delivered.
    pub(crate) mark: FileMark,
    /// Up to here there is no newline behind the mark.
    scanned: u64,
    /// Where it was opened.
    pub(crate) home: Home,
    /// Its inotify watch; without one it is polled.
    pub(crate) watch: Option<i32>,
    /// It was opened again, and what was read of it before is not in it any more.
    pub(crate) refilled: bool,
    /// When there was last something new in it, or its last name went.
    pub(crate) quiet_since: Instant,
    /// When the first of its content was seen.
    pub(crate) content_since: Option<Instant>,
    /// The last that was seen of its writers is that one closed it.
    pub(crate) closed: bool,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its newline.
    Newline,
    /// With its newline, but it was longer than [`MAX_LINE`] and what is beyond that was dropped.
    Cut,
    /// With the end of a file that is not written to any more. It may be longer than [`MAX_LINE`] as well.
    EndOfFile,
}

/// Takes the lines: the mark behind each, its text and how it ends.
pub(crate) type Give<'a> = &'a mut dyn FnMut(&FileMark, &[u8], Ending) -> ControlFlow<()>;

/// How far a read came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// To the end of the file.
    End,
    /// The taker of the lines wants no more for now.
    Stopped,
    /// Nowhere: the file does not continue what was read before.
    Truncated,
}

// === impl LogFile ===

impl LogFile {
    /// `file` from its start.
    pub(crate) fn new(file: File, stat: FileStat, home: Home, now: Instant) -> Self {
        Self::resumed(file, stat, home, FileMark::start(&stat), now)
    }

    /// `file` from `mark` on.
    pub(crate) fn resumed(file: File, stat: FileStat, home: Home, mark: FileMark, now: Instant) -> Self {
        Self {
            file,
            stat,
            mark,
            scanned: mark.offset,
            home,
            watch: None,
            refilled: false,
            quiet_since: now,
            content_since: (mark.offset > 0).then_some(now),
            closed: false,
        }
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// What was last seen of it.
    pub(crate) fn stat(&self) -> &FileStat {
        &self.stat
    }

    /// The same file from `mark` on.
    pub(crate) fn at(self, mark: FileMark, now: Instant) -> Self {
        Self::resumed(self.file, self.stat, self.home, mark, now)
    }

    /// Goes back to the start: what was read is gone.
    pub(crate) fn restart(&mut self) {
        self.mark = FileMark::start(&self.stat);
        self.scanned = 0;
        self.refilled = false;
    }

    /// Whether a file that was opened again still has what was read before.
    pub(crate) fn is_intact(&self) -> io::Result<bool> {
        let offset = self.mark.offset;
        if self.stat.size < offset || !self.mark.head.matches(&self.file)? {
            return Ok(false);
        }
        // A line ended there, or NULs before a line, or the whole of a file that nobody writes to any more.
        let mut before = [b'\n'];
        if offset > 0 && offset < self.stat.size {
            read_at(&self.file, &mut before, offset - 1)?;
        }
        Ok(matches!(before[0], b'\n' | 0))
    }

    /// Gives the complete lines that are there now. With `finish` nobody writes to the file any more: gives what
    /// stands behind the last newline as well.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        finish: bool,
        now: Instant,
        give: Give<'_>,
    ) -> io::Result<Progress> {
        let progress = self.read_complete(buffer, now, give)?;
        if !finish || progress != Progress::End || self.mark.offset == self.scanned {
            return Ok(progress);
        }
        Ok(self.give_long(self.scanned, true, give)?.unwrap_or(Progress::End))
    }

    fn read_complete(&mut self, buffer: &mut [u8], now: Instant, give: Give<'_>) -> io::Result<Progress> {
        let had_name = self.stat.links > 0;
        self.stat = FileStat::of(&self.file)?;
        if had_name && self.stat.links == 0 {
            self.quiet_since = now;
        }
        let size = self.stat.size;
        if size < self.scanned || self.refilled {
            return Ok(Progress::Truncated);
        }
        // Up to the size it has now, so that a busy writer does not hold the reader here; inotify tells of the rest.
        loop {
            let near = self.scanned - self.mark.offset <= NEAR;
            let from = if near { self.mark.offset } else { self.scanned };
            // No more than there is, or another system call would ask for the rest.
            let wanted = buffer.len().min(usize::try_from(size - from).unwrap_or(usize::MAX));
            let got = read_at(&self.file, &mut buffer[..wanted], from)?;
            if !self.mark.head.matches(&self.file)? {
                return Ok(Progress::Truncated);
            }
            self.mark.modified = self.mark.modified.max(self.stat.modified);
            let old = (self.scanned - from) as usize;
            if got <= old {
                return Ok(Progress::End);
            }
            self.quiet_since = now;
            self.content_since.get_or_insert(now);
            let chunk = &buffer[..got];
            self.mark.head.extend(chunk, from);
            let over = if near { self.give_lines(chunk, old, give)? } else { self.search_end(chunk, give)? };
            if over.is_some() || self.scanned >= size {
                return Ok(over.unwrap_or(Progress::End));
            }
        }
    }

    /// Gives the lines of `chunk`, which starts where the mark is; its first `old` bytes have no newline.
    fn give_lines(&mut self, chunk: &[u8], old: usize, give: Give<'_>) -> io::Result<Option<Progress>> {
        let from = self.mark.offset;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &chunk[old..]) {
            let line = &chunk[start..old + end];
            start = old + end + 1;
            self.mark.offset = from + start as u64;
            // Set with each line, because any of them may be the last for now.
            self.scanned = self.mark.offset;
            if give(&self.mark, without_leading_nuls(line), Ending::Newline).is_break() {
                return Ok(Some(Progress::Stopped));
            }
        }
        self.scanned = from + chunk.len() as u64;
        let rest = &chunk[start..];
        if rest.first() != Some(&0) {
            return Ok(None);
        }
        match rest.iter().position(|b| *b != 0) {
            Some(nuls) => self.mark.offset += nuls as u64,
            None => return self.skip_nuls(),
        }
        Ok(None)
    }

    /// Behind the mark there is nothing but NULs up to where was scanned. A hole can be of any size, so the file
    /// system is asked where it ends. NULs at the end of the file stay unread: they may be filled in later.
    fn skip_nuls(&mut self) -> io::Result<Option<Progress>> {
        match rustix::fs::seek(&self.file, SeekFrom::Data(self.scanned)) {
            Ok(data) => {
                self.mark.offset = data;
                self.scanned = data;
                Ok(None)
            }
            Err(Errno::NXIO) => {
                self.scanned = self.mark.offset;
                Ok(Some(Progress::End))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks for the end of a long line in `chunk`, which starts where was scanned.
    fn search_end(&mut self, chunk: &[u8], give: Give<'_>) -> io::Result<Option<Progress>> {
        if let Some(end) = memchr::memchr(b'\n', chunk) {
            return self.give_long(self.scanned + end as u64, false, give);
        }
        self.scanned += chunk.len() as u64;
        Ok(None)
    }

    /// Gives the line from the mark to `end`, which is in no buffer.
    fn give_long(&mut self, end: u64, end_of_file: bool, give: Give<'_>) -> io::Result<Option<Progress>> {
        let length = end - self.mark.offset;
        let kept = length.min(MAX_LINE as u64);
        let mut line = vec![0; kept as usize];
        if read_at(&self.file, &mut line, self.mark.offset)? < line.len() || !self.mark.head.matches(&self.file)? {
            return Ok(Some(Progress::Truncated));
        }
        self.mark.offset = end + u64::from(!end_of_file);
        self.scanned = self.mark.offset;
        let ending = match (end_of_file, kept < length) {
            (true, _) => Ending::EndOfFile,
            (false, true) => Ending::Cut,
            (false, false) => Ending::Newline,
        };
        Ok(give(&self.mark, without_leading_nuls(&line), ending).is_break().then_some(Progress::Stopped))
    }
}

/// A writer that does not append leaves a gap of NULs when its file is truncated under it; they are no text.
fn without_leading_nuls(line: &[u8]) -> &[u8] {
    if line.first() != Some(&0) {
        return line;
    }
    &line[line.iter().position(|b| *b != 0).unwrap_or(line.len())..]
}
