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

use crate::time::{Monotonic, Now};

/// A step that takes longer does not end any more.
const STUCK: Duration = Duration::from_mins(1);

/// The parts. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    parts: Arc<Mutex<BTreeMap<String, Arc<Vital>>>>,
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
        lock(&self.vital.state).waits_for = None;
    }

    /// It cannot do its work.
    pub fn waits_for(&self, why: &str) {
        let mut state = lock(&self.vital.state);
        if state.waits_for.as_deref() != Some(why) {
            state.waits_for = Some(why.to_owned());
        }
    }

    /// Of several ways to do its work, the one that it takes.
    pub fn takes(&self, way: &'static str) {
        lock(&self.vital.state).way = way;
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
}
