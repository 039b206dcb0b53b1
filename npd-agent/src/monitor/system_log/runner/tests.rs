use std::{
    fs,
    path::{Path, PathBuf},
};

use prometheus::Registry;

use super::*;
use crate::{
    config::{self, ConfigFile},
    exporter::Exporter,
    node::Node,
    problem::Fields,
    source::file::tail::{FilePosition, FileTail},
    time::BootTimes,
};

const CONFIG: &str = r#"{"plugin": "kmsg", "source": "test", "lookback": "1h",
    "conditions": [{"type": "Bad", "reason": "Good", "message": "all is well"}],
    "rules": [{"type": "temporary", "reason": "Line", "pattern": "line .*"},
              {"type": "permanent", "condition": "Bad", "reason": "Broken", "pattern": "line broken"}]}"#;

/// Keeps what is reported, and with the first report a copy of the state as it is at that moment: what an agent that is
/// killed right then leaves behind.
struct Witness {
    state: PathBuf,
    copy: PathBuf,
    reports: Arc<Mutex<Vec<(String, bool)>>>,
    ids: Arc<Mutex<Vec<Option<u64>>>>,
}

impl Exporter for Witness {
    fn export(&mut self, status: &Status) {
        for event in &status.events {
            if self.reports.lock().is_empty() {
                copy(&self.state, &self.copy);
            }
            self.reports.lock().push((event.message.clone(), event.again));
            self.ids.lock().push(event.id);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// An agent with its state in `state`, which is copied to `copy` at the first report.
struct Run {
    logs: SystemLogs,
    reports: Arc<Mutex<Vec<(String, bool)>>>,
    ids: Arc<Mutex<Vec<Option<u64>>>>,
    _dir: StateDir,
}

impl Run {
    fn new(state: &Path, copy: &Path) -> Self {
        let (reports, ids) = (Arc::default(), Arc::default());
        let (state_of, copy) = (state.to_owned(), copy.to_owned());
        let witness = Witness { state: state_of, copy, reports: Arc::clone(&reports), ids: Arc::clone(&ids) };
        let detector = Arc::new(Detector::new(vec![Box::new(witness)]));
        let logs =
            SystemLogs::new("test", detector, AgentMetrics::register(&Registry::new()).unwrap(), Node::default());
        let dir = StateDir::open(state, &Node::default()).unwrap();
        let config =
            config::load_text(&ConfigFile::system_log("c.json"), CONFIG.as_bytes()).unwrap().system_logs.remove(0);
        logs.add(Path::new("c.json"), SystemLog::new(config, BootTimes::read()), Some((&dir, "c")), None);
        Self { logs, reports, ids, _dir: dir }
    }

    fn record(&mut self, text: &str, place: Place<'_>) {
        let fields = Fields::default();
        let at = Now::read().wall;
        let record = Record { text: text.as_bytes(), at, priority: None, fields: &fields, known: false, place };
        Subscriber::record(&mut self.logs, &record);
    }

    /// What each report is known by.
    fn ids(&self) -> Vec<u64> {
        self.ids.lock().iter().map(|id| id.unwrap()).collect()
    }

    fn reports(&self) -> Vec<(String, bool)> {
        self.reports.lock().clone()
    }
}

fn report(text: &str, again: bool) -> (String, bool) {
    (text.to_owned(), again)
}

const BROKEN: &str = "Node condition Bad is now: True, reason: Broken, message: \"line broken\"";

/// Killed while it reports: all of the record's reports are given again and say so, and nothing else is.
fn killed_while_reporting(places: [Place<'_>; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let (state, copy, other) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("c"));
    let mut first = Run::new(&state, &copy);
    first.record("innocent", places[0]);
    first.record("line broken", places[1]);
    assert_eq!(first.reports(), [report("line broken", false), report(BROKEN, false)]);
    let ids = first.ids();
    assert_ne!(ids[0], ids[1], "two reports of one record are two");
    drop(first);

    let mut killed = Run::new(&copy, &other);
    killed.record("line broken", places[1]);
    killed.record("line next", places[2]);
    assert_eq!(killed.reports(), [report("line broken", true), report(BROKEN, true), report("line next", false)]);
    assert_eq!(killed.ids()[..2], ids, "what is reported again is known again");
    assert!(!ids.contains(&killed.ids()[2]));
}

#[test]
fn of_the_kernel_log_only_what_is_in_doubt_is_reported_again() {
    killed_while_reporting([Place::Kernel(7), Place::Kernel(8), Place::Kernel(9)]);
}

#[test]
fn of_a_file_that_has_grown_since_only_what_is_in_doubt_is_reported_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let positions = || -> Vec<FilePosition> {
        let mut positions = Vec::new();
        let mut tail = FileTail::new(&log, None).unwrap();
        tail.read(&mut |line| {
            positions.push(line.position());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        positions
    };
    fs::write(&log, "innocent\nline broken\n").unwrap();
    let before = positions();
    let mut file = fs::OpenOptions::new().append(true).open(&log).unwrap();
    std::io::Write::write_all(&mut file, b"line next\n").unwrap();
    let after = positions();
    assert_ne!(before[1], after[1], "the file has another time and another head now");
    assert!(before[1].is_same_place(&after[1]) && !before[0].is_same_place(&after[1]));

    let folder = tempfile::tempdir().unwrap();
    let (state, copy, other) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("c"));
    let mut first = Run::new(&state, &copy);
    first.record("line broken", Place::File(&before[1]));
    drop(first);
    let mut killed = Run::new(&copy, &other);
    killed.record("line broken", Place::File(&after[1]));
    killed.record("line next", Place::File(&after[2]));
    assert_eq!(killed.reports(), [report("line broken", true), report(BROKEN, true), report("line next", false)]);
}

#[test]
fn of_the_journal_only_what_is_in_doubt_is_reported_again() {
    let id = "0123456789abcdef0123456789abcdef";
    let cursor = |n: u64| format!("s={id};i={n:x};b={id};m={n:x};t={n:x};x={n:x}").parse().unwrap();
    let cursors = [cursor(1), cursor(2), cursor(3)];
    killed_while_reporting(cursors.each_ref().map(Place::Journal));
}

#[test]
fn after_an_orderly_end_nothing_is_reported_again() {
    let folder = tempfile::tempdir().unwrap();
    let (state, copy) = (folder.path().join("a"), folder.path().join("b"));
    let mut first = Run::new(&state, &copy);
    first.record("line 1", Place::Kernel(1));
    first.logs.finish();
    drop(first);
    let mut second = Run::new(&state, &copy);
    for (seq, text) in [(1, "line 1"), (2, "line 2"), (2, "line 2")] {
        second.record(text, Place::Kernel(seq));
    }
    assert_eq!(second.reports(), [report("line 2", false)]);
}

#[test]
fn what_no_log_holds_is_reported_and_does_not_move_the_position() {
    let folder = tempfile::tempdir().unwrap();
    let (state, copy) = (folder.path().join("a"), folder.path().join("b"));
    let mut first = Run::new(&state, &copy);
    first.record("line 5", Place::Kernel(5));
    first.record("line of a probe", Place::Nowhere);
    drop(first);
    let mut second = Run::new(&state, &copy);
    second.record("line 5", Place::Kernel(5));
    second.record("line 6", Place::Kernel(6));
    assert_eq!(second.reports(), [report("line 6", false)]);
}
