//! Runs the system log monitors of one source: their findings are reported, their state is saved.
//!
//! This is the edge around [`SystemLog`], which is pure. Three callers share it: the thread of the source brings records, a
//! timer brings the time, and a changed config file brings another monitor.
//!
//! A restart relies on the order of saving and reporting (see [`state`](crate::state)): the findings of a record are saved,
//! reported and confirmed. What a record changed without a finding (a count, a position) is saved within
//! [`SAVE_EVERY`]; if the agent is killed before, the record is simply read again.

pub(crate) mod stateful_monitor;
#[cfg(test)]
mod tests;

use std::{mem, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;

use prometheus::Gauge;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::stateful_monitor::StatefulMonitor;
use crate::{
    detector::Detector,
    fingerprint,
    metric::own::AgentMetrics,
    monitor::{
        recheck,
        system_log::{SystemLog, SystemLogState},
    },
    node::Node,
    problem::{Event, Status},
    record::{Place, Position, PositionKind, Record},
    source::subscriber::Subscriber,
    state::{StateDir, warn_on_error},
    time::{Monotonic, Now, Timestamp},
};

/// How long a change without a finding may stay unsaved.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The monitors of one source. Clones are the same monitors.
#[derive(Clone)]
pub struct SystemLogs {
    shared: Arc<Shared>,
}

/// The state of a config file's monitor before the file named another log.
pub struct PreviousState {
    state: SystemLogState,
    status: Status,
}

struct Shared {
    monitors: Mutex<Vec<StatefulMonitor>>,
    detector: Arc<Detector>,
    metrics: AgentMetrics,
    last_record: Gauge,
    /// The name of the source in metrics.
    source: String,
    boot: String,
    node: Node,
    /// Notified when a deadline has changed.
    timer: Notify,
}

// === impl SystemLogs ===

impl SystemLogs {
    /// No monitor yet; `source` is the source's name in metrics.
    #[must_use]
    pub fn new(source: &str, detector: Arc<Detector>, metrics: AgentMetrics, node: Node) -> Self {
        let shared = Shared {
            monitors: Mutex::new(Vec::new()),
            detector,
            last_record: metrics.last_record(source),
            metrics,
            source: source.to_owned(),
            // Without it an event of another boot may be taken for the same one, at worst.
            boot: node.boot_id().unwrap_or_default(),
            node,
            timer: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Adds the monitor of the config file `path` and reports its conditions. Its state is loaded from the file `state`, or
    /// else taken from another monitor of the same config file.
    pub fn add(
        &self,
        path: &Path,
        monitor: SystemLog,
        state: Option<(&StateDir, &str)>,
        previous: Option<PreviousState>,
    ) {
        let file = state.and_then(|(dir, name)| warn_on_error(dir.file(name)));
        let mut stateful = StatefulMonitor::new(path.to_owned(), monitor, file);
        let span = stateful.span.clone();
        let _span = span.enter();
        stateful.load();
        let before = previous.map(|PreviousState { state, status }| {
            stateful.monitor.restore(state);
            status
        });
        stateful.save(true);
        stateful.update_deadline();
        let (detector, status) = (&self.shared.detector, stateful.monitor.initial_status());
        match before {
            Some(before) => detector.report_replaced(before, &status),
            None => detector.report(&status),
        }
        self.shared.monitors.lock().push(stateful);
        self.shared.timer.notify_one();
    }

    /// Replaces the monitor of a changed config file. The state of unchanged rules and conditions is kept.
    pub fn replace(&self, path: &Path, mut monitor: SystemLog) {
        let mut monitors = self.shared.monitors.lock();
        let Some(stateful) = monitors.iter_mut().find(|stateful| stateful.path == path) else { return };
        let span = stateful.span.clone();
        let _span = span.enter();
        monitor.restore(stateful.monitor.state());
        if stateful.position.is_some() {
            monitor.resume();
        } else {
            monitor.resume_after(stateful.at);
        }
        let before = std::mem::replace(&mut stateful.monitor, monitor).initial_status();
        stateful.save(true);
        stateful.update_deadline();
        let status = stateful.monitor.initial_status();
        drop(monitors);
        self.shared.detector.report_replaced(before, &status);
        self.shared.timer.notify_one();
    }

    /// Removes the monitor of a config file, and returns its state.
    #[must_use]
    pub fn remove(&self, path: &Path) -> Option<PreviousState> {
        let mut monitors = self.shared.monitors.lock();
        let index = monitors.iter().position(|stateful| stateful.path == path)?;
        let mut stateful = monitors.remove(index);
        stateful.save(true);
        Some(PreviousState { state: stateful.monitor.state(), status: stateful.monitor.initial_status() })
    }

    /// Reports an event about the config file of a monitor, with its conditions as they are.
    pub fn report(&self, path: &Path, event: Event) {
        let (status, span) = {
            let monitors = self.shared.monitors.lock();
            let Some(stateful) = monitors.iter().find(|stateful| stateful.path == path) else { return };
            (stateful.monitor.initial_status(), stateful.span.clone())
        };
        let _span = span.enter();
        self.shared.detector.report(&Status { events: vec![event], metrics: false, ..status });
    }

    /// Saves everything so that it survives a loss of power as well.
    pub fn finish(&self) {
        for stateful in self.shared.monitors.lock().iter_mut() {
            stateful.save(true);
            stateful.sync();
        }
    }

    /// Does what is due at its time, until `stop`.
    pub async fn keep_time(self, stop: CancellationToken) {
        loop {
            let now = Now::read().wall;
            let deadline = self.shared.monitors.lock().iter().filter_map(|stateful| stateful.deadline).min();
            let left = deadline.map(|at| u64::try_from(at.unix_nanos().saturating_sub(now.unix_nanos())).unwrap_or(0));
            let sleep = async {
                match left {
                    // The wall clock may be set meanwhile, so the sleep is bounded.
                    Some(left) => tokio::time::sleep(Duration::from_nanos(left).min(Duration::from_mins(1))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.shared.timer.notified() => continue,
                () = stop.cancelled() => return,
            }
            let this = self.clone();
            // It reads /proc and /sys, so not on the thread that serves metrics.
            let ticked = tokio::task::spawn_blocking(move || this.tick(Now::read().wall)).await;
            if let Err(error) = ticked {
                tracing::error!(%error, "cannot do what is due in system log monitors");
            }
        }
    }

    /// Does what is due by `now`.
    pub fn tick(&self, now: Timestamp) {
        let questions = {
            let mut monitors = self.shared.monitors.lock();
            let mut questions = Vec::new();
            for stateful in monitors.iter_mut() {
                if stateful.deadline.is_none_or(|deadline| deadline > now) {
                    continue;
                }
                stateful.monitor.advance(now, &mut stateful.findings);
                stateful.update_deadline();
                self.deliver(stateful, None);
                let path = stateful.path.clone();
                let due = stateful.monitor.questions(now);
                questions.extend(due.into_iter().map(|question| (path.clone(), question)));
            }
            questions
        };
        for (path, question) in questions {
            let answer = recheck::answer(&self.shared.node, &question);
            let mut monitors = self.shared.monitors.lock();
            let Some(stateful) = monitors.iter_mut().find(|stateful| stateful.path == path) else { continue };
            let is_news = question.evidence.as_ref() != Some(&answer.evidence);
            stateful.monitor.answer(&question, answer, now, &mut stateful.findings);
            stateful.update_deadline();
            self.deliver(stateful, None);
            // A silent log gives no other occasion to save it.
            if is_news {
                stateful.save(true);
            }
        }
    }

    /// Saves and reports the findings. `place` is that of the record with the findings.
    fn deliver(&self, stateful: &mut StatefulMonitor, place: Option<Place<'_>>) {
        let Shared { detector, metrics, source, boot, .. } = &*self.shared;
        for reason in stateful.findings.suppressed.drain(..) {
            metrics.suppressed(source, &reason).inc();
        }
        if stateful.findings.statuses.is_empty() {
            return;
        }
        let span = stateful.span.clone();
        let _span = span.enter();
        let position = place.and_then(Place::position);
        let again = stateful.is_in_doubt(position);
        // What is in no log cannot be read again, so it is reported first: better twice than not at all.
        let readable = position.is_some();
        if readable {
            stateful.save(false);
        }
        let record = position.map(|position| position.fingerprint(boot));
        for mut status in mem::take(&mut stateful.findings.statuses) {
            for event in &mut status.events {
                event.again = again;
                event.id = record.map(|record| event_id(&status.monitor, record, event));
            }
            detector.report(&status);
        }
        if readable {
            stateful.confirm();
        } else {
            stateful.save(true);
        }
    }

    fn handle(&self, stateful: &mut StatefulMonitor, record: &Record<'_>) {
        if let Some(position) = record.place.position() {
            // Another kind of log than before, as when the kernel log is read through the journal: the position cannot be
            // found in it, so what is newer than the newest known record counts.
            if stateful.position.is_some_and(|before| before.kind() != position.kind()) {
                stateful.monitor.resume_after(stateful.at);
            }
            stateful.position = Some(position);
        }
        stateful.at = stateful.at.max(record.at);
        stateful.has_read = true;
        stateful.dirty = true;
        if stateful.deadline.is_some_and(|deadline| deadline <= record.at) {
            let now = Now::read().wall;
            stateful.monitor.advance(record.at.min(now), &mut stateful.findings);
            stateful.update_deadline();
        }
        if stateful.monitor.record(record, &mut stateful.findings) {
            let before = stateful.deadline;
            stateful.update_deadline();
            if stateful.deadline != before {
                self.shared.timer.notify_one();
            }
        }
        if !stateful.findings.statuses.is_empty() || !stateful.findings.suppressed.is_empty() {
            self.deliver(stateful, Some(record.place));
        }
        if stateful.doubt.is_some() && stateful.is_in_doubt(record.place.position()) {
            stateful.doubt = None;
        }
    }
}

impl Subscriber for SystemLogs {
    fn record(&mut self, record: &Record<'_>) {
        let mut monitors = self.shared.monitors.lock();
        // A file or a journal that is read for one monitor is read from behind the records that it has.
        let is_shared = monitors.len() > 1 || matches!(record.place, Place::Kernel(_));
        for stateful in monitors.iter_mut() {
            if !is_shared || !stateful.position.is_some_and(|position| position.covers(record.place)) {
                self.handle(stateful, record);
            }
        }
    }

    fn start(&self) -> Timestamp {
        self.shared.monitors.lock().iter().map(|stateful| stateful.monitor.start()).min().unwrap_or_default()
    }

    // That of the monitor furthest behind: the others skip the records that they have.
    fn position(&self, kind: PositionKind) -> Option<Position> {
        let of_kind = |stateful: &StatefulMonitor| stateful.position.filter(|position| position.kind() == kind);
        let first = self.shared.monitors.lock().iter().map(of_kind).min_by_key(|position| match position {
            None => (0, 0),
            Some(Position::Kernel(seq)) => (1, *seq),
            Some(Position::Journal(cursor)) => (1, cursor.at().unix_nanos().cast_unsigned()),
            Some(Position::File(_)) => (1, 0),
        });
        first.flatten()
    }

    fn newest_kernel_record(&self) -> Option<u64> {
        let newest = |stateful: &StatefulMonitor| match stateful.position {
            Some(Position::Kernel(seq)) => Some(seq),
            _ => None,
        };
        self.shared.monitors.lock().iter().filter_map(newest).max()
    }

    fn may_concern(&self, text: &[u8]) -> bool {
        self.shared.monitors.lock().iter().any(|stateful| stateful.monitor.may_concern(text))
    }

    fn passed(&mut self, position: &Position, at: Option<Timestamp>) {
        for stateful in self.shared.monitors.lock().iter_mut() {
            stateful.position = Some(*position);
            stateful.at = at.map_or(stateful.at, |at| stateful.at.max(at));
            stateful.has_read |= at.is_some();
            stateful.dirty = true;
        }
    }

    /// Saves what is not saved yet, if that is due.
    fn rest(&mut self, now: Monotonic) {
        let mut monitors = self.shared.monitors.lock();
        if let Some(newest) = monitors.iter().filter(|stateful| stateful.has_read).map(|stateful| stateful.at).max() {
            self.shared.last_record.set(newest.unix_seconds());
        }
        for stateful in monitors.iter_mut() {
            if stateful.dirty && now.since(stateful.saved) >= SAVE_EVERY {
                stateful.save(true);
                stateful.saved = now;
            }
        }
    }
}

/// The same number for the same finding of the same monitor in the same record.
fn event_id(monitor: &str, record: u64, event: &Event) -> u64 {
    let rule = event.rule.as_deref().unwrap_or_default();
    let texts = [monitor, rule, &event.reason, &event.message].map(str::as_bytes);
    texts.into_iter().fold(fingerprint::extend(fingerprint::EMPTY, &record.to_le_bytes()), fingerprint::extend)
}
