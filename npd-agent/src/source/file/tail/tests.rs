//! [`FileTail`] on real files.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

use super::{stat::FileStat, *};

mod lines;
mod model;
mod resume;
mod rotation;
mod wake;

/// Nothing here takes longer.
const DEADLINE: Duration = Duration::from_secs(10);

/// A folder with a log in it.
struct Logs {
    folder: TempDir,
    log: PathBuf,
}

/// A tail and what it gave.
struct Follower {
    tail: FileTail,
    lines: Vec<String>,
    /// How much later than now it is for the tail.
    later: Duration,
}

impl Logs {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("app.log");
        Self { folder, log }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Appends to the log.
    fn write(&self, text: impl AsRef<[u8]>) {
        append(&self.log, text);
    }

    /// Moves the log to `app.log.1`, that to `app.log.2` and so on.
    fn rotate(&self) {
        self.make_room();
        fs::rename(&self.log, self.path("app.log.1")).unwrap();
    }

    /// Copies the log to `app.log.1` and truncates it.
    fn copy_truncate(&self) {
        self.make_room();
        fs::copy(&self.log, self.path("app.log.1")).unwrap();
        OpenOptions::new().write(true).open(&self.log).unwrap().set_len(0).unwrap();
    }

    fn make_room(&self) {
        let name = |number: u32| self.path(&format!("app.log.{number}"));
        let free = (1..1000).find(|number| !name(*number).exists()).unwrap();
        for number in (1..free).rev() {
            fs::rename(name(number), name(number + 1)).unwrap();
        }
        self.tick();
    }

    /// Waits until the file system's clock has moved on: rotations are not a few milliseconds apart.
    fn tick(&self) {
        let probe = |name| {
            let file = File::create(self.path(name)).unwrap();
            FileStat::of(&file).unwrap().modified
        };
        let start = probe(".tick");
        let deadline = Instant::now() + DEADLINE;
        loop {
            fs::remove_file(self.path(".tick")).unwrap();
            if probe(".tick") > start {
                break;
            }
            assert!(Instant::now() < deadline);
        }
        fs::remove_file(self.path(".tick")).unwrap();
    }

    fn follow(&self) -> Follower {
        Follower::new(&self.log, None)
    }
}

impl Follower {
    fn new(path: &Path, from: Option<FilePosition>) -> Self {
        Self { tail: FileTail::new(path, from).unwrap(), lines: Vec::new(), later: Duration::ZERO }
    }

    /// Starts again from where it stands, as a new agent would.
    fn restart(self) -> Self {
        let position = self.tail.position();
        self.restart_from(position)
    }

    fn restart_from(self, position: FilePosition) -> Self {
        let position = serde_json::from_str(&serde_json::to_string(&position).unwrap()).unwrap();
        let path = self.tail.path.clone();
        drop(self.tail);
        Self { tail: FileTail::new(&path, Some(position)).unwrap(), lines: self.lines, later: self.later }
    }

    /// One read, whether something woke it or not.
    fn try_read(&mut self) -> Result<ReadOutcome, FileTailError> {
        let lines = &mut self.lines;
        self.tail.read_at(Instant::now() + self.later, &mut |line| {
            lines.push(show(line));
            ControlFlow::Continue(())
        })
    }

    /// Reads all there is, whether something woke it or not.
    fn read(&mut self) -> ReadOutcome {
        let outcome = self.try_read().unwrap();
        assert!(!outcome.more);
        outcome
    }

    /// What was given since the last time.
    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn read_lines(&mut self) -> Vec<String> {
        self.read();
        self.take()
    }

    /// Whether there is an event.
    fn is_woken(&self, wait: Duration) -> bool {
        let timeout = Timespec::try_from(wait).unwrap();
        poll(&mut [PollFd::new(&self.tail, PollFlags::IN)], Some(&timeout)).unwrap() > 0
    }

    /// Reads when it is woken or its timeout is over, until `done`.
    fn wait_until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !done(self) {
            let rest = deadline.saturating_duration_since(Instant::now());
            let due = self.tail.timeout().filter(|due| *due < rest);
            let woken = self.is_woken(due.unwrap_or(rest));
            assert!(woken || due.is_some(), "not woken; {:?} {:?}", self.tail.state(), self.lines);
            let _may_fail_for_now = self.try_read();
        }
    }

    /// Waits for these lines and no others.
    fn expect(&mut self, lines: &[&str]) {
        self.wait_until(|follower| follower.lines.len() >= lines.len());
        assert_eq!(self.take(), lines);
    }

    /// Takes events that are there and asserts that nothing else is to be done until something happens.
    fn assert_idle(&mut self) {
        while self.is_woken(Duration::ZERO) {
            self.read();
        }
        assert_eq!(self.tail.timeout(), None);
        assert_eq!(self.lines, [""; 0]);
    }
}

/// The text, and how the line ends if that is not with its newline.
fn show(line: &Line<'_>) -> String {
    let text = String::from_utf8_lossy(line.text);
    match line.ending {
        Ending::Newline => text.into_owned(),
        ending => format!("{text}<{ending:?}>"),
    }
}

fn append(path: &Path, text: impl AsRef<[u8]>) {
    writer(path).write_all(text.as_ref()).unwrap();
}

/// Opens a log as a daemon does.
fn writer(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}
