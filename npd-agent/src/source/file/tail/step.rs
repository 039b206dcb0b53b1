//! The steps of a read: first the open files are read to their ends, then the path is checked.
//!
//! A step that changes which files are open is followed by another one. So what was written to a file between its last
//! read and the discovery of its successor is read before the successor.

use std::{io, ops::ControlFlow, time::Instant};

use super::{
    FilePosition, FileState, FileTail, FileTailError, Line, Origin, ReadOutcome, generation,
    lines::{Ending, LogFile, Progress},
    stat::FileStat,
    watch::Role,
};
use crate::{path_watch::Home, record::file_position::FileMark};

/// Receives the lines of a read.
pub(crate) type Take<'a> = &'a mut dyn FnMut(&Line<'_>) -> ControlFlow<()>;

/// What remains to be done after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The open files have changed: do another step.
    Again,
    /// Everything has been read.
    Done,
    /// The callback broke off.
    Stopped,
}

/// Maximum number of steps in one read.
const MAX_STEPS: usize = 256;

// === impl FileTail ===

impl FileTail {
    /// Reads until everything has been read. Returns `true` if there is more.
    pub(crate) fn steps(
        &mut self,
        now: Instant,
        take: Take<'_>,
        outcome: &mut ReadOutcome,
    ) -> Result<bool, FileTailError> {
        for _ in 0..MAX_STEPS {
            match self.step(now, take, outcome)? {
                Step::Again => {}
                Step::Done => return Ok(false),
                Step::Stopped => return Ok(true),
            }
        }
        Ok(true)
    }

    fn step(&mut self, now: Instant, take: Take<'_>, outcome: &mut ReadOutcome) -> Result<Step, FileTailError> {
        if self.read_predecessor(now, false, take, outcome) == Step::Stopped {
            return Ok(Step::Stopped);
        }
        let is_over = self.predecessor_ends().is_some_and(|end| end <= now);
        if is_over && self.read_predecessor(now, true, take, outcome) == Step::Stopped {
            return Ok(Step::Stopped);
        }
        let failed = match self.read_current(now, false, take) {
            Ok(Progress::End) => None,
            Ok(Progress::Stopped) => return Ok(Step::Stopped),
            Ok(Progress::Truncated) => {
                if self.read_predecessor(now, true, take, outcome) == Step::Stopped {
                    return Ok(Step::Stopped);
                }
                self.restart_current(now, outcome);
                return Ok(Step::Again);
            }
            // It may have been moved away, and its successor may be fine.
            Err(source) => Some(FileTailError::Read { path: self.path.clone(), source }),
        };
        let there = match FileStat::at(&self.path) {
            Ok(there) => there,
            Err(error) if is_missing(&error) => {
                let step = self.missing(now, take, outcome);
                return failed.filter(|_| step == Step::Done).map_or(Ok(step), Err);
            }
            Err(source) => return Err(FileTailError::Open { path: self.path.clone(), source }),
        };
        if self.current.as_ref().is_some_and(|current| current.stat().is(&there)) {
            self.state = FileState::Following;
            return failed.map_or(Ok(Step::Done), Err);
        }
        if self.predecessor.as_ref().is_some_and(|predecessor| predecessor.stat().is(&there)) {
            // The rotation was undone.
            std::mem::swap(&mut self.current, &mut self.predecessor);
            self.watch_files();
            return Ok(Step::Again);
        }
        if !there.regular {
            return Err(FileTailError::NotRegular { path: self.path.clone() });
        }
        self.advance(now, take, outcome)
    }

    /// There is nothing at the path. The file may have been moved, before or during this run, or deleted.
    fn missing(&mut self, now: Instant, take: Take<'_>, outcome: &mut ReadOutcome) -> Step {
        self.state = FileState::Missing;
        if let (None, Origin::Resume(FilePosition { file: Some(mark), .. }), Some(home)) =
            (&self.current, self.origin, &self.home)
            && let Some(found) = home.find(&mark, now)
        {
            self.resume(found, now, outcome);
            return Step::Again;
        }
        if self.deleted_ends().is_none_or(|end| end > now) {
            return Step::Done;
        }
        if self.read_predecessor(now, true, take, outcome) == Step::Stopped {
            return Step::Stopped;
        }
        match self.read_current(now, true, take) {
            Ok(Progress::Stopped) => return Step::Stopped,
            Ok(Progress::End | Progress::Truncated) => {}
            Err(error) => self.lose(Some(&error), "cannot read the rest of a deleted log file", outcome),
        }
        self.origin = Origin::After(self.position());
        let current = self.current.take();
        self.forget(current);
        Step::Done
    }

    /// The path has another file than the current one, which was read to its end: moves on to the next.
    fn advance(&mut self, now: Instant, take: Take<'_>, outcome: &mut ReadOutcome) -> Result<Step, FileTailError> {
        self.home = self.watch.resolve(&self.path);
        let Some(home) = self.home.clone() else { return Ok(Step::Done) };
        let (file, stat) = match generation::open(&self.path) {
            Ok(opened) => opened,
            // Gone again: the next step finds out.
            Err(error) if is_missing(&error) => return Ok(Step::Again),
            Err(source) => return Err(FileTailError::Open { path: self.path.clone(), source }),
        };
        if !stat.regular {
            return Err(FileTailError::NotRegular { path: self.path.clone() });
        }
        if self.read_predecessor(now, true, take, outcome) == Step::Stopped {
            return Ok(Step::Stopped);
        }
        let newest = LogFile::new(file, stat, home.clone(), now);
        let next = match (&self.current, self.origin) {
            // First where it was opened: a symlink may lead to another folder or name now.
            (Some(current), _) => {
                let between = |home: &Home| home.next_after(&current.mark, &stat, now);
                between(&current.home).or_else(|| between(&home))
            }
            (None, Origin::Resume(FilePosition { file: Some(mark), .. })) if mark.names(&stat) => {
                self.resume(newest.at(mark, now), now, outcome);
                return Ok(Step::Again);
            }
            (None, Origin::Resume(FilePosition { file: Some(mark), predecessor })) => {
                if let Some(found) = home.find(&mark, now) {
                    self.resume(found, now, outcome);
                    return Ok(Step::Again);
                }
                self.lose(None, "a log file is gone; it may not have been read completely", outcome);
                self.resume_predecessor(predecessor, now, outcome);
                home.next_after(&mark, &stat, now)
            }
            (None, Origin::After(FilePosition { file: Some(mark), .. })) => home.next_after(&mark, &stat, now),
            (None, _) => None,
        };
        // The predecessor of an earlier run may have been moved back.
        let next = next.or_else(|| self.predecessor.take_if(|known| known.stat().is(&stat)));
        if let Some(previous) = self.current.replace(next.unwrap_or(newest)) {
            self.predecessor = Some(previous);
            outcome.rotations += 1;
        }
        self.watch_files();
        Ok(Step::Again)
    }

    /// Resumes in the file of an earlier run.
    fn resume(&mut self, mut found: LogFile, now: Instant, outcome: &mut ReadOutcome) {
        // If the file cannot be read, the next read reports it.
        found.refilled = !found.is_intact().unwrap_or(true);
        let predecessor = self.position().predecessor;
        self.current = Some(found);
        self.resume_predecessor(predecessor, now, outcome);
        self.watch_files();
    }

    fn resume_predecessor(&mut self, mark: Option<FileMark>, now: Instant, outcome: &mut ReadOutcome) {
        let (Some(mark), Some(home)) = (mark, &self.home) else { return };
        self.predecessor = home.find(&mark, now);
        if self.predecessor.is_none() {
            self.lose(None, "a log file that was moved away is gone; it may not have been read completely", outcome);
        }
    }

    /// The text that was read from the current file is gone: reads its copy, if any, to the end, and the file from its
    /// start.
    fn restart_current(&mut self, now: Instant, outcome: &mut ReadOutcome) {
        let Some(current) = &mut self.current else { return };
        let (mark, while_away) = (current.mark, current.refilled);
        tracing::info!(path = %self.path.display(), offset = mark.offset, "a log file was truncated");
        outcome.truncations += 1;
        current.restart();
        self.predecessor = current.home.copy_of(&mark, now);
        if let Some(copy) = &mut self.predecessor {
            // logrotate made it and has finished.
            copy.closed = true;
        } else if while_away {
            self.lose(None, "a log file was truncated or replaced while it was not being read", outcome);
        }
        self.watch_files();
    }

    /// Reads the file that was at the path before. With `finish`, this is the last read of it.
    fn read_predecessor(&mut self, now: Instant, finish: bool, take: Take<'_>, outcome: &mut ReadOutcome) -> Step {
        let Some(predecessor) = &mut self.predecessor else { return Step::Done };
        let other = self.current.as_ref().map(|current| current.mark);
        let mut give = |mark: &FileMark, text: &[u8], ending: Ending| {
            take(&Line { text, ending, mark, other: other.as_ref(), current: false })
        };
        match predecessor.read(&mut self.buffer, finish, now, &mut give) {
            Ok(Progress::Stopped) => return Step::Stopped,
            Ok(Progress::End) if !finish => return Step::Done,
            Ok(Progress::End) => {}
            Ok(Progress::Truncated) => self.lose(None, "a log file that was moved away was truncated", outcome),
            Err(error) => self.lose(Some(&error), "cannot read a log file that was moved away", outcome),
        }
        let predecessor = self.predecessor.take();
        self.forget(predecessor);
        Step::Done
    }

    fn read_current(&mut self, now: Instant, finish: bool, take: Take<'_>) -> io::Result<Progress> {
        let Some(current) = &mut self.current else { return Ok(Progress::End) };
        let other = self.predecessor.as_ref().map(|predecessor| predecessor.mark);
        let mut give = |mark: &FileMark, text: &[u8], ending: Ending| {
            take(&Line { text, ending, mark, other: other.as_ref(), current: true })
        };
        current.read(&mut self.buffer, finish, now, &mut give)
    }

    /// Sets the watches of the open files, or updates them if the files have changed roles.
    pub(crate) fn watch_files(&mut self) {
        for (file, role) in [(&mut self.predecessor, Role::Predecessor), (&mut self.current, Role::Current)] {
            if let Some(file) = file {
                file.watch = self.watch.watch_file(file.file(), role);
            }
        }
    }

    /// Closes a file and removes its watch, which would outlive it.
    fn forget(&self, file: Option<LogFile>) {
        if let Some(watch) = file.and_then(|file| file.watch) {
            self.watch.forget(watch);
        }
    }

    /// Records and logs that lines may be lost.
    fn lose(&self, error: Option<&io::Error>, what: &str, outcome: &mut ReadOutcome) {
        outcome.lost = true;
        let error = error.map(tracing::field::display);
        tracing::warn!(path = %self.path.display(), error, "{what}");
    }
}

/// Whether a path has nothing, as opposed to something that cannot be opened.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
