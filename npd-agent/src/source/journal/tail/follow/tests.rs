//! Following a simulated journald that does the worst things at the worst moments.

use std::{cell::Cell, collections::BTreeSet};

use proptest::prelude::*;

use self::{
    warnings::Warnings,
    world::{Handle, Op, Simulation},
};
use super::*;

mod warnings;
mod world;

#[derive(Clone, Debug)]
enum Step {
    Journald(Op),
    Read { most: usize, meanwhile: Vec<Op> },
    Restart,
}

/// Does the steps, reads to the end, and says what was given and what should have been.
fn run(steps: Vec<Step>) -> (Vec<u64>, Vec<u64>) {
    let world = Simulation::default();
    let mut follow = Follow::new(world.clone(), Origin::Since(0));
    for step in steps {
        match step {
            Step::Journald(op) => world.act(op),
            Step::Read { most, meanwhile } => {
                world.0.borrow_mut().meanwhile = meanwhile;
                world.read(&mut follow, most);
                let left = std::mem::take(&mut world.0.borrow_mut().meanwhile);
                for op in left {
                    world.act(op);
                }
            }
            Step::Restart => {
                let origin = follow.position().map_or(Origin::Since(0), Origin::After);
                follow = Follow::new(world.clone(), origin);
                world.0.borrow_mut().changes = Changes::Names;
            }
        }
    }
    world.act(Op::Publish);
    // journald tells once more after its last entry.
    world.0.borrow_mut().tell();
    while world.read(&mut follow, 3) {}
    let given = world.0.borrow().delivered.clone();
    let world = world.0.borrow();
    let entries = world.files.iter().flat_map(|file| &file.entries);
    let wanted: BTreeSet<_> = entries.filter(|entry| entry.wanted).map(|entry| entry.number).collect();
    let expected = wanted.into_iter().filter(|number| given.contains(number) || !world.lost.contains(number)).collect();
    (given, expected)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (any::<bool>(), prop::bool::weighted(0.7)).prop_map(|(user, wanted)| Op::Write { user, wanted }),
        1 => Just(Op::Publish),
        2 => Just(Op::Rotate),
        1 => Just(Op::Overflow),
        1 => Just(Op::Vacuum),
        1 => (1_usize..9).prop_map(Op::FlushSome),
        1 => Just(Op::FlushEnd),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => op().prop_map(Step::Journald),
        3 => (1_usize..9, prop::collection::vec(op(), 0..9)).prop_map(|(most, meanwhile)| Step::Read { most, meanwhile }),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn every_entry_is_given_once_and_in_order_whatever_journald_does(steps in prop::collection::vec(step(), 1..80)) {
        let (given, expected) = run(steps);
        prop_assert_eq!(given, expected);
    }
}

fn write(count: usize) -> impl Iterator<Item = Step> {
    std::iter::repeat_n(Step::Journald(Op::Write { user: false, wanted: true }), count)
}

#[test]
fn an_entry_that_overflowed_its_file_is_given_once_also_by_a_reader_that_ended_between() {
    for restart in [false, true] {
        let mut steps: Vec<_> = write(2).collect();
        let meanwhile = Vec::new();
        steps.push(Step::Journald(Op::Overflow));
        steps.push(Step::Read { most: 3, meanwhile });
        if restart {
            steps.push(Step::Restart);
        }
        steps.extend(write(1));
        assert_eq!(run(steps), (vec![1, 2, 3, 4], vec![1, 2, 3, 4]));
    }
}

#[test]
fn the_same_line_twice_in_one_microsecond_is_two_entries() {
    let world = Simulation::default();
    let mut follow = Follow::new(world.clone(), Origin::Since(0));
    world.act(Op::Write { user: false, wanted: true });
    world.act(Op::Publish);
    let twin = world.0.borrow().files[0].entries[0];
    for rotates in [false, true] {
        if rotates {
            world.act(Op::Rotate);
        }
        let file = world.0.borrow_mut().active(false);
        world.0.borrow_mut().append(file, twin, true);
        world.act(Op::Publish);
    }
    while world.read(&mut follow, 1) {}
    assert_eq!(world.0.borrow().delivered, [1, 1, 1]);
}

#[test]
fn a_file_that_goes_and_comes_back_is_not_given_again() {
    let world = Simulation::default();
    let mut follow = Follow::new(world.clone(), Origin::Since(0));
    let link = |is_linked| {
        world.0.borrow_mut().files[0].is_linked = is_linked;
        world.0.borrow_mut().changes = Changes::Names;
    };
    let deliver = |follow: &mut Follow<Simulation>| while world.read(follow, 1) {};
    world.act(Op::Write { user: false, wanted: true });
    world.act(Op::Publish);
    deliver(&mut follow);
    link(false);
    deliver(&mut follow);
    assert_eq!(follow.files(), 0);
    world.act(Op::Write { user: false, wanted: true });
    world.act(Op::Publish);
    link(true);
    deliver(&mut follow);
    assert_eq!(world.0.borrow().delivered, [1, 2]);
}

#[test]
fn a_damaged_file_is_named_once() {
    let (world, warnings) = (Simulation::default(), Warnings::default());
    let mut follow = Follow::new(world.clone(), Origin::Since(0));
    for _ in 0..3 {
        world.act(Op::Write { user: false, wanted: true });
        world.0.borrow_mut().files[0].is_damaged = true;
        tracing::subscriber::with_default(warnings.clone(), || while world.read(&mut follow, 1) {});
    }
    assert_eq!(world.0.borrow().delivered, [1, 2]);
    assert_eq!(warnings.total(), 1, "{warnings:?}");
}

#[test]
fn what_comes_late_does_not_take_the_position_back() {
    let world = Simulation::default();
    let mut follow = Follow::new(world.clone(), Origin::Since(0));
    for user in [true, false] {
        world.act(Op::Write { user, wanted: true });
    }
    world.act(Op::Publish);
    world.0.borrow_mut().files[0].is_ready = false;
    while world.read(&mut follow, 1) {}
    assert_eq!(world.0.borrow().delivered, [2]);
    let position = follow.position();
    world.0.borrow_mut().files[0].is_ready = true;
    while world.read(&mut follow, 1) {}
    assert_eq!(world.0.borrow().delivered, [2, 1]);
    assert_eq!(follow.position(), position);
}

#[test]
fn a_damaged_header_does_not_hold_back_an_archived_file() {
    let world = Simulation::default();
    let mut follow = Follow::new(world.clone(), Origin::Since(0));
    world.act(Op::Write { user: false, wanted: true });
    world.act(Op::Rotate);
    world.0.borrow_mut().files[0].tail = 0;
    while world.read(&mut follow, 1) {}
    assert_eq!(world.0.borrow().delivered, [1]);
}

#[test]
fn in_the_copy_of_a_microsecond_reading_goes_on_at_the_very_entry() {
    let world = Simulation::default();
    let mut follow = Follow::new(world.clone(), Origin::Since(0));
    for _ in 0..5 {
        world.act(Op::Write { user: false, wanted: true });
    }
    world.act(Op::Publish);
    for entry in &mut world.0.borrow_mut().files[0].entries {
        (entry.cursor.monotonic, entry.cursor.realtime) = (50, 1050);
    }
    world.read(&mut follow, 3);
    world.act(Op::FlushEnd);
    world.act(Op::FlushSome(1));
    world.act(Op::FlushEnd);
    let position = follow.position().unwrap();
    let mut follow = Follow::new(world.clone(), Origin::After(position));
    world.0.borrow_mut().changes = Changes::Names;
    while world.read(&mut follow, 1) {}
    assert_eq!(world.0.borrow().delivered, [1, 2, 3, 4, 5]);
}

#[test]
fn a_file_that_cannot_be_opened_is_tried_again_when_that_may_help() {
    /// One file that never opens.
    #[derive(Debug)]
    struct Closed {
        stamp: u64,
        error: fn() -> FileError,
        opened: Cell<usize>,
    }
    impl JournalFolders for Closed {
        type File = Handle;
        fn changes(&mut self) -> Changes {
            Changes::Content
        }
        fn list(&mut self) -> Vec<Found> {
            let key = FileKey { device: 0, inode: 1 };
            vec![Found { key, path: "/var/a.journal".into(), runtime: false, stamp: (self.stamp, 0) }]
        }
        fn open(&mut self, _: &Found) -> Result<Handle, FileError> {
            self.opened.set(self.opened.get() + 1);
            Err((self.error)())
        }
        fn is_waiting(&self) -> bool {
            true
        }
    }
    let follow = |error| Follow::new(Closed { stamp: 0, error, opened: Cell::default() }, Origin::Since(0));
    let read = |follow: &mut Follow<Closed>, at: u64| {
        follow.read(Monotonic::from_nanos(at * 1_000_000_000), &mut |_| ControlFlow::Break(()));
        (follow.folders.opened.get(), follow.timeout())
    };
    // It may be about to be created; when it stays empty, only a change makes it worth another look.
    let mut empty = follow(|| FileError::Incomplete);
    assert_eq!(read(&mut empty, 10), (1, Some(CREATION)));
    assert_eq!(read(&mut empty, 11), (2, Some(CREATION)));
    assert_eq!(read(&mut empty, 12), (3, Some(MISSING_FOLDER)));
    assert_eq!(read(&mut empty, 13), (3, Some(MISSING_FOLDER)));
    empty.folders.stamp = 1;
    assert_eq!(read(&mut empty, 14), (4, Some(MISSING_FOLDER)));
    // No file descriptor left.
    let mut full = follow(|| FileError::Read(rustix::io::Errno::MFILE.into()));
    assert_eq!(read(&mut full, 10), (1, Some(MISSING_FOLDER)));
    assert_eq!(read(&mut full, 11), (2, Some(MISSING_FOLDER)));
}
