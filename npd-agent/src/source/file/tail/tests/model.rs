//! Any sequence of writes, rotations, reads and restarts against a model of what was written.

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The writer writes so many lines of such a size.
    Lines(u8, u16),
    /// The writer writes a part of a line.
    Half(u16),
    /// The log is moved away and the writer switches to a new one at once.
    Rotate,
    /// The log is moved away, a new one is made and the writer goes on in the old one.
    RotateUnderWriter,
    /// The writer switches to what is at the path.
    Switch,
    /// All is read; then the log is deleted and made again.
    Replace,
    /// All is read; then the log is copied and truncated.
    CopyTruncate,
    /// All is read.
    Read,
    /// So many lines are read.
    ReadSome(u8),
    /// A new tail goes on from where this one stands.
    Restart,
    /// So many lines are read, and a new tail goes on from the position of the last of them.
    RestartAtLine(u8),
}

/// What was written between two changes of the file.
#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    /// Behind the last newline.
    half: String,
    /// Whether it stands where the tail must find it: not in a deleted or truncated file.
    kept: bool,
}

struct World {
    logs: Logs,
    follower: Follower,
    writer: File,
    /// One for each file; a truncated file counts as a new one.
    written: Vec<Written>,
    /// Which one the writer writes to.
    at: usize,
}

impl World {
    fn new() -> Self {
        let logs = Logs::new();
        let (writer, mut follower) = (writer(&logs.log), logs.follow());
        // What was moved away before the first look is not read.
        follower.read();
        Self { logs, follower, writer, written: vec![Written { kept: true, ..Written::default() }], at: 0 }
    }

    /// Every text names its file and its place in it.
    fn write(&mut self, size: u16, end: &str) {
        let written = &mut self.written[self.at];
        let piece = format!("{}.{}.{}{}", self.at, written.lines.len(), written.half.len(), ".".repeat(size.into()));
        self.writer.write_all((piece.clone() + end).as_bytes()).unwrap();
        written.half += &piece;
        if !end.is_empty() {
            written.lines.push(std::mem::take(&mut written.half));
        }
    }

    fn switch(&mut self) {
        if self.at + 1 < self.written.len() {
            self.logs.tick();
            self.writer = writer(&self.logs.log);
            self.at = self.written.len() - 1;
        }
    }

    fn new_file(&mut self) {
        self.written.push(Written { kept: true, ..Written::default() });
        self.writer.flush().unwrap();
    }

    fn read_some(&mut self, count: u8) -> Option<FilePosition> {
        let (mut left, mut position) = (count, None);
        let lines = &mut self.follower.lines;
        let take = &mut |line: &Line<'_>| {
            lines.push(show(line));
            position = Some(line.position());
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.follower.tail.read(take).unwrap();
        position
    }

    fn step(mut self, step: Step) -> Self {
        match step {
            Step::Lines(count, size) => (0..count).for_each(|_| self.write(size, "\n")),
            Step::Half(size) => self.write(size, ""),
            Step::Rotate | Step::RotateUnderWriter => {
                self.switch();
                self.logs.rotate();
                drop(writer(&self.logs.log));
                self.new_file();
                if matches!(step, Step::Rotate) {
                    self.switch();
                }
            }
            Step::Switch => self.switch(),
            Step::Replace => {
                self.switch();
                self.follower.read();
                self.logs.tick();
                fs::remove_file(&self.logs.log).unwrap();
                drop(writer(&self.logs.log));
                self.written[self.at].kept = false;
                self.new_file();
                self.switch();
            }
            Step::CopyTruncate => {
                self.switch();
                self.follower.read();
                if fs::metadata(&self.logs.log).unwrap().len() == 0 {
                    // An empty copy looks like a generation that may yet be written to.
                    return self;
                }
                self.logs.copy_truncate();
                self.written[self.at].kept = false;
                self.new_file();
                self.at += 1;
            }
            Step::Read => drop(self.follower.read()),
            Step::ReadSome(count) => drop(self.read_some(count)),
            Step::Restart => self.follower = self.follower.restart(),
            Step::RestartAtLine(count) => {
                if let Some(position) = self.read_some(count) {
                    self.follower = self.follower.restart_from(position);
                }
            }
        }
        self
    }

    /// Reads until nothing more can come, and compares.
    fn check(mut self) {
        self.switch();
        self.write(0, "\n");
        self.follower.read();
        self.follower.later = 2 * QUIET;
        self.follower.read();
        assert!(self.follower.tail.predecessor.is_none());
        let got = self.follower.take();
        for (file, written) in self.written.iter().enumerate() {
            let of_file = |line: &&String| line.starts_with(&format!("{file}."));
            let (halves, lines): (Vec<_>, Vec<_>) =
                got.iter().filter(of_file).cloned().partition(|line| line.ends_with("<EndOfFile>"));
            assert_eq!(lines, written.lines, "file {file} of {:#?}", self.written);
            let half = format!("{}<EndOfFile>", written.half);
            let is_due = !written.half.is_empty() && file + 1 < self.written.len();
            let fits = match &halves[..] {
                [] => !is_due || !written.kept,
                [given] => is_due && *given == half,
                _ => false,
            };
            assert!(fits, "file {file}: {halves:?} of {:#?}", self.written);
        }
        let known =
            |line: &String| line.split('.').next().unwrap().parse::<usize>().is_ok_and(|n| n < self.written.len());
        assert!(got.iter().all(known), "{got:?}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![8 => 0..50_u16, 1 => 30_000..35_000_u16, 1 => 60_000..u16::MAX];
    prop_oneof![
        6 => (1..5_u8, size()).prop_map(|(count, size)| Step::Lines(count, size)),
        3 => size().prop_map(Step::Half),
        2 => Just(Step::Rotate),
        2 => Just(Step::RotateUnderWriter),
        2 => Just(Step::Switch),
        1 => Just(Step::Replace),
        1 => Just(Step::CopyTruncate),
        3 => Just(Step::Read),
        2 => (1..6_u8).prop_map(Step::ReadSome),
        2 => Just(Step::Restart),
        2 => (1..6_u8).prop_map(Step::RestartAtLine),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_given_once_and_in_order_within_its_file(steps in vec(step(), 1..40)) {
        steps.into_iter().fold(World::new(), World::step).check();
    }
}
