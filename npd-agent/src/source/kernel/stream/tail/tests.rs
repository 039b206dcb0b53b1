//! [`Tail`] against a simulated kernel: a printk log with a window, a ring buffer with a capacity, records in
//! fragments, records that two CPUs submit in the wrong order, and a printer that goes on while it is read.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use npd_common::Header;
use proptest::prelude::*;

use super::{super::merge::Line, *};
use crate::source::kernel::kmsg::KmsgRecord;

const BASE: u64 = 0xffff_f000;

#[derive(Debug, Default)]
struct Kernel {
    records: Vec<Printed>,
    ring: VecDeque<Vec<u8>>,
    ring_capacity: usize,
    window: usize,
    position: u64,
    overrun: bool,
    evicted: bool,
    /// What is printed while the agent reads: one entry at each read of /dev/kmsg.
    meanwhile: VecDeque<Print>,
    clock: u64,
}

#[derive(Clone, Debug)]
struct Printed {
    text: Vec<u8>,
    complete: bool,
    /// A fragment of it did not get into the ring.
    holed: bool,
}

#[derive(Clone, Debug)]
struct Print {
    fragments: Vec<(u8, bool)>,
    newline: bool,
    late: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Print(Print),
    Meanwhile(Print),
    Cycle,
}

impl Kernel {
    fn print(&mut self, print: &Print) {
        let seq = self.records.len() as u64;
        if let Some(last) = self.records.last_mut() {
            last.complete = true;
        }
        self.records.push(Printed { text: Vec::new(), complete: false, holed: false });
        let address = 0x1000_0000 + seq * 4096;
        for (index, (size, missed)) in print.fragments.iter().enumerate() {
            let last = index + 1 == print.fragments.len();
            let fragment = format!("{seq}.{index}{}", "x".repeat(usize::from(*size)));
            let Some(record) = self.records.last_mut() else { unreachable!() };
            let at = address + record.text.len() as u64;
            let block = match record.text.last_chunk::<8>() {
                Some(text) => u64::from_ne_bytes(*text),
                None if index > 0 => u64::from_ne_bytes(*b"\0\0\0\0\0\0\0x"),
                None => BASE + seq,
            };
            record.text.extend_from_slice(fragment.as_bytes());
            let complete = last && print.newline;
            record.complete = complete;
            if *missed || self.ring.len() >= self.ring_capacity {
                record.holed = true;
                continue;
            }
            let mut bytes = Vec::new();
            bytes.extend_from_slice(&self.clock.to_ne_bytes());
            bytes.extend_from_slice(&at.to_ne_bytes());
            bytes.extend_from_slice(&(fragment.len() as u16).to_ne_bytes());
            bytes.extend_from_slice(&[0; 6]);
            bytes.extend_from_slice(&block.to_ne_bytes());
            bytes.extend_from_slice(fragment.as_bytes());
            bytes.extend_from_slice(if complete { b"\n\0\0" } else { b"\0\0\0" });
            assert!(bytes.len() >= size_of::<Header>());
            // Another CPU submits its whole line a moment before this one does.
            if print.late && index == 0 && complete && !self.ring.is_empty() {
                let at = self.ring.len() - 1;
                if self.ring[at].ends_with(b"\n\0\0") {
                    self.ring.insert(at, bytes);
                    continue;
                }
            }
            self.ring.push_back(bytes);
        }
        let oldest = self.records.len().saturating_sub(self.window) as u64;
        if self.position < oldest {
            self.position = oldest;
            self.overrun = true;
            self.evicted = true;
        }
    }
}

struct SimRing(Rc<RefCell<Kernel>>);
struct SimKmsg {
    kernel: Rc<RefCell<Kernel>>,
    buffer: Vec<u8>,
}

impl Ring for SimRing {
    fn next(&mut self, take: &mut impl FnMut(&[u8])) -> bool {
        let record = self.0.borrow_mut().ring.pop_front();
        record.is_some_and(|record| {
            take(&record);
            true
        })
    }
}

impl KmsgLog for SimKmsg {
    fn read(&mut self) -> io::Result<KmsgRead<'_>> {
        let mut kernel = self.kernel.borrow_mut();
        if let Some(print) = kernel.meanwhile.pop_front() {
            kernel.print(&print);
        }
        if std::mem::take(&mut kernel.overrun) {
            return Ok(KmsgRead::Overrun);
        }
        let seq = kernel.position;
        match kernel.records.get(usize::try_from(seq).unwrap()) {
            Some(record) if record.complete => {
                self.buffer = format!("6,{seq},0,-;{}\n", String::from_utf8_lossy(&record.text)).into_bytes();
                kernel.position += 1;
                drop(kernel);
                Ok(KmsgRecord::parse(&self.buffer).map_or(KmsgRead::Malformed, KmsgRead::Record))
            }
            _ => Ok(KmsgRead::End),
        }
    }

    fn seek_end(&mut self) -> io::Result<()> {
        let mut kernel = self.kernel.borrow_mut();
        kernel.overrun = false;
        kernel.position = kernel.records.iter().take_while(|record| record.complete).count() as u64;
        Ok(())
    }

    fn seek_oldest(&mut self) -> io::Result<()> {
        let mut kernel = self.kernel.borrow_mut();
        kernel.overrun = false;
        kernel.position = kernel.records.len().saturating_sub(kernel.window) as u64;
        Ok(())
    }
}

#[derive(Default)]
struct Delivered {
    lines: Vec<(u64, Vec<u8>)>,
    lost: u64,
}

impl Output for Delivered {
    fn line(&mut self, line: Line<'_>) {
        self.lines.push((line.seq, line.text.to_vec()));
    }

    fn lost(&mut self, records: u64) {
        self.lost += records;
    }
}

impl Sink for Delivered {
    fn event(&mut self, _: &Header, _: &[u8]) {}
}

fn print() -> impl Strategy<Value = Print> {
    let fragment = (0_u8..20, proptest::bool::weighted(0.02));
    (
        prop_oneof![4 => proptest::collection::vec(fragment.clone(), 1), 1 => proptest::collection::vec(fragment, 2..5)],
        proptest::bool::weighted(0.9),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|(fragments, newline, late)| Print { fragments, newline, late })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => print().prop_map(Step::Print),
        3 => print().prop_map(Step::Meanwhile),
        3 => Just(Step::Cycle),
    ];
    proptest::collection::vec(step, 1..300)
}

struct Run {
    kernel: Rc<RefCell<Kernel>>,
    ring: Option<SimRing>,
    kmsg: Option<SimKmsg>,
    tail: Tail,
    out: Delivered,
    now: u64,
}

impl Run {
    fn new(ring_capacity: usize, window: usize, tail: Tail, with_kmsg: bool) -> Self {
        let kernel = Rc::new(RefCell::new(Kernel { ring_capacity, window, ..Kernel::default() }));
        let kmsg = with_kmsg.then(|| SimKmsg { kernel: kernel.clone(), buffer: Vec::new() });
        let mut run =
            Self { ring: Some(SimRing(kernel.clone())), kmsg, kernel, tail, out: Delivered::default(), now: 0 };
        run.tail.merge.start_at(if with_kmsg { 0 } else { BASE });
        run.tail.anchored = true;
        run
    }

    fn cycle(&mut self, pass: Duration) -> Cycle {
        self.now += pass.as_nanos() as u64;
        self.kernel.borrow_mut().clock = self.now;
        let now = Monotonic::from_nanos(self.now);
        self.tail.cycle(&mut self.ring, &mut self.kmsg, now, &mut self.out).unwrap()
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Print(print) => self.kernel.borrow_mut().print(print),
                Step::Meanwhile(print) => self.kernel.borrow_mut().meanwhile.push_back(print.clone()),
                Step::Cycle => {
                    self.cycle(Duration::from_millis(1));
                }
            }
        }
    }

    /// Nothing more is printed; everything that can be known becomes known.
    fn settle(&mut self) {
        self.kernel.borrow_mut().meanwhile.clear();
        for _ in 0..6 {
            self.cycle(Duration::from_secs(2));
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let kernel = self.kernel.borrow();
        prop_assert!(self.out.lines.is_sorted_by(|a, b| a.0 < b.0), "out of order or twice: {:?}", self.out.lines);
        for (seq, text) in &self.out.lines {
            let record = &kernel.records[usize::try_from(*seq).unwrap()];
            // A missed fragment after the last one that was seen cannot be noticed.
            let excused = record.holed && (kernel.evicted || self.kmsg.is_none() || !record.complete);
            prop_assert!(record.text == *text || excused, "record {seq} is cut for no reason");
        }
        let open = u64::from(kernel.records.last().is_some_and(|last| !last.complete && last.holed));
        let known = self.out.lines.len() as u64 + self.out.lost;
        let total = kernel.records.len() as u64;
        prop_assert!(known == total || known + open == total, "{known} of {total} records accounted for");
        for (seq, record) in kernel.records.iter().enumerate() {
            let delivered = self.out.lines.iter().any(|line| line.0 == seq as u64);
            prop_assert!(delivered || record.holed || !record.complete, "record {seq} is lost for no reason");
        }
        if !kernel.evicted && self.kmsg.is_some() {
            prop_assert_eq!(self.out.lost, 0, "/dev/kmsg had everything");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn each_record_comes_once_and_in_order_or_is_counted_lost(
        steps in steps(),
        ring_capacity in prop_oneof![Just(5_usize), Just(40), Just(10_000)],
        window in prop_oneof![Just(3_usize), Just(20), Just(10_000)],
    ) {
        let mut run = Run::new(ring_capacity, window, Tail::new(ProbeRole::Lines(Sequencer::with_base(BASE))), true);
        run.steps(&steps);
        run.settle();
        run.check()?;
    }

    #[test]
    fn without_a_probe_each_record_comes_once_or_is_counted_lost(
        steps in steps(),
        window in prop_oneof![Just(3_usize), Just(20), Just(10_000)],
    ) {
        let mut run = Run::new(0, window, Tail::new(ProbeRole::Unused), true);
        run.ring = None;
        run.steps(&steps);
        run.settle();
        run.check()?;
    }

    #[test]
    fn without_kmsg_each_record_comes_once_or_is_counted_lost(steps in steps(), ring_capacity in prop_oneof![Just(5_usize), Just(10_000)]) {
        let mut run = Run::new(ring_capacity, 0, Tail::without_kmsg(Sequencer::uncalibrated()), false);
        run.steps(&steps);
        run.settle();
        // Block ids are the sequence numbers of this mode.
        for (seq, _) in &mut run.out.lines {
            *seq -= BASE;
        }
        let kernel = run.kernel.borrow();
        // Nothing follows the last record that was seen, so those after it cannot be noticed.
        let last = run.out.lines.last().map_or(0, |line| line.0 + 1);
        let unknown = kernel.records.len() as u64 - last;
        drop(kernel);
        run.out.lost += unknown;
        run.check()?;
    }
}

#[test]
fn a_hole_at_the_end_of_a_flood_is_found_when_it_is_quiet() {
    let mut run = Run::new(10_000, 10_000, Tail::new(ProbeRole::Lines(Sequencer::with_base(BASE))), true);
    for index in 0..100 {
        run.kernel.borrow_mut().print(&Print { fragments: vec![(1, index == 99)], newline: true, late: false });
    }
    run.cycle(Duration::from_millis(1));
    assert_eq!(run.out.lines.len(), 99, "the flood is not followed in /dev/kmsg");
    assert!(run.tail.deadline(Monotonic::from_nanos(run.now)).is_some());
    run.cycle(Duration::from_millis(60));
    assert_eq!(run.out.lines.len(), 100);
    assert_eq!(run.tail.deadline(Monotonic::from_nanos(run.now)), None);
}

#[test]
fn a_probe_that_goes_silent_is_noticed() {
    let mut run = Run::new(10_000, 10_000, Tail::new(ProbeRole::Lines(Sequencer::with_base(BASE))), true);
    let print = |run: &Run, missed| {
        run.kernel.borrow_mut().print(&Print { fragments: vec![(1, missed)], newline: true, late: false });
    };
    print(&run, false);
    assert!(!run.cycle(Duration::from_millis(1)).silent);
    for index in 0..SILENT_AFTER {
        print(&run, true);
        assert_eq!(run.cycle(Duration::from_millis(1)).silent, index + 1 == SILENT_AFTER, "after {index}");
    }
    assert_eq!(run.out.lines.len(), 1 + SILENT_AFTER as usize, "the lines came all the same");
}

#[test]
fn a_wrong_base_is_noticed() {
    let mut run = Run::new(10_000, 10_000, Tail::new(ProbeRole::Lines(Sequencer::with_base(BASE - 1))), true);
    for size in 0..3 {
        run.kernel.borrow_mut().print(&Print { fragments: vec![(size, false)], newline: true, late: false });
    }
    assert!(run.cycle(Duration::from_millis(1)).disagrees);
}

#[test]
fn a_doorbell_is_calibrated_by_its_nonce() {
    let role = ProbeRole::Doorbell(Calibration::new(Some("1.0")));
    let mut run = Run::new(10_000, 10_000, Tail::new(role), true);
    for _ in 0..3 {
        run.kernel.borrow_mut().print(&Print { fragments: vec![(0, false)], newline: true, late: false });
    }
    let cycle = run.cycle(Duration::from_millis(1));
    assert_eq!(cycle.calibrated, Some(Sequencer::with_base(BASE)));
    assert_eq!(run.out.lines.len(), 3);
    run.tail.set_role(ProbeRole::Lines(Sequencer::with_base(BASE)));
    run.kernel.borrow_mut().print(&Print { fragments: vec![(0, false)], newline: true, late: false });
    run.cycle(Duration::from_millis(1));
    assert_eq!(run.out.lines.last(), Some(&(3, b"3.0".to_vec())));
}
