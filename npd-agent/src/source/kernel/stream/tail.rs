//! Following both streams: what is read when, so that the merge is exact and a line costs almost nothing.
//!
//! Normally the ring is drained and the lines are delivered from its own memory; /dev/kmsg is read along while
//! there are few lines (one cheap system call per line, and a constant check of the two against each other) and merely
//! skipped forward while there are many. It is searched from its oldest record when a hole shows.
//!
//! Both streams are traits, so that the whole of it is tested against a simulated kernel.

use std::io;

use npd_common::{Header, Kind};

use super::{
    calibration::Calibration,
    merge::{Agreement, Merge, Output},
};
use crate::{
    source::kernel::{
        kmsg::KmsgRead,
        stream::fragment::{Fragment, Sequencer},
    },
    time::Monotonic,
};

/// The largest batch, in lines, that is followed in /dev/kmsg line by line; a larger one is skipped.
const FOLLOWED: usize = 16;
/// The number of records in a row that only /dev/kmsg has from which on the probe counts as silent.
const SILENT_AFTER: u32 = 4;

/// The ring buffer of the probes.
pub(crate) trait Ring {
    /// Passes the next record to `take`, in place; `false` if there is none.
    fn next(&mut self, take: &mut impl FnMut(&[u8])) -> bool;
}

/// /dev/kmsg.
pub(crate) trait KmsgLog {
    /// Reads the next record.
    fn read(&mut self) -> io::Result<KmsgRead<'_>>;
    /// Moves past the newest record.
    fn seek_end(&mut self) -> io::Result<()>;
    /// Moves to the oldest record.
    fn seek_oldest(&mut self) -> io::Result<()>;
}

/// Where lines and structured events go.
pub(crate) trait Sink: Output {
    /// Takes the record of a tracepoint other than printk's.
    fn event(&mut self, header: &Header, body: &[u8]);
}

/// How the printk probe is used.
#[derive(Debug)]
pub(crate) enum ProbeRole {
    /// Not at all: there is none, or it is broken.
    Unused,
    /// It only wakes the reader; once calibrated, its lines are used.
    Doorbell(Calibration),
    /// Its lines are delivered.
    Lines(Sequencer),
}

/// What one [`Tail::cycle`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cycle {
    /// Fragments of text taken from the ring.
    pub fragments: usize,
    /// The base of the sequence numbers was found just now.
    pub calibrated: Option<Sequencer>,
    /// A line had another text in the ring than in /dev/kmsg.
    pub disagrees: bool,
    /// The probe misses what /dev/kmsg shows.
    pub silent: bool,
}

/// The state of following.
#[derive(Debug)]
pub(crate) struct Tail {
    merge: Merge,
    role: ProbeRole,
    /// /dev/kmsg was read without a jump since some record at or below the merge's next.
    contiguous: bool,
    /// /dev/kmsg was skipped, and nothing has proven yet that the ring had all of it.
    unproven: bool,
    /// How many records in a row only /dev/kmsg had.
    missed: u32,
    /// Whether it is known where the sequence starts.
    anchored: bool,
    /// The record after the newest one that an earlier run of the agent has accepted.
    expected: Option<u64>,
}

// === impl Tail ===

impl Tail {
    /// Starts with the oldest record of /dev/kmsg, where it stands.
    #[must_use]
    pub(crate) fn new(role: ProbeRole) -> Self {
        let merge = Merge::new(0, true);
        Self { merge, role, contiguous: true, unproven: false, missed: 0, anchored: false, expected: None }
    }

    /// Starts with the next line of the ring, without /dev/kmsg.
    #[must_use]
    pub(crate) fn without_kmsg(sequencer: Sequencer) -> Self {
        let (merge, role) = (Merge::new(0, false), ProbeRole::Lines(sequencer));
        Self { merge, role, contiguous: true, unproven: false, missed: 0, anchored: false, expected: None }
    }

    /// An earlier run of the agent has read everything before this record: what was overwritten since is lost.
    pub(crate) fn expect(&mut self, seq: u64) {
        self.expected = Some(seq);
    }

    /// Uses the printk probe in another way from now on.
    pub(crate) fn set_role(&mut self, role: ProbeRole) {
        self.role = role;
        self.missed = 0;
    }

    /// By how many nanoseconds the probes' clock is ahead of /dev/kmsg's, where a record showed it.
    #[must_use]
    pub(crate) fn clock_lead(&self) -> i64 {
        self.merge.clock_lead()
    }

    /// The probe is not silent after all: the ring was full.
    pub(crate) fn excuse(&mut self) {
        self.missed = 0;
    }

    /// When a cycle is due even if nothing new arrives.
    #[must_use]
    pub(crate) fn deadline(&self, now: Monotonic) -> Option<Monotonic> {
        let proof = self.unproven.then(|| now.after(std::time::Duration::from_millis(50)));
        self.merge.deadline().into_iter().chain(proof).min()
    }

    /// Takes everything available from both streams. `kmsg` is `None` if it cannot be read.
    pub(crate) fn cycle<R: Ring, K: KmsgLog>(
        &mut self,
        ring: &mut Option<R>,
        kmsg: &mut Option<K>,
        now: Monotonic,
        out: &mut impl Sink,
    ) -> io::Result<Cycle> {
        let mut cycle = Cycle::default();
        self.merge.arm();
        while self.drain(ring, None, out, &mut cycle) {
            // Holes are filled before more is taken, or what waits behind them would pile up.
            self.follow(ring, kmsg, out, &mut cycle)?;
        }
        if let Some(log) = kmsg {
            let follow = matches!(self.role, ProbeRole::Unused | ProbeRole::Doorbell(_)) || cycle.fragments <= FOLLOWED;
            if self.unproven && cycle.fragments == 0 {
                log.seek_oldest()?;
                self.contiguous = true;
                self.unproven = false;
            }
            if follow || self.merge.wants_kmsg() {
                self.follow(ring, kmsg, out, &mut cycle)?;
            } else {
                log.seek_end()?;
                self.contiguous = false;
                self.unproven = true;
            }
        }
        if self.merge.wants_kmsg() {
            self.follow(ring, kmsg, out, &mut cycle)?;
        }
        self.merge.rest(now, out);
        cycle.silent = self.missed >= SILENT_AFTER && matches!(self.role, ProbeRole::Lines(_));
        Ok(cycle)
    }

    /// Takes what the ring has. `true` if it stopped early because too much waits for /dev/kmsg.
    /// What is missing below `oldest` is no longer in /dev/kmsg: nothing waits for it.
    fn drain<R: Ring>(
        &mut self,
        ring: &mut Option<R>,
        oldest: Option<u64>,
        out: &mut impl Sink,
        cycle: &mut Cycle,
    ) -> bool {
        let Some(ring) = ring else { return false };
        let Self { merge, role, missed, anchored, .. } = self;
        let before = cycle.fragments;
        while ring.next(&mut |record| {
            let Some((header, body)) = Header::parse(record) else { return };
            if header.kind != Kind::Printk as u8 {
                out.event(&header, body);
                return;
            }
            cycle.fragments += 1;
            match (&mut *role, Fragment::parse(&header, body)) {
                (ProbeRole::Lines(sequencer), Some(fragment)) => {
                    let seq = sequencer.sequence(&fragment, anchored.then(|| merge.next()));
                    if let (false, Some(seq)) = (*anchored, seq) {
                        merge.start_at(seq);
                        *anchored = true;
                    }
                    merge.fragment(&fragment, seq, out);
                }
                (ProbeRole::Doorbell(calibration), Some(fragment)) => calibration.fragment(&fragment),
                (ProbeRole::Unused | ProbeRole::Lines(_) | ProbeRole::Doorbell(_), _) => {}
            }
        }) {
            if merge.is_crowded() {
                if oldest.is_none_or(|oldest| merge.next() >= oldest) {
                    return true;
                }
                merge.give_up(out);
            }
        }
        if cycle.fragments > before {
            *missed = 0;
        }
        false
    }

    /// Reads /dev/kmsg to its end.
    fn follow<R: Ring, K: KmsgLog>(
        &mut self,
        ring: &mut Option<R>,
        kmsg: &mut Option<K>,
        out: &mut impl Sink,
        cycle: &mut Cycle,
    ) -> io::Result<()> {
        let Some(log) = kmsg else { return Ok(()) };
        loop {
            let record = match log.read()? {
                KmsgRead::Record(record) => record,
                KmsgRead::Overrun | KmsgRead::Malformed => continue,
                KmsgRead::End => return Ok(()),
            };
            if !self.anchored {
                self.merge.start_at(record.seq);
                self.anchored = true;
                if let Some(gone) = self.expected.and_then(|expected| record.seq.checked_sub(expected))
                    && gone > 0
                {
                    out.lost(gone);
                }
            }
            if record.seq >= self.merge.next() {
                // Its event, and that of everything before it, is in the ring by now or never.
                self.drain(ring, self.contiguous.then_some(record.seq), out, cycle);
            }
            if record.seq > self.merge.next() && !self.contiguous {
                log.seek_oldest()?;
                self.contiguous = true;
                continue;
            }
            self.contiguous |= record.seq <= self.merge.next();
            if record.seq >= self.merge.next() && !self.merge.knows(record.seq) {
                self.missed = self.missed.saturating_add(1);
            }
            if let ProbeRole::Doorbell(calibration) = &mut self.role
                && let Some(sequencer) = calibration.record(&record)
            {
                cycle.calibrated = Some(sequencer);
            }
            cycle.disagrees |= self.merge.kmsg(&record, out) == Agreement::Different;
        }
    }
}

#[cfg(test)]
mod tests;
