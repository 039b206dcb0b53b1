//! From merged lines and structured events to records: with the right time, one report per problem, and counted.

use std::{collections::BTreeMap, time::Duration};

use npd_common::{Header, Kind};

use super::{
    kmsg,
    losses::Losses,
    metrics::{KernelMetrics, RecordCounts},
};
use crate::{
    node::Node,
    problem::Fields,
    record::{Place, Record},
    source::{
        kernel::{
            events::{
                decode,
                format::Layout,
                hang_watch::HangWatch,
                oom_kill::OomKill,
                pairing::{EventLinePairs, Identity, LineAction},
            },
            stream::{
                merge::{Line, Output},
                tail::Sink,
            },
        },
        subscriber::Subscriber,
    },
    state::StateFile,
    time::{Monotonic, Now},
};

/// No event can still come for a line that is older than this.
const PAIR_AGE_MAX: Duration = Duration::from_secs(1);

/// The way from the kernel log to the monitors.
pub(crate) struct LinePump {
    subscriber: Box<dyn Subscriber>,
    node: Node,
    /// The clocks at the start of the current cycle.
    pub(crate) now: Now,
    /// The time since which the probes, if there are any, see everything.
    pub(crate) opened: Monotonic,
    /// By how much the probes' clock is ahead of /dev/kmsg's, in nanoseconds.
    pub(crate) clock_lead: i64,
    /// The layouts of the active probes' records; empty without probes.
    pub(crate) layouts: BTreeMap<u8, Layout>,
    /// The self-test line that is expected. It is never reported.
    pub(crate) nonce: Option<String>,
    pairs: EventLinePairs,
    /// The newest announcement of an OOM kill; its victim is named in one of the next lines.
    oom_kill: Option<OomKill>,
    hangs: HangWatch,
    losses: Losses,
    counts: RecordCounts,
}

// === impl LinePump ===

impl LinePump {
    pub(crate) fn new(
        subscriber: Box<dyn Subscriber>,
        metrics: &KernelMetrics,
        node: Node,
        hung: Option<StateFile>,
    ) -> Self {
        Self {
            subscriber,
            hangs: HangWatch::new(node.clone(), hung, metrics.hung_tasks.clone()),
            node,
            now: Now::read(),
            opened: Now::read().mono,
            clock_lead: 0,
            layouts: BTreeMap::new(),
            nonce: None,
            pairs: EventLinePairs::new(),
            oom_kill: None,
            losses: Losses::new(metrics.lost.clone()),
            counts: RecordCounts::new(metrics.clone()),
        }
    }

    /// Does what is due between two cycles.
    pub(crate) fn rest(&mut self) {
        self.now = Now::read();
        let now = self.now.mono;
        while let Some(event) = self.pairs.expired(now) {
            let record = Record {
                text: &kmsg::one_line(event.text.as_bytes()),
                at: self.now.wall_of(event.time),
                priority: None,
                fields: &event.fields,
                known: false,
                place: Place::Nowhere,
            };
            self.subscriber.record(&record);
        }
        self.hangs.check(now);
        self.losses.log(now);
        self.subscriber.rest(now);
        self.counts.publish(self.pairs.suppressed());
    }

    /// When [`Self::rest`] has to be called next.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        [self.pairs.deadline(), self.hangs.deadline(), self.losses.deadline()].into_iter().flatten().min()
    }

    /// A line that an event can belong to, or the one before such a line: rare.
    #[cold]
    fn line_with_event(&mut self, mut record: Record<'_>, details: Option<&Fields>) {
        let text = std::str::from_utf8(record.text).unwrap_or_default();
        if let Some(oom_kill) = OomKill::of_line(text) {
            self.oom_kill = Some(oom_kill);
        }
        let mut fields = match self.pairs.line(record.text, self.now.mono) {
            LineAction::Report(fields) => {
                // An event's fields name the task; without an event there is only the line.
                record.known = fields.get("comm").is_none() && self.hangs.note_line(record.text, self.now.mono);
                fields
            }
            LineAction::Suppress => {
                record.known = true;
                Fields::default()
            }
        };
        if let Some(Identity::OomVictim { pid, .. }) = Identity::of_line(text)
            && let Some(oom_kill) = self.oom_kill.take_if(|oom_kill| oom_kill.pid == pid)
        {
            oom_kill.complete(&mut fields);
        }
        if let Some(details) = details {
            fields.merge(details.clone());
        }
        self.subscriber.record(&Record { fields: &fields, ..record });
    }
}

impl Output for LinePump {
    #[inline]
    fn line(&mut self, line: Line<'_>) {
        let text = &*kmsg::one_line(line.text);
        let time = if line.kmsg.is_none() {
            self.counts.from_probe += 1;
            line.time
        } else {
            self.counts.from_kmsg += 1;
            Monotonic::from_nanos(line.time.nanos().saturating_add_signed(self.clock_lead))
        };
        if text.is_empty() {
            return;
        }
        if self.nonce.as_ref().is_some_and(|nonce| nonce.as_bytes() == text) {
            self.nonce = None;
            return;
        }
        let none = Fields::default();
        let details = line.kmsg.as_ref().map(|details| &details.fields);
        let record = Record {
            text,
            at: self.now.wall_of(time),
            priority: line.kmsg.as_ref().map(|details| details.priority),
            fields: details.unwrap_or(&none),
            known: false,
            place: Place::Kernel(line.seq),
        };
        // A line printed before the probes were attached has no event, however recent it is.
        let recent = time >= self.opened && self.now.mono.since(time) < PAIR_AGE_MAX;
        if recent && self.pairs.is_candidate(text) {
            self.line_with_event(record, details);
        } else {
            self.subscriber.record(&record);
        }
    }

    fn lost(&mut self, records: u64) {
        self.losses.add(records);
    }
}

impl Sink for LinePump {
    #[cold]
    fn event(&mut self, header: &Header, body: &[u8]) {
        let Some(layout) = self.layouts.get(&header.kind) else { return };
        let Some(event) = decode::decode(header, body, layout, &self.node) else {
            let kind = Kind::from_number(header.kind);
            tracing::warn!(?kind, "a probe's record cannot be decoded");
            return;
        };
        tracing::debug!(kind = ?event.kind, text = event.text, fields = %event.fields, "probe event");
        let known = match event.identity {
            Identity::HungTask { pid } => {
                let comm = event.fields.get("comm").unwrap_or_default();
                self.hangs.note_event(pid, comm, self.now.mono)
            }
            _ => false,
        };
        self.pairs.event(event, known, self.now.mono);
    }
}
