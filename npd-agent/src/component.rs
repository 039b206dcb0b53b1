//! How the parts of the agent are: what `/healthz` and `/readyz` tell.
//!
//! A part is ready once it can do its work, and says why while it cannot. It is stuck when it has worked at one step
//! for too long: each step ends with a sign of life, and who waits for something to do is not stuck. Nothing ticks
//! for that; how long a step takes is found out when somebody asks.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use crate::time::{Monotonic, Now};

/// A step that takes longer does not end any more.
const STUCK: Duration = Duration::from_mins(1);

/// The parts. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    parts: Arc<Mutex<BTreeMap<String, Arc<Vital>>>>,
    /// Marked when the readiness of a part is another.
    changed: watch::Sender<()>,
}

/// One part; it is no longer one when this is dropped.
#[derive(Debug)]
pub struct Part {
    name: String,
    vital: Arc<Vital>,
    vitals: Vitals,
}

/// Whether a part can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can; the text says in which way, if there are several.
    Ready(&'static str),
    /// It cannot, and why.
    Waiting(String),
}

#[derive(Debug)]
struct Vital {
    state: Mutex<State>,
    /// When the step began that it works at, in monotonic nanoseconds; 0 while it waits.
    at_work_since: AtomicU64,
}

#[derive(Debug)]
struct State {
    way: &'static str,
    waits_for: Option<String>,
}

// === impl Vitals ===

impl Vitals {
    /// Adds a part, which is not ready yet.
    #[must_use]
    pub fn part(&self, name: &str) -> Part {
        let state = Mutex::new(State { way: "", waits_for: Some("it starts".to_owned()) });
        let vital = Arc::new(Vital { state, at_work_since: AtomicU64::new(0) });
        lock(&self.parts).insert(name.to_owned(), Arc::clone(&vital));
        self.changed.send_replace(());
        Part { name: name.to_owned(), vital, vitals: self.clone() }
    }

    /// All parts with their readiness, by name.
    #[must_use]
    pub fn readiness(&self) -> Vec<(String, Readiness)> {
        let readiness = |vital: &Vital| match &*lock(&vital.state) {
            State { waits_for: Some(why), .. } => Readiness::Waiting(why.clone()),
            State { way, .. } => Readiness::Ready(way),
        };
        lock(&self.parts).iter().map(|(name, vital)| (name.clone(), readiness(vital))).collect()
    }

    /// Tells when a part comes, goes, or has another readiness.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The parts that are stuck, with how long they have been.
    #[must_use]
    pub fn stuck(&self, now: Monotonic) -> Vec<(String, Duration)> {
        let parts = lock(&self.parts);
        let at_work = parts.iter().filter_map(|(name, vital)| {
            let since = vital.at_work_since.load(Ordering::Relaxed);
            (since != 0).then(|| (name.clone(), now.since(Monotonic::from_nanos(since))))
        });
        at_work.filter(|(_, time)| *time > STUCK).collect()
    }
}

// === impl Part ===

impl Part {
    /// It can do its work.
    pub fn is_ready(&self) {
        if lock(&self.vital.state).waits_for.take().is_some() {
            self.vitals.changed.send_replace(());
        }
    }

    /// It cannot do its work.
    pub fn waits_for(&self, why: &str) {
        let mut state = lock(&self.vital.state);
        if state.waits_for.as_deref() != Some(why) {
            state.waits_for = Some(why.to_owned());
            drop(state);
            self.vitals.changed.send_replace(());
        }
    }

    /// Of several ways to do its work, the one that it takes.
    pub fn takes(&self, way: &'static str) {
        if std::mem::replace(&mut lock(&self.vital.state).way, way) != way {
            self.vitals.changed.send_replace(());
        }
    }

    /// A sign of life: it begins a step.
    pub fn works(&self) {
        self.works_since(Now::read().mono);
    }

    /// It began its step then.
    pub(crate) fn works_since(&self, then: Monotonic) {
        self.vital.at_work_since.store(then.nanos(), Ordering::Relaxed);
    }

    /// It has nothing to do but to wait.
    pub fn rests(&self) {
        self.vital.at_work_since.store(0, Ordering::Relaxed);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut parts = lock(&self.vitals.parts);
        // A part of the same name may have taken its place.
        if parts.get(&self.name).is_some_and(|vital| Arc::ptr_eq(vital, &self.vital)) {
            parts.remove(&self.name);
            drop(parts);
            self.vitals.changed.send_replace(());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_stuck_when_a_step_does_not_end_and_never_while_it_waits() {
        let vitals = Vitals::default();
        let part = vitals.part("reader");
        let later = |seconds| Now::read().mono.after(Duration::from_secs(seconds));
        assert_eq!(vitals.stuck(later(1000)), [], "it has not begun");
        part.works();
        assert_eq!(vitals.stuck(later(50)), []);
        let stuck = vitals.stuck(later(70));
        assert!(stuck.len() == 1 && stuck[0].0 == "reader" && stuck[0].1 > STUCK, "{stuck:?}");
        part.rests();
        assert_eq!(vitals.stuck(later(1000)), []);
    }

    #[test]
    fn a_part_says_what_it_waits_for_and_is_gone_with_its_handle() {
        let vitals = Vitals::default();
        let part = vitals.part("reader");
        part.waits_for("a file");
        assert_eq!(vitals.readiness(), [("reader".to_owned(), Readiness::Waiting("a file".to_owned()))]);
        let next = vitals.part("reader");
        next.takes("by hand");
        next.is_ready();
        drop(part);
        assert_eq!(vitals.readiness(), [("reader".to_owned(), Readiness::Ready("by hand"))]);
        drop(next);
        assert_eq!(vitals.readiness(), []);
    }

    #[test]
    fn a_change_of_readiness_is_told_and_what_stays_is_not() {
        let vitals = Vitals::default();
        let mut changes = vitals.changes();
        let mut told = || {
            let told = changes.has_changed().unwrap();
            changes.mark_unchanged();
            told
        };
        assert!(!told());
        let part = vitals.part("reader");
        assert!(told(), "it has come");
        let mut twice = |step: &dyn Fn(&Part), name: &str| {
            step(&part);
            assert!(told(), "it {name}");
            step(&part);
            assert!(!told(), "it {name} as before");
        };
        twice(&|part| part.waits_for("a file"), "waits");
        twice(&|part| part.takes("by hand"), "takes a way");
        twice(&Part::is_ready, "is ready");
        part.works();
        part.rests();
        assert!(!told(), "a sign of life is no change");
        drop(part);
        assert!(told(), "it has gone");
    }
}
