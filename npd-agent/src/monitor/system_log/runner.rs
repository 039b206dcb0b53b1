//! The system log monitors of one source, at work: what they find goes to the exporters, what they know is kept.
//!
//! This is the edge around [`SystemLog`], which is pure. It is shared by three: the source's thread brings records, a
//! timer brings the time, and a changed config file brings another monitor.
//!
//! The order of keeping and reporting is what a restart relies on (see [`state`](crate::state)): news of a record are
//! written down, reported, confirmed. What a record changed without news (a count, a position) is written down within
//! a second; if the agent is killed before, the record is simply read again.

#[cfg(test)]
mod tests;
pub(crate) mod watched;

use std::{mem, path::Path, sync::Arc, time::Duration};

use parking_lot::Mutex;

use prometheus::Gauge;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::watched::Watched;
use crate::{
    detector::Detector,
    fingerprint,
    metrics::AgentMetrics,
    monitor::{
        recheck,
        system_log::{SystemLog, SystemLogState},
    },
    node::Node,
    problem::{Condition, Event, Status},
    record::{Place, Position, PositionKind, Record},
    source::subscriber::Subscriber,
    state::{StateDir, tell},
    time::{Monotonic, Now, Timestamp},
};

/// How long a change without news may stay unwritten.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The monitors of one source. Clones are the same monitors.
#[derive(Clone)]
pub struct SystemLogs {
    shared: Arc<Shared>,
}

/// What the monitor of a config file was, before the file named another log.
pub struct Before {
    state: SystemLogState,
    status: Status,
}

struct Shared {
    monitors: Mutex<Vec<Watched>>,
    detector: Arc<Detector>,
    metrics: AgentMetrics,
    last_record: Gauge,
    /// The source, as metrics name it.
    source: String,
    boot: String,
    node: Node,
    /// Some deadline has changed.
    timer: Notify,
}

// === impl SystemLogs ===

impl SystemLogs {
    /// No monitor yet; `source` is the name in metrics.
    #[must_use]
    pub fn new(source: &str, detector: Arc<Detector>, metrics: AgentMetrics, node: Node) -> Self {
        let shared = Shared {
            monitors: Mutex::new(Vec::new()),
            detector,
            last_record: metrics.last_record.with_label_values(&[source]),
            metrics,
            source: source.to_owned(),
            // Without it, at worst, an event of another boot is taken for the same.
            boot: node.boot_id().unwrap_or_default(),
            node,
            timer: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Adds the monitor of the config file `path` and reports its conditions. It goes on with what the file `state`
    /// says, or else with what another monitor of the same config file knew.
    pub fn add(&self, path: &Path, monitor: SystemLog, state: Option<(&StateDir, &str)>, before: Option<Before>) {
        let memory = state.and_then(|(dir, name)| tell(dir.file(name)));
        let mut watched = Watched::new(path.to_owned(), monitor, memory);
        watched.recall();
        let mut gone = None;
        if let Some(Before { state, status }) = before {
            watched.monitor.restore(state);
            gone = status.no_longer_watched(&watched.monitor.initial_status());
        }
        watched.save(true);
        watched.look_ahead();
        if let Some(gone) = gone {
            self.shared.detector.report(&gone);
        }
        self.shared.detector.report(&watched.monitor.initial_status());
        self.shared.monitors.lock().push(watched);
        self.shared.timer.notify_one();
    }

    /// Puts the monitor of a changed config file into the place of the old one. What belongs to unchanged rules and
    /// conditions goes on.
    pub fn replace(&self, path: &Path, mut monitor: SystemLog) {
        let mut monitors = self.shared.monitors.lock();
        let Some(watched) = monitors.iter_mut().find(|watched| watched.path == path) else { return };
        monitor.restore(watched.monitor.state());
        if watched.position.is_some() {
            monitor.resume();
        } else {
            monitor.resume_after(watched.at);
        }
        let before = std::mem::replace(&mut watched.monitor, monitor).initial_status();
        watched.save(true);
        watched.look_ahead();
        let status = watched.monitor.initial_status();
        drop(monitors);
        if let Some(gone) = before.no_longer_watched(&status) {
            self.shared.detector.report(&gone);
        }
        self.shared.detector.report(&status);
        self.shared.timer.notify_one();
    }

    /// Takes the monitor of a config file away, and gives what it knew.
    #[must_use]
    pub fn remove(&self, path: &Path) -> Option<Before> {
        let mut monitors = self.shared.monitors.lock();
        let index = monitors.iter().position(|watched| watched.path == path)?;
        let mut watched = monitors.remove(index);
        watched.save(true);
        Some(Before { state: watched.monitor.state(), status: watched.monitor.initial_status() })
    }

    /// The conditions of the monitor of a config file, as they are now.
    #[must_use]
    pub fn conditions(&self, path: &Path) -> Vec<Condition> {
        let monitors = self.shared.monitors.lock();
        let watched = monitors.iter().find(|watched| watched.path == path);
        watched.map(|watched| watched.monitor.initial_status().conditions).unwrap_or_default()
    }

    /// Where a source has to go on that gives positions of this kind; nothing when it has never been read. With several
    /// monitors that is where the one that is furthest behind has to, and the others pass over what they have.
    #[must_use]
    pub fn position(&self, kind: PositionKind) -> Option<Position> {
        let of_kind = |watched: &Watched| watched.position.filter(|position| position.kind() == kind);
        let first = self.shared.monitors.lock().iter().map(of_kind).min_by_key(|position| match position {
            None => (0, 0),
            Some(Position::Kernel(seq)) => (1, *seq),
            Some(Position::Journal(cursor)) => (1, cursor.at().unix_nanos().cast_unsigned()),
            Some(Position::File(_)) => (1, 0),
        });
        first.flatten()
    }

    /// The newest sequence number of the kernel log that was taken.
    #[must_use]
    pub fn newest_kernel_record(&self) -> Option<u64> {
        let newest = |watched: &Watched| match watched.position {
            Some(Position::Kernel(seq)) => Some(seq),
            _ => None,
        };
        self.shared.monitors.lock().iter().filter_map(newest).max()
    }

    /// From when on records count that have no known position before them.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.shared.monitors.lock().iter().map(|watched| watched.monitor.start()).min().unwrap_or_default()
    }

    /// Whether anything would become of a record with a text in which `text` stands.
    #[must_use]
    pub fn may_concern(&self, text: &[u8]) -> bool {
        self.shared.monitors.lock().iter().any(|watched| watched.monitor.may_concern(text))
    }

    /// Everything up to `position` was read and is nobody's problem.
    pub fn passed(&self, position: &Position, at: Option<Timestamp>) {
        for watched in self.shared.monitors.lock().iter_mut() {
            watched.position = Some(*position);
            watched.at = at.map_or(watched.at, |at| watched.at.max(at));
            watched.has_read |= at.is_some();
            watched.dirty = true;
        }
    }

    /// Writes down what is not written yet, if that is due.
    pub fn rest(&self, now: Monotonic) {
        let mut monitors = self.shared.monitors.lock();
        if let Some(newest) = monitors.iter().filter(|watched| watched.has_read).map(|watched| watched.at).max() {
            self.shared.last_record.set(newest.unix_seconds());
        }
        for watched in monitors.iter_mut() {
            if watched.dirty && now.since(watched.saved) >= SAVE_EVERY {
                watched.save(true);
                watched.saved = now;
            }
        }
    }

    /// Writes everything down so that it survives a loss of power as well.
    pub fn finish(&self) {
        for watched in self.shared.monitors.lock().iter_mut() {
            watched.save(true);
            if let Some(memory) = &watched.memory {
                tell(memory.sync());
            }
        }
    }

    /// Brings the time until `stop`.
    pub async fn keep_time(self, stop: CancellationToken) {
        loop {
            let now = Now::read().wall;
            let deadline = self.shared.monitors.lock().iter().filter_map(|watched| watched.deadline).min();
            let left = deadline.map(|at| u64::try_from(at.unix_nanos().saturating_sub(now.unix_nanos())).unwrap_or(0));
            let sleep = async {
                match left {
                    // The wall clock can be set: not longer than a while.
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
            // /proc and /sys are asked: not on the thread that serves metrics.
            let asked = tokio::task::spawn_blocking(move || this.tick(Now::read().wall)).await;
            if let Err(error) = asked {
                tracing::error!(%error, "a check of the node's state failed");
            }
        }
    }

    /// Does what is due by `now`.
    pub fn tick(&self, now: Timestamp) {
        let checks = {
            let mut monitors = self.shared.monitors.lock();
            let mut checks = Vec::new();
            for watched in monitors.iter_mut() {
                if watched.deadline.is_none_or(|deadline| deadline > now) {
                    continue;
                }
                watched.monitor.advance(now, &mut watched.found);
                watched.look_ahead();
                self.deliver(watched, None);
                let path = watched.path.clone();
                checks.extend(watched.monitor.checks(now).into_iter().map(|check| (path.clone(), check)));
            }
            checks
        };
        for (path, check) in checks {
            let answer = recheck::ask(&self.shared.node, &check);
            let mut monitors = self.shared.monitors.lock();
            let Some(watched) = monitors.iter_mut().find(|watched| watched.path == path) else { continue };
            let is_news = check.evidence.as_ref() != Some(&answer.evidence);
            watched.monitor.answer(&check, answer, now, &mut watched.found);
            watched.look_ahead();
            self.deliver(watched, None);
            // A silent log brings no other occasion.
            if is_news {
                watched.save(true);
            }
        }
    }

    /// Keeps and reports what was found. `place` is of the record that it was found in.
    fn deliver(&self, watched: &mut Watched, place: Option<Place<'_>>) {
        let Shared { detector, metrics, source, boot, .. } = &*self.shared;
        for reason in watched.found.suppressed.drain(..) {
            metrics.suppressed.with_label_values(&[&**source, &*reason]).inc();
        }
        if watched.found.statuses.is_empty() {
            return;
        }
        let position = place.and_then(Place::position);
        let again = watched.is_in_doubt(position);
        // What no log holds cannot be read again, so it is reported first: better twice than not at all.
        let readable = position.is_some();
        if readable {
            watched.save(false);
        }
        let record = position.map(|position| position.fingerprint(boot));
        for mut status in mem::take(&mut watched.found.statuses) {
            for event in &mut status.events {
                event.again = again;
                event.id = record.map(|record| event_id(&status.monitor, record, event));
            }
            detector.report(&status);
        }
        if readable {
            watched.confirm();
        } else {
            watched.save(true);
        }
    }

    fn take(&self, watched: &mut Watched, record: &Record<'_>) {
        if let Some(position) = record.place.position() {
            // Another kind of log than before, as when the kernel log is read through the journal: where it was left
            // cannot be found in it, so what is newer than the newest known record counts.
            if watched.position.is_some_and(|before| before.kind() != position.kind()) {
                watched.monitor.resume_after(watched.at);
            }
            watched.position = Some(position);
        }
        watched.at = watched.at.max(record.at);
        watched.has_read = true;
        watched.dirty = true;
        if watched.deadline.is_some_and(|deadline| deadline <= record.at) {
            let now = Now::read().wall;
            watched.monitor.advance(record.at.min(now), &mut watched.found);
            watched.look_ahead();
        }
        if watched.monitor.record(record, &mut watched.found) {
            let before = watched.deadline;
            watched.look_ahead();
            if watched.deadline != before {
                self.shared.timer.notify_one();
            }
        }
        if !watched.found.statuses.is_empty() || !watched.found.suppressed.is_empty() {
            self.deliver(watched, Some(record.place));
        }
        if watched.doubt.is_some() && watched.is_in_doubt(record.place.position()) {
            watched.doubt = None;
        }
    }
}

impl Subscriber for SystemLogs {
    fn start(&self) -> Timestamp {
        Self::start(self)
    }

    fn position(&self, kind: PositionKind) -> Option<Position> {
        Self::position(self, kind)
    }

    fn newest_kernel_record(&self) -> Option<u64> {
        Self::newest_kernel_record(self)
    }

    fn may_concern(&self, text: &[u8]) -> bool {
        Self::may_concern(self, text)
    }

    fn passed(&mut self, position: &Position, at: Option<Timestamp>) {
        Self::passed(self, position, at);
    }

    fn record(&mut self, record: &Record<'_>) {
        let mut monitors = self.shared.monitors.lock();
        // A file or a journal that is read for one monitor begins behind what it has.
        let is_shared = monitors.len() > 1 || matches!(record.place, Place::Kernel(_));
        for watched in monitors.iter_mut() {
            if !is_shared || !watched.position.is_some_and(|position| position.covers(record.place)) {
                self.take(watched, record);
            }
        }
    }

    fn rest(&mut self, now: Monotonic) {
        Self::rest(self, now);
    }
}

/// The same number whenever the same monitor says the same of the same record.
fn event_id(monitor: &str, record: u64, event: &Event) -> u64 {
    let rule = event.rule.as_deref().unwrap_or_default();
    let texts = [monitor, rule, &event.reason, &event.message].map(str::as_bytes);
    texts.into_iter().fold(fingerprint::extend(fingerprint::EMPTY, &record.to_le_bytes()), fingerprint::extend)
}
