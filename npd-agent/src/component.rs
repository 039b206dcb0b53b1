//! The state of the agent's components: what `/healthz` and `/readyz` report.
//!
//! A component is ready once it can do its work, and states the reason while it cannot. It is stuck when one step takes
//! too long: each step starts with a sign of life, and a component that waits for work is not stuck. There is no timer
//! for this; the duration of the current step is computed on request.

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

/// A component is stuck if a step takes longer.
const STUCK: Duration = Duration::from_mins(1);

/// The components. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Components {
    components: Arc<Mutex<BTreeMap<String, Arc<Shared>>>>,
    /// Marked when the readiness of a component changes.
    changed: watch::Sender<()>,
}

/// One component; dropping this removes it.
#[derive(Debug)]
pub struct Component {
    name: String,
    shared: Arc<Shared>,
    components: Components,
}

/// Whether a component can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can; the text is its mode of operation, if there are several.
    Ready(&'static str),
    /// It cannot, and why.
    Waiting(String),
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// When the current step began, in monotonic nanoseconds; 0 while it waits.
    at_work_since: AtomicU64,
}

#[derive(Debug)]
struct State {
    mode: &'static str,
    waits_for: Option<String>,
}

// === impl Components ===

impl Components {
    /// Adds a component, which is not ready yet.
    #[must_use]
    pub fn add(&self, name: &str) -> Component {
        let state = Mutex::new(State { mode: "", waits_for: Some("starting".to_owned()) });
        let shared = Arc::new(Shared { state, at_work_since: AtomicU64::new(0) });
        self.components.lock().insert(name.to_owned(), Arc::clone(&shared));
        self.changed.send_replace(());
        Component { name: name.to_owned(), shared, components: self.clone() }
    }

    /// All components with their readiness, by name.
    #[must_use]
    pub fn readiness(&self) -> Vec<(String, Readiness)> {
        let readiness = |shared: &Shared| match &*shared.state.lock() {
            State { waits_for: Some(why), .. } => Readiness::Waiting(why.clone()),
            State { mode, .. } => Readiness::Ready(mode),
        };
        self.components.lock().iter().map(|(name, shared)| (name.clone(), readiness(shared))).collect()
    }

    /// Notifies when a component is added, removed, or changes its readiness.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The stuck components, and how long their current step has taken.
    #[must_use]
    pub fn stuck(&self, now: Monotonic) -> Vec<(String, Duration)> {
        let parts = self.components.lock();
        let at_work = parts.iter().filter_map(|(name, shared)| {
            let since = shared.at_work_since.load(Ordering::Relaxed);
            (since != 0).then(|| (name.clone(), now.since(Monotonic::from_nanos(since))))
        });
        at_work.filter(|(_, time)| *time > STUCK).collect()
    }
}

// === impl Component ===

impl Component {
    /// Sets that it can do its work.
    pub fn set_ready(&self) {
        if self.shared.state.lock().waits_for.take().is_some() {
            self.components.changed.send_replace(());
        }
    }

    /// Sets that it cannot do its work, and why.
    pub fn set_waiting(&self, why: &str) {
        let mut state = self.shared.state.lock();
        if state.waits_for.as_deref() != Some(why) {
            state.waits_for = Some(why.to_owned());
            drop(state);
            self.components.changed.send_replace(());
        }
    }

    /// Sets which of several ways to do its work it uses.
    pub fn set_mode(&self, mode: &'static str) {
        if std::mem::replace(&mut self.shared.state.lock().mode, mode) != mode {
            self.components.changed.send_replace(());
        }
    }

    /// A sign of life: a step begins.
    pub fn begin_step(&self) {
        self.begin_step_at(Now::read().mono);
    }

    /// The current step began at `then`.
    pub(crate) fn begin_step_at(&self, then: Monotonic) {
        self.shared.at_work_since.store(then.nanos(), Ordering::Relaxed);
    }

    /// The step is done: it waits for work.
    pub fn end_step(&self) {
        self.shared.at_work_since.store(0, Ordering::Relaxed);
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        let mut parts = self.components.components.lock();
        // A component of the same name may have replaced it.
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
    fn a_component_is_stuck_when_a_step_does_not_end_and_never_while_it_waits() {
        let components = Components::default();
        let component = components.add("reader");
        let later = |seconds| Now::read().mono.after(Duration::from_secs(seconds));
        assert_eq!(components.stuck(later(1000)), [], "no step has begun");
        component.begin_step();
        assert_eq!(components.stuck(later(50)), []);
        let stuck = components.stuck(later(70));
        assert!(stuck.len() == 1 && stuck[0].0 == "reader" && stuck[0].1 > STUCK, "{stuck:?}");
        component.end_step();
        assert_eq!(components.stuck(later(1000)), []);
    }

    #[test]
    fn a_component_states_what_it_waits_for_and_is_removed_with_its_handle() {
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
    fn only_changes_of_readiness_are_notified() {
        let components = Components::default();
        let mut changes = components.changes();
        let mut notified = || {
            let is_marked = changes.has_changed().unwrap();
            changes.mark_unchanged();
            is_marked
        };
        assert!(!notified());
        let component = components.add("reader");
        assert!(notified(), "it was added");
        let mut twice = |step: &dyn Fn(&Component), name: &str| {
            step(&component);
            assert!(notified(), "it {name}");
            step(&component);
            assert!(!notified(), "it {name} as before");
        };
        twice(&|component| component.set_waiting("a file"), "waits");
        twice(&|component| component.set_mode("by hand"), "sets its mode");
        twice(&Component::set_ready, "is ready");
        component.begin_step();
        component.end_step();
        assert!(!notified(), "a sign of life is not a change");
        drop(component);
        assert!(notified(), "it was removed");
    }
}
