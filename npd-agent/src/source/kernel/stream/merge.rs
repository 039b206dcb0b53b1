//! The kernel log as one sequence: two streams of it, merged.
//!
//! Every record has a sequence number. The ring buffer of the printk probe keeps the *oldest* records of a flood
//! and gives them in fragments, almost in order, some dropped; /dev/kmsg keeps the *newest* and gives them whole.
//! [`Merge`] delivers each sequence number exactly once and in order, from whichever stream first has a complete
//! copy, and counts exactly those that neither had. It is pure: it reads nothing, and time is an argument.
//!
//! The order of calls is what exactness rests on: the probe fires before a record can be read from /dev/kmsg. So
//! when /dev/kmsg jumps over a record, and the ring is drained *after* that and did not have it, it is lost.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    problem::Fields,
    record::Priority,
    source::kernel::{kmsg::KmsgRecord, stream::fragment::Fragment},
    time::Monotonic,
};

/// How long a record that /dev/kmsg cannot return yet may keep others waiting: one that a CPU has reserved and not
/// finished, or one without its newline that is never continued.
const PATIENCE: Duration = Duration::from_secs(1);
/// Without /dev/kmsg a hole can only be a record that another CPU is about to submit.
const PATIENCE_WITHOUT_KMSG: Duration = Duration::from_millis(20);
/// The maximum of text that waits, in bytes. Beyond it the oldest hole is given up.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// One line of the kernel log, whole, borrowed from where it was read.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// Its sequence number.
    pub seq: u64,
    /// Its text.
    pub text: &'a [u8],
    /// When it was printed.
    pub time: Monotonic,
    /// What only /dev/kmsg has; `None` for a line from the ring.
    pub kmsg: Option<Details>,
}

/// What /dev/kmsg has beside the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Details {
    /// Severity and facility.
    pub priority: Priority,
    /// The dictionary.
    pub fields: Fields,
}

/// Where merged lines go.
pub(crate) trait Output {
    /// Takes the next line.
    fn line(&mut self, line: Line<'_>);
    /// Counts this many records as finally lost.
    fn lost(&mut self, records: u64);
}

/// Whether a record that both streams had was the same in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// Nothing to compare.
    Unknown,
    /// The same.
    Same,
    /// Different: the sequence numbers of the ring are wrong.
    Different,
}

/// The merge of the two streams.
#[derive(Debug)]
pub(crate) struct Merge {
    /// The lowest sequence number that is neither delivered nor given up.
    next: u64,
    /// Whether /dev/kmsg is there to fill holes.
    with_kmsg: bool,
    /// Records from `next` on that wait for their turn or for their end.
    waiting: BTreeMap<u64, Waiting>,
    waiting_bytes: usize,
    /// The record that a continuation would belong to.
    open: Option<u64>,
    sample: RingSample,
    /// By how many nanoseconds the probes' clock was ahead of the log's at the last sample.
    clock_lead: i64,
}

/// A sample of the ring's lines is compared with /dev/kmsg: copying each line would cost more than everything else.
#[derive(Debug)]
enum RingSample {
    Off,
    /// The next line of the ring is the sample.
    Armed(Vec<u8>),
    /// The sample waits for its copy.
    Taken {
        seq: u64,
        time: Monotonic,
        text: Vec<u8>,
    },
}

#[derive(Debug)]
struct Waiting {
    text: Vec<u8>,
    time: Monotonic,
    /// The address where a continuation would start.
    end: u64,
    complete: bool,
}

// === impl Merge ===

impl Merge {
    /// A merge that delivers from sequence number `next` on.
    #[must_use]
    pub(crate) fn new(next: u64, with_kmsg: bool) -> Self {
        Self {
            next,
            with_kmsg,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            open: None,
            sample: RingSample::Off,
            clock_lead: 0,
        }
    }

    /// The lowest sequence number that is neither delivered nor given up.
    #[must_use]
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// By how many nanoseconds the probes' clock is ahead of /dev/kmsg's. The two drift apart over weeks.
    #[must_use]
    pub(crate) const fn clock_lead(&self) -> i64 {
        self.clock_lead
    }

    /// Whether a record at or after [`Self::next`] is known to exist that only /dev/kmsg can complete now.
    #[must_use]
    pub(crate) fn wants_kmsg(&self) -> bool {
        self.with_kmsg && !self.waiting.is_empty()
    }

    /// Whether this record was delivered, given up, or waits.
    #[must_use]
    pub(crate) fn knows(&self, seq: u64) -> bool {
        seq < self.next || self.waiting.contains_key(&seq)
    }

    /// Starts at another sequence number; only before the first record.
    pub(crate) fn start_at(&mut self, seq: u64) {
        debug_assert!(self.waiting.is_empty());
        self.next = seq;
    }

    /// Gives up the holes that the others wait for.
    pub(crate) fn give_up(&mut self, out: &mut impl Output) {
        if !self.waiting.is_empty() {
            self.skip_to_waiting(u64::MAX, out);
        }
    }

    /// Whether so much waits that the holes should be filled before more is taken from the ring.
    #[must_use]
    pub(crate) fn is_crowded(&self) -> bool {
        self.waiting_bytes > WAITING_BYTES_MAX / 4
    }

    /// Takes a fragment from the ring; `seq` is `None` for a continuation.
    #[inline]
    pub(crate) fn fragment(&mut self, fragment: &Fragment<'_>, seq: Option<u64>, out: &mut impl Output) {
        match seq {
            Some(seq) if seq == self.next && fragment.complete && self.waiting.is_empty() => {
                out.line(Line { seq, text: fragment.text, time: fragment.ktime, kmsg: None });
                self.next += 1;
                self.take_sample(seq, fragment.ktime, fragment.text);
            }
            Some(seq) if seq >= self.next => self.store(seq, fragment, out),
            // Already delivered from /dev/kmsg.
            Some(_) => self.open = None,
            None => self.append(fragment, out),
        }
    }

    /// Takes a record from /dev/kmsg. The records must come in order without a gap but for those that the kernel
    /// has overwritten, and the ring must have been drained since this one was read.
    pub(crate) fn kmsg(&mut self, record: &KmsgRecord<'_>, out: &mut impl Output) -> Agreement {
        let agreement = self.compare(record);
        if record.seq < self.next {
            return agreement;
        }
        while self.next < record.seq {
            self.skip_to_waiting(record.seq, out);
        }
        // Delivering what waited below it may have delivered it, too.
        if record.seq == self.next {
            self.take_waiting(record.seq);
            let details = Details { priority: record.priority, fields: record.fields() };
            out.line(Line { seq: record.seq, text: &record.text(), time: record.time, kmsg: Some(details) });
            self.next += 1;
            self.flush(out);
        }
        agreement
    }

    /// Everything available was read: gives up the holes that others have waited for too long.
    pub(crate) fn rest(&mut self, now: Monotonic, out: &mut impl Output) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.skip_to_waiting(u64::MAX, out);
        }
    }

    /// When [`Self::rest`] has to be called next.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        let (_, first) = self.waiting.first_key_value()?;
        Some(first.time.after(self.patience()))
    }

    fn patience(&self) -> Duration {
        let open = self.waiting.first_key_value().is_some_and(|(seq, first)| *seq == self.next && !first.complete);
        let followed = self.waiting.len() > 1;
        match (self.with_kmsg, open) {
            (false, true) if followed => Duration::ZERO,
            (true, _) | (false, true) => PATIENCE,
            (false, false) => PATIENCE_WITHOUT_KMSG,
        }
    }

    /// Asks for the next line of the ring to be compared with its copy in /dev/kmsg.
    pub(crate) fn arm(&mut self) {
        self.sample = match std::mem::replace(&mut self.sample, RingSample::Off) {
            RingSample::Off => RingSample::Armed(Vec::new()),
            RingSample::Armed(text) | RingSample::Taken { text, .. } => RingSample::Armed(text),
        };
    }

    #[inline]
    fn take_sample(&mut self, seq: u64, time: Monotonic, text: &[u8]) {
        if let RingSample::Armed(copy) = &mut self.sample {
            copy.clear();
            copy.extend_from_slice(text);
            self.sample = RingSample::Taken { seq, time, text: std::mem::take(copy) };
        }
    }

    fn compare(&mut self, record: &KmsgRecord<'_>) -> Agreement {
        let (text, time) = match (&self.sample, self.waiting.get(&record.seq)) {
            _ if record.may_be_cut() => return Agreement::Unknown,
            (_, Some(waiting)) if waiting.complete => (&waiting.text, waiting.time),
            (RingSample::Taken { seq, time, text }, _) if *seq == record.seq => (text, *time),
            _ => return Agreement::Unknown,
        };
        if *record.text() != **text {
            return Agreement::Different;
        }
        self.clock_lead = time.nanos().cast_signed().saturating_sub(record.time.nanos().cast_signed());
        Agreement::Same
    }

    fn store(&mut self, seq: u64, fragment: &Fragment<'_>, out: &mut impl Output) {
        if !fragment.complete {
            self.open = Some(seq);
        }
        if self.waiting.contains_key(&seq) {
            return;
        }
        let waiting = Waiting {
            text: fragment.text.to_vec(),
            time: fragment.ktime,
            end: fragment.end(),
            complete: fragment.complete,
        };
        self.waiting_bytes += waiting.text.len();
        self.waiting.insert(seq, waiting);
        self.flush(out);
        while self.waiting_bytes > WAITING_BYTES_MAX {
            self.give_up(out);
        }
    }

    fn append(&mut self, fragment: &Fragment<'_>, out: &mut impl Output) {
        let Some(open) = self.open.and_then(|seq| self.waiting.get_mut(&seq)) else { return };
        // At another address: a fragment in between was dropped, or the kernel moved the record. /dev/kmsg has it whole.
        if open.complete || open.end != fragment.address {
            self.open = None;
            return;
        }
        open.text.extend_from_slice(fragment.text);
        open.end = fragment.end();
        open.complete = fragment.complete;
        self.waiting_bytes += fragment.text.len();
        if fragment.complete {
            self.open = None;
            self.flush(out);
        }
    }

    /// Delivers what is complete and next.
    fn flush(&mut self, out: &mut impl Output) {
        while let Some(first) = self.waiting.first_entry()
            && *first.key() == self.next
            && first.get().complete
        {
            let seq = self.next;
            let waiting = first.remove();
            self.deliver(seq, &waiting, out);
        }
    }

    fn deliver(&mut self, seq: u64, waiting: &Waiting, out: &mut impl Output) {
        self.waiting_bytes -= waiting.text.len();
        out.line(Line { seq, text: &waiting.text, time: waiting.time, kmsg: None });
        self.take_sample(seq, waiting.time, &waiting.text);
        self.next += 1;
    }

    /// Gives up the hole at `next`, at most up to `limit`, and delivers the record behind it even if its end
    /// was not seen.
    fn skip_to_waiting(&mut self, limit: u64, out: &mut impl Output) {
        let Some((&first, _)) = self.waiting.first_key_value() else {
            out.lost(limit - self.next);
            self.next = limit;
            return;
        };
        if first > self.next {
            let to = first.min(limit);
            out.lost(to - self.next);
            self.next = to;
        }
        if first == self.next
            && let Some(waiting) = self.waiting.remove(&first)
        {
            self.deliver(first, &waiting, out);
        }
        self.flush(out);
    }

    fn take_waiting(&mut self, seq: u64) {
        if let Some(waiting) = self.waiting.remove(&seq) {
            self.waiting_bytes -= waiting.text.len();
        }
    }
}
