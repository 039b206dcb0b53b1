//! One problem, one report: a structured event and the line the kernel prints for it are the same problem.
//!
//! The line is what is reported: it is the kernel's own text and comes at once. An event waits a moment for
//! its line; if the line comes, the event's fields are added to it, and if the kernel stays silent (rate limit, `hung_task_warnings` used
//! up) the event is reported in the line's place. Where the line comes first (block errors, ext4 shutdowns), the
//! event finds it among the recent ones and is dropped. Pairs are counted one by one, so forty errors of one sector
//! are forty reports.

use std::{collections::VecDeque, time::Duration};

use aho_corasick::packed;

use super::oom_kill;
use crate::{problem::Fields, source::kernel::events::decode::KernelEvent, time::Monotonic};

/// How long an event waits for its line. The kernel prints it within microseconds of the tracepoint; the rest is
/// for a line that has to come from /dev/kmsg, which wakes its readers at the next timer tick only.
const GRACE: Duration = Duration::from_millis(20);
/// How long a line, or an event that was reported, is remembered in case its counterpart comes late.
const MEMORY: Duration = Duration::from_secs(2);
/// The maximum number of events that wait, and of lines and reports that are remembered.
const REMEMBERED_MAX: usize = 4096;
/// What every line that an event can belong to contains, in the order of [`Identity::of_line`]'s cases, and the line
/// that precedes one.
const MARKS: [&str; 6] = [
    " blocked for more than ",
    "Killed process ",
    " error, dev ",
    "EXT4-fs ",
    "hutting down filesystem",
    oom_kill::MARK,
];

/// The key that identifies an event and its log line as the same problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A hung task.
    HungTask {
        /// The thread.
        pid: u32,
    },
    /// A victim of the OOM killer. All threads of a process are one victim.
    OomVictim {
        /// The thread that was marked, which the line names.
        pid: u32,
        /// Its process.
        process: u32,
    },
    /// A failed block request.
    BlockError {
        /// The device's name.
        device: String,
        /// The first sector of the request.
        sector: u64,
    },
    /// An ext4 error.
    Ext4Error {
        /// The device's name.
        device: String,
        /// The line of the kernel's source that found it.
        line: u32,
    },
    /// The shutdown of a file system.
    Shutdown {
        /// The device's name.
        device: String,
    },
}

/// What to do with a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LineAction {
    /// Report it, with the fields of its event.
    Report(Fields),
    /// Its problem was reported already.
    Suppress,
}

/// The events that wait for their lines, and the lines that wait for their events.
#[derive(Debug)]
pub(crate) struct EventLinePairs {
    marks: Option<packed::Searcher>,
    waiting: VecDeque<Waiting>,
    lines: VecDeque<(Identity, Monotonic)>,
    reported: VecDeque<Reported>,
    suppressed: u64,
}

#[derive(Debug)]
struct Waiting {
    event: KernelEvent,
    until: Monotonic,
    /// Not reported even if no line comes: its problem is known already.
    known: bool,
}

#[derive(Debug)]
struct Reported {
    identity: Identity,
    since: Monotonic,
    /// Its line did not come; if it does after all, it is not reported.
    unprinted: bool,
}

// === impl Identity ===

impl Identity {
    /// The identity of a printed line; `None` for most lines.
    #[must_use]
    pub(crate) fn of_line(text: &str) -> Option<Self> {
        if let Some((task, _)) = text.split_once(" blocked for more than ") {
            let pid = task.strip_prefix("INFO: task ")?.rsplit_once(':')?.1;
            return Some(Self::HungTask { pid: pid.parse().ok()? });
        }
        if let Some((_, victim)) = text.split_once("Killed process ") {
            let pid = leading_number(victim)?.parse().ok()?;
            return Some(Self::OomVictim { pid, process: pid });
        }
        if let Some((_, error)) = text.split_once(" error, dev ") {
            let (device, rest) = error.split_once(", sector ")?;
            return Some(Self::BlockError { device: device.to_owned(), sector: leading_number(rest)?.parse().ok()? });
        }
        if let Some(error) = text.strip_prefix("EXT4-fs error (device ") {
            let (device, rest) = error.split_once("): ")?;
            let line = leading_number(rest.split_once(':')?.1)?.parse().ok()?;
            return Some(Self::Ext4Error { device: device.to_owned(), line });
        }
        if let Some(rest) = text.strip_prefix("EXT4-fs (") {
            let (device, rest) = rest.split_once("): ")?;
            return rest.starts_with("shut down requested").then(|| Self::Shutdown { device: device.to_owned() });
        }
        if text.contains("hutting down filesystem") {
            let (device, _) = text.strip_prefix("XFS (")?.split_once("): ")?;
            return Some(Self::Shutdown { device: device.to_owned() });
        }
        None
    }

    /// The content of the line, as fields.
    fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        match self {
            Self::HungTask { pid } | Self::OomVictim { pid, .. } => fields.add("pid", pid.to_string()),
            Self::BlockError { device, sector } => {
                fields.add("dev", &**device);
                fields.add("sector", sector.to_string());
            }
            Self::Ext4Error { device, .. } | Self::Shutdown { device } => fields.add("dev", &**device),
        }
        fields
    }

    fn pairs_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OomVictim { pid, .. }, Self::OomVictim { pid: other, .. }) => pid == other,
            _ => self == other,
        }
    }

    /// Whether both are one problem although each is an event of its own: the threads of one victim.
    fn is_same_problem(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OomVictim { process, .. }, Self::OomVictim { process: other, .. }) => process == other,
            _ => false,
        }
    }
}

fn leading_number(text: &str) -> Option<&str> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

// === impl EventLinePairs ===

impl Default for EventLinePairs {
    fn default() -> Self {
        Self::new()
    }
}

impl EventLinePairs {
    /// No event or line waits yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            marks: packed::Searcher::new(MARKS),
            waiting: VecDeque::new(),
            lines: VecDeque::new(),
            reported: VecDeque::new(),
            suppressed: 0,
        }
    }

    /// Whether an event could belong to a line at all. For most lines this is the only check.
    #[must_use]
    pub(crate) fn is_candidate(&self, text: &[u8]) -> bool {
        self.marks.as_ref().is_none_or(|marks| marks.find(text).is_some())
    }

    /// Takes a line, and returns what to do with it.
    pub(crate) fn line(&mut self, text: &[u8], now: Monotonic) -> LineAction {
        let Some(identity) = std::str::from_utf8(text).ok().and_then(Identity::of_line) else {
            return LineAction::Report(Fields::default());
        };
        self.forget(now);
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.event.identity.pairs_with(&identity))
            && let Some(waiting) = self.waiting.remove(at)
        {
            self.suppressed += 1;
            if waiting.known {
                return LineAction::Suppress;
            }
            self.remember_reported(waiting.event.identity, false, now);
            return LineAction::Report(waiting.event.fields);
        }
        let late = |reported: &&mut Reported| reported.unprinted && reported.identity.pairs_with(&identity);
        if let Some(reported) = self.reported.iter_mut().find(late) {
            reported.unprinted = false;
            self.suppressed += 1;
            return LineAction::Suppress;
        }
        if self.lines.len() == REMEMBERED_MAX {
            self.lines.pop_front();
        }
        let fields = identity.fields();
        self.lines.push_back((identity, now));
        LineAction::Report(fields)
    }

    /// Takes an event; `known` if its problem was reported before.
    pub(crate) fn event(&mut self, event: KernelEvent, known: bool, now: Monotonic) {
        self.forget(now);
        if let Some(at) = self.lines.iter().position(|(line, _)| line.pairs_with(&event.identity)) {
            self.lines.remove(at);
            self.suppressed += 1;
            self.remember_reported(event.identity, false, now);
            return;
        }
        let same = |identity: &Identity| identity.is_same_problem(&event.identity);
        if self.reported.iter().any(|reported| same(&reported.identity))
            || self.waiting.iter().any(|waiting| same(&waiting.event.identity))
        {
            self.suppressed += 1;
            return;
        }
        if self.waiting.len() < REMEMBERED_MAX {
            self.waiting.push_back(Waiting { event, until: now.after(GRACE), known });
        }
    }

    /// The next event whose line did not come in time, to be reported.
    pub(crate) fn expired(&mut self, now: Monotonic) -> Option<KernelEvent> {
        while self.waiting.front()?.until <= now {
            let waiting = self.waiting.pop_front()?;
            self.remember_reported(waiting.event.identity.clone(), true, now);
            if !waiting.known {
                return Some(waiting.event);
            }
        }
        None
    }

    /// When [`Self::expired`] has an event to return.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        self.waiting.front().map(|waiting| waiting.until)
    }

    /// How many events or lines were not reported because their counterpart was.
    #[must_use]
    pub(crate) const fn suppressed(&self) -> u64 {
        self.suppressed
    }

    fn forget(&mut self, now: Monotonic) {
        while self.lines.front().is_some_and(|(_, since)| now.since(*since) > MEMORY) {
            self.lines.pop_front();
        }
        while self.reported.front().is_some_and(|reported| now.since(reported.since) > MEMORY) {
            self.reported.pop_front();
        }
    }

    fn remember_reported(&mut self, identity: Identity, unprinted: bool, since: Monotonic) {
        if self.reported.len() == REMEMBERED_MAX {
            self.reported.pop_front();
        }
        self.reported.push_back(Reported { identity, since, unprinted });
    }
}

#[cfg(test)]
mod tests {
    use npd_common::Kind;

    use super::*;

    const HUNG: &str = "INFO: task a:b:77 blocked for more than 120 seconds.";

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_nanos(millis * 1_000_000)
    }

    fn event(identity: Identity) -> KernelEvent {
        let mut fields = Fields::default();
        fields.add("cgroup", "/x");
        KernelEvent { kind: Kind::HungTask, identity, text: "event".into(), fields, time: Monotonic::default() }
    }

    fn hung() -> KernelEvent {
        event(Identity::HungTask { pid: 77 })
    }

    #[test]
    fn lines_of_all_kernels_are_recognised() {
        for (line, identity) in [
            (HUNG, Identity::HungTask { pid: 77 }),
            (
                "Memory cgroup out of memory: Killed process 12 (x y) total-vm:1kB, anon-rss:0kB",
                Identity::OomVictim { pid: 12, process: 12 },
            ),
            (
                "I/O error, dev loop0, sector 16384 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2",
                Identity::BlockError { device: "loop0".into(), sector: 16384 },
            ),
            (
                "blk_update_request: I/O error, dev sda, sector 5",
                Identity::BlockError { device: "sda".into(), sector: 5 },
            ),
            (
                "EXT4-fs error (device loop0): trigger_test_error:127: comm bash: npd test",
                Identity::Ext4Error { device: "loop0".into(), line: 127 },
            ),
            ("EXT4-fs (loop0): shut down requested (1)", Identity::Shutdown { device: "loop0".into() }),
            (
                "XFS (sdb1): Log I/O Error Detected. Shutting down filesystem",
                Identity::Shutdown { device: "sdb1".into() },
            ),
        ] {
            assert_eq!(Identity::of_line(line), Some(identity), "{line}");
            assert!(EventLinePairs::new().is_candidate(line.as_bytes()), "{line}");
        }
        for line in ["", "Killed process", " error, dev ", "EXT4-fs (sda1): mounted", "hutting down filesystem"] {
            assert_eq!(Identity::of_line(line), None, "{line}");
        }
    }

    #[test]
    fn a_line_after_its_event_is_the_report_and_learns_the_fields() {
        let mut pairs = EventLinePairs::new();
        pairs.event(hung(), false, at(0));
        assert_eq!(pairs.line(HUNG.as_bytes(), at(1)), LineAction::Report(hung().fields));
        assert_eq!(pairs.expired(at(1000)), None);
        assert_eq!(pairs.suppressed(), 1);
    }

    #[test]
    fn an_event_without_a_line_is_reported_after_the_grace() {
        let mut pairs = EventLinePairs::new();
        pairs.event(hung(), false, at(0));
        assert_eq!(pairs.deadline(), Some(at(20)));
        assert_eq!(pairs.expired(at(19)), None);
        assert_eq!(pairs.expired(at(20)), Some(hung()));
        assert_eq!(pairs.line(HUNG.as_bytes(), at(500)), LineAction::Suppress, "a late line is no second report");
    }

    #[test]
    fn an_event_after_its_line_is_dropped_one_for_one() {
        let mut pairs = EventLinePairs::new();
        let error = || event(Identity::BlockError { device: "sda".into(), sector: 8 });
        let line = b"I/O error, dev sda, sector 8 op 0x0:(READ)";
        for _ in 0..2 {
            assert_eq!(pairs.line(line, at(0)), LineAction::Report(error().identity.fields()));
        }
        for _ in 0..5 {
            pairs.event(error(), false, at(0));
        }
        let silent = std::iter::from_fn(|| pairs.expired(at(20))).count();
        assert_eq!(silent, 3, "five errors, two of them printed");
    }

    #[test]
    fn a_known_hang_is_silent_with_and_without_a_line() {
        let mut pairs = EventLinePairs::new();
        pairs.event(hung(), true, at(0));
        assert_eq!(pairs.line(HUNG.as_bytes(), at(0)), LineAction::Suppress);
        pairs.event(hung(), true, at(100));
        assert_eq!(pairs.expired(at(200)), None);
    }

    #[test]
    fn a_line_is_forgotten_in_time() {
        let mut pairs = EventLinePairs::new();
        assert!(matches!(pairs.line(HUNG.as_bytes(), at(0)), LineAction::Report(_)));
        pairs.event(hung(), false, at(3000));
        assert_eq!(pairs.expired(at(4000)), Some(hung()));
    }

    #[test]
    fn the_threads_of_a_victim_are_one_problem() {
        let mut pairs = EventLinePairs::new();
        pairs.event(event(Identity::OomVictim { pid: 10, process: 10 }), false, at(0));
        pairs.event(event(Identity::OomVictim { pid: 11, process: 10 }), false, at(0));
        assert_eq!(
            pairs.line(b"Memory cgroup out of memory: Killed process 10 (x)", at(0)),
            LineAction::Report(hung().fields)
        );
        pairs.event(event(Identity::OomVictim { pid: 12, process: 10 }), false, at(5));
        assert_eq!(pairs.expired(at(1000)), None);
    }
}
