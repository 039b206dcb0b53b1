//! One open log file, read line by line.
//!
//! No text is kept between two reads. For an unfinished line the reader remembers where it starts and how far it was
//! searched for its end. When more text arrives, the line is read again from its start, or, if it is long, only once
//! its end is found. So a reader costs no memory, one buffer serves all of them, and a line of any length is read at
//! most twice.
//!
//! Truncation is detected by the size and the first bytes of the file, which are checked *after* each read: if they are
//! unchanged, what was read belongs to them.

use std::{fs::File, io, ops::ControlFlow, time::Instant};

use rustix::{fs::SeekFrom, io::Errno};

use super::{FileMark, MAX_LINE, head::read_at, stat::FileStat};
use crate::path_watch::Home;

/// How much is read at once. Larger is not faster: this much stays in the second level cache.
pub(crate) const CHUNK: usize = 64 << 10;
/// An unfinished line up to this size is read again together with the text after it.
const NEAR: u64 = CHUNK as u64 / 2;

/// A file that is being followed.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    stat: FileStat,
    /// The position after the last delivered line.
    pub(crate) mark: FileMark,
    /// There is no newline between the mark and here.
    scanned: u64,
    /// Where it was opened.
    pub(crate) home: Home,
    /// Its inotify watch; if `None`, the file is polled.
    pub(crate) watch: Option<i32>,
    /// It was opened again, and the text that was read before is no longer in it.
    pub(crate) refilled: bool,
    /// When it last got new text, or lost its last name.
    pub(crate) quiet_since: Instant,
    /// When its first content was seen.
    pub(crate) content_since: Option<Instant>,
    /// The last event of its writers is that one closed it.
    pub(crate) closed: bool,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With its newline.
    Newline,
    /// With its newline, but it was longer than [`MAX_LINE`] and the rest was dropped.
    Cut,
    /// With the end of a file that is no longer written to. It may be longer than [`MAX_LINE`] as well.
    EndOfFile,
}

/// Receives the lines: the mark after each, its text and how it ends.
pub(crate) type Give<'a> = &'a mut dyn FnMut(&FileMark, &[u8], Ending) -> ControlFlow<()>;

/// How far a read got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// To the end of the file.
    End,
    /// The callback broke off.
    Stopped,
    /// The file does not continue what was read before.
    Truncated,
}

// === impl LogFile ===

impl LogFile {
    /// Reads `file` from its start.
    pub(crate) fn new(file: File, stat: FileStat, home: Home, now: Instant) -> Self {
        Self::resumed(file, stat, home, FileMark::start(&stat), now)
    }

    /// Reads `file` from `mark` on.
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

    /// Its metadata, as last read.
    pub(crate) fn stat(&self) -> &FileStat {
        &self.stat
    }

    /// Reads the same file from `mark` on.
    pub(crate) fn at(self, mark: FileMark, now: Instant) -> Self {
        Self::resumed(self.file, self.stat, self.home, mark, now)
    }

    /// Goes back to the start: what was read is gone.
    pub(crate) fn restart(&mut self) {
        self.mark = FileMark::start(&self.stat);
        self.scanned = 0;
        self.refilled = false;
    }

    /// Whether a file that was opened again still has the text that was read before.
    pub(crate) fn is_intact(&self) -> io::Result<bool> {
        let offset = self.mark.offset;
        if self.stat.size < offset || !self.mark.head.matches(&self.file)? {
            return Ok(false);
        }
        // There a line ended, or NULs before a line, or a whole file that is no longer written to.
        let mut before = [b'\n'];
        if offset > 0 && offset < self.stat.size {
            read_at(&self.file, &mut before, offset - 1)?;
        }
        Ok(matches!(before[0], b'\n' | 0))
    }

    /// Delivers all complete lines. With `finish`, for a file that is no longer written to, also delivers the text
    /// after the last newline.
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
        // Only up to its current size, so that a busy writer does not hold the reader here; inotify announces the rest.
        loop {
            let near = self.scanned - self.mark.offset <= NEAR;
            let from = if near { self.mark.offset } else { self.scanned };
            // Not more than there is, or read_at would make another system call for the rest.
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

    /// Delivers the lines of `chunk`, which starts at the mark; its first `old` bytes have no newline.
    fn give_lines(&mut self, chunk: &[u8], old: usize, give: Give<'_>) -> io::Result<Option<Progress>> {
        let from = self.mark.offset;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &chunk[old..]) {
            let line = &chunk[start..old + end];
            start = old + end + 1;
            self.mark.offset = from + start as u64;
            // Set for each line, because the callback may break after any of them.
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

    /// There are only NULs between the mark and the scanned position. A hole can have any size, so the file system is
    /// asked where it ends. NULs at the end of the file stay unread: they may be filled in later.
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

    /// Looks for the end of a long line in `chunk`, which starts at the scanned position.
    fn search_end(&mut self, chunk: &[u8], give: Give<'_>) -> io::Result<Option<Progress>> {
        if let Some(end) = memchr::memchr(b'\n', chunk) {
            return self.give_long(self.scanned + end as u64, false, give);
        }
        self.scanned += chunk.len() as u64;
        Ok(None)
    }

    /// Delivers the line from the mark to `end`, which is not in a buffer.
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

/// If a file is truncated under a writer that does not append, it gets a gap of NULs, which are not text.
fn without_leading_nuls(line: &[u8]) -> &[u8] {
    if line.first() != Some(&0) {
        return line;
    }
    &line[line.iter().position(|b| *b != 0).unwrap_or(line.len())..]
}
