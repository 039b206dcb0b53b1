//! How the parts of the agent are: what `/healthz` and `/readyz` tell.
//!
//! A part is ready once it can do its work, and says why while it cannot. It is stuck when it has worked at one step
//! for too long: each step ends with a sign of life, and who waits for something to do is not stuck. Nothing ticks
//! for that; how long a step takes is found out when somebody asks.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use tokio::sync::watch;

use crate::time::{Monotonic, Now};

/// A step that takes longer does not end any more.
const STUCK: Duration = Duration::from_mins(1);

/// The parts. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Components {
    parts: Arc<Mutex<BTreeMap<String, Arc<Shared>>>>,
    /// Marked when the readiness of a part is another.
    changed: watch::Sender<()>,
}

/// One part; it is no longer one when this is dropped.
#[derive(Debug)]
pub struct Component {
    name: String,
    shared: Arc<Shared>,
    components: Components,
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
struct Shared {
    state: Mutex<State>,
    /// When the step began that it works at, in monotonic nanoseconds; 0 while it waits.
    at_work_since: AtomicU64,
}

#[derive(Debug)]
struct State {
    way: &'static str,
    waits_for: Option<String>,
}

// === impl Components ===

impl Components {
    /// Adds a component, which is not ready yet.
    #[must_use]
    pub fn add(&self, name: &str) -> Component {
        let state = Mutex::new(State { way: "", waits_for: Some("it starts".to_owned()) });
        let shared = Arc::new(Shared { state, at_work_since: AtomicU64::new(0) });
        self.parts.lock().insert(name.to_owned(), Arc::clone(&shared));
        self.changed.send_replace(());
        Component { name: name.to_owned(), shared, components: self.clone() }
    }

    /// All parts with their readiness, by name.
    #[must_use]
    pub fn readiness(&self) -> Vec<(String, Readiness)> {
        let readiness = |shared: &Shared| match &*shared.state.lock() {
            State { waits_for: Some(why), .. } => Readiness::Waiting(why.clone()),
            State { way, .. } => Readiness::Ready(way),
        };
        self.parts.lock().iter().map(|(name, shared)| (name.clone(), readiness(shared))).collect()
    }

    /// Tells when a part comes, goes, or has another readiness.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The parts that are stuck, with how long they have been.
    #[must_use]
    pub fn stuck(&self, now: Monotonic) -> Vec<(String, Duration)> {
        let parts = self.parts.lock();
        let at_work = parts.iter().filter_map(|(name, shared)| {
            let since = shared.at_work_since.load(Ordering::Relaxed);
            (since != 0).then(|| (name.clone(), now.since(Monotonic::from_nanos(since))))
        });
        at_work.filter(|(_, time)| *time > STUCK).collect()
    }
}

// === impl Component ===

impl Component {
    /// It can do its work.
    pub fn set_ready(&self) {
        if self.shared.state.lock().waits_for.take().is_some() {
            self.components.changed.send_replace(());
        }
    }

    /// It cannot do its work.
    pub fn set_waiting(&self, why: &str) {
        let mut state = self.shared.state.lock();
        if state.waits_for.as_deref() != Some(why) {
            state.waits_for = Some(why.to_owned());
            drop(state);
            self.components.changed.send_replace(());
        }
    }

    /// Of several ways to do its work, the one that it takes.
    pub fn set_mode(&self, way: &'static str) {
        if std::mem::replace(&mut self.shared.state.lock().way, way) != way {
            self.components.changed.send_replace(());
        }
    }

    /// A sign of life: it begins a step.
    pub fn begin_step(&self) {
        self.begin_step_at(Now::read().mono);
    }

    /// It began its step then.
    pub(crate) fn begin_step_at(&self, then: Monotonic) {
        self.shared.at_work_since.store(then.nanos(), Ordering::Relaxed);
    }

    /// It has nothing to do but to wait.
    pub fn end_step(&self) {
        self.shared.at_work_since.store(0, Ordering::Relaxed);
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        let mut parts = self.components.parts.lock();
        // A part of the same name may have taken its place.
        if parts.get(&self.name).is_some_and(|shared| Arc::ptr_eq(shared, &self.shared)) {
            parts.remove(&self.name);
            drop(parts);
            self.components.changed.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_stuck_when_a_step_does_not_end_and_never_while_it_waits() {
        let components = Components::default();
        let component = components.add("reader");
        let later = |seconds| Now::read().mono.after(Duration::from_secs(seconds));
        assert_eq!(components.stuck(later(1000)), [], "it has not begun");
        component.begin_step();
        assert_eq!(components.stuck(later(50)), []);
        let stuck = components.stuck(later(70));
        assert!(stuck.len() == 1 && stuck[0].0 == "reader" && stuck[0].1 > STUCK, "{stuck:?}");
        component.end_step();
        assert_eq!(components.stuck(later(1000)), []);
    }

    #[test]
    fn a_part_says_what_it_waits_for_and_is_gone_with_its_handle() {
        let components = Components::default();
        let component = components.add("reader");
        component.set_waiting("a file");
        assert_eq!(components.readiness(), [("reader".to_owned(), Readiness::Waiting("a file".to_owned()))]);
        let next = components.add("reader");
        next.set_mode("by hand");
        next.set_ready();
        drop(component);
        assert_eq!(components.readiness(), [("reader".to_owned(), Readiness::Ready("by hand"))]);
        drop(next);
        assert_eq!(components.readiness(), []);
    }

    #[test]
    fn a_change_of_readiness_is_told_and_what_stays_is_not() {
        let components = Components::default();
        let mut changes = components.changes();
        let mut told = || {
            let told = changes.has_changed().unwrap();
            changes.mark_unchanged();
            told
        };
        assert!(!told());
        let component = components.add("reader");
        assert!(told(), "it has come");
        let mut twice = |step: &dyn Fn(&Component), name: &str| {
            step(&component);
            assert!(told(), "it {name}");
            step(&component);
            assert!(!told(), "it {name} as before");
        };
        twice(&|component| component.set_waiting("a file"), "waits");
        twice(&|component| component.set_mode("by hand"), "takes a way");
        twice(&Component::set_ready, "is ready");
        component.begin_step();
        component.end_step();
        assert!(!told(), "a sign of life is no change");
        drop(component);
        assert!(told(), "it has gone");
    }
}
