//! The files next to a log file that were once at its path: `app.log.1`, `app.log-20240131`, `app-2024-01-31.log`.
//!
//! Names show which files can be generations of a log, times show their order. A file that was at the path between two
//! others was created after the first and before the second, and was written to after the last write to the first.
//! The latter excludes the copies left by `copytruncate`, which were read completely long ago. Compressed generations
//! are not read: logrotate compresses a file one rotation later (`delaycompress`), or right away, and then the text
//! must have been read before.

use std::{
    ffi::OsStr,
    fs::{DirEntry, File, OpenOptions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirEntryExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::Instant,
};

use rustix::fs::OFlags;

use super::{lines::LogFile, stat::FileStat};
use crate::{path_watch::Home, record::file_position::FileMark};

/// Opens a regular file for reading; a FIFO or a terminal at the path does no harm.
pub(crate) fn open(path: &Path) -> io::Result<(File, FileStat)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)?;
    let stat = FileStat::of(&file)?;
    Ok((file, stat))
}

/// Whether `name` can be the name of a generation of the log `log`.
fn is_generation(log: &OsStr, name: &OsStr) -> bool {
    let (log, name) = (log.as_bytes(), name.as_bytes());
    if let Some(suffix) = name.strip_prefix(log)
        && is_generation_mark(suffix)
    {
        return true;
    }
    // `app-20240131.log`, `app.1.log`: the mark is before the extension.
    let Some(dot) = log.iter().rposition(|b| *b == b'.') else { return false };
    let (stem, extension) = log.split_at(dot);
    name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(extension)).is_some_and(is_generation_mark)
}

/// A separator, then a number or a date, or one of a few words.
fn is_generation_mark(mark: &[u8]) -> bool {
    let [b'.' | b'-' | b'_' | b'~', mark @ ..] = mark else { return false };
    let is_date = |b: &u8| b.is_ascii_digit() || b".-_:+TZ".contains(b);
    matches!(mark, b"old" | b"bak" | b"prev" | b"previous")
        || mark.iter().all(is_date) && mark.iter().any(u8::is_ascii_digit)
}

/// Maximum number of times that a folder is listed to find one file.
const MAX_LISTS: usize = 16;

// === impl Home ===

impl Home {
    /// The entries of the folder; empty if it cannot be listed.
    fn entries(&self) -> impl Iterator<Item = DirEntry> {
        let folder = std::fs::read_dir(&self.folder).inspect_err(
            |error| tracing::debug!(folder = %self.folder.display(), %error, "cannot list the folder of a log file"),
        );
        folder.into_iter().flatten().map_while(Result::ok)
    }

    /// The log and its generations, with their metadata.
    fn generations(&self) -> impl Iterator<Item = (PathBuf, FileStat)> {
        self.entries()
            .filter(|entry| entry.file_name() == self.name || is_generation(&self.name, &entry.file_name()))
            .filter_map(|entry| listed(&entry))
    }

    /// The file of `mark`, whatever its name is now.
    pub(crate) fn find(&self, mark: &FileMark, now: Instant) -> Option<LogFile> {
        // A merged folder of overlayfs may list other inode numbers than stat returns, so names count as well.
        let likely = |entry: &DirEntry| entry.ino() == mark.inode || is_generation(&self.name, &entry.file_name());
        let (file, stat) = open_listed(|| {
            self.entries().filter(likely).filter_map(|entry| listed(&entry)).find(|(_, stat)| mark.names(stat))
        })?;
        let found = LogFile::resumed(file, stat, self.clone(), *mark, now);
        // Without a time of birth only the content proves that this is not another file with a reused inode.
        (mark.born > 0 && stat.born > 0 || found.is_intact().ok()?).then_some(found)
    }

    /// The oldest file that was at the path after the one of `after` and before `newer`, from its start.
    pub(crate) fn next_after(&self, after: &FileMark, newer: &FileStat, now: Instant) -> Option<LogFile> {
        let is_between = |stat: &FileStat| {
            let knows_births = stat.born > 0 && after.born > 0 && newer.born > 0;
            !knows_births || after.born < stat.born && stat.born <= newer.born
        };
        let (file, stat) = open_listed(|| {
            self.generations()
                .filter(|(_, stat)| !after.names(stat) && !stat.is(newer) && is_between(stat))
                // An empty one may still be written to.
                .filter(|(_, stat)| stat.size == 0 || stat.modified > after.modified)
                .min_by_key(|(_, stat)| (stat.born, stat.modified))
        })?;
        // An empty copy must not make the copies after it look like generations.
        let mark = FileMark { modified: after.modified, ..FileMark::start(&stat) };
        Some(LogFile::resumed(file, stat, self.clone(), mark, now))
    }

    /// The copy that was made of the file of `mark` before its truncation, if it has more than was read.
    pub(crate) fn copy_of(&self, mark: &FileMark, now: Instant) -> Option<LogFile> {
        let (file, stat) = open_listed(|| {
            self.generations()
                .filter(|(_, stat)| stat.inode != mark.inode && stat.size > mark.offset)
                .filter(|(_, stat)| mark.modified <= stat.born)
                .min_by_key(|(_, stat)| stat.born)
        })?;
        let copied = FileMark { inode: stat.inode, born: stat.born, ..*mark };
        let copy = LogFile::resumed(file, stat, self.clone(), copied, now);
        copy.is_intact().ok()?.then_some(copy)
    }
}

/// A regular file of a folder, with its metadata.
fn listed(entry: &DirEntry) -> Option<(PathBuf, FileStat)> {
    let path = entry.path();
    let stat = FileStat::at_link(&path).ok().filter(|stat| stat.regular)?;
    Some((path, stat))
}

/// Opens the file that `choose` picks from a listing of the folder.
///
/// A file that is renamed while its folder is listed may be missing from the listing, and its name may belong to
/// another file by the time it is opened. So two listings must agree, and the opened file must be the listed one.
fn open_listed(choose: impl Fn() -> Option<(PathBuf, FileStat)>) -> Option<(File, FileStat)> {
    let mut before = choose();
    for _ in 0..MAX_LISTS {
        let chosen = choose();
        match (&before, &chosen) {
            (None, None) => return None,
            (Some((path, stat)), Some((again, same))) if path == again && stat.is(same) => match open(path) {
                Ok((file, opened)) if opened.is(stat) => return Some((file, opened)),
                // The agent may not read it, and reading what came after it is better than nothing.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
                _ => {}
            },
            _ => {}
        }
        before = chosen;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_generations_are_distinguished_from_other_logs() {
        for (log, name, is) in [
            ("app.log", "app.log.1", true),
            ("app.log", "app.log.12", true),
            ("app.log", "app.log-20240131", true),
            ("app.log", "app.log-20240131-1706659200", true),
            ("app.log", "app.log.2024-01-31T10:00:00Z", true),
            ("app.log", "app.log.old", true),
            ("app.log", "app-2024-01-31T10-00-00.000.log", true),
            ("app.log", "app.1.log", true),
            ("0.log", "0.log.20240131-100000", true),
            ("messages", "messages-20240131", true),
            ("app.log", "app.log", false),
            ("app.log", "app.log.1.gz", false),
            ("app.log", "app.log-20240131.zst", false),
            ("0.log", "0.log.20240131-100000.tmp", false),
            ("app.log", "app.log2", false),
            ("app.log", "app.log.", false),
            ("app.log", "app.log.-", false),
            ("app.log", "app-audit.log", false),
            ("app.log", "application.log", false),
            ("messages", "messages-debug.log", false),
            ("messages", "messages2", false),
            ("1.log", "0.log", false),
        ] {
            assert_eq!(is_generation(OsStr::new(log), OsStr::new(name)), is, "{log} {name}");
        }
    }
}
