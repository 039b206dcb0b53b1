//! From merged lines and structured events to records: the right time, one report a problem, and the counts.

use std::{collections::BTreeMap, time::Duration};

use npd_common::{Header, Kind};

use super::{kmsg, metrics::KernelMetrics};
use crate::{
    node::{Node, tasks::TaskState},
    problem::Fields,
    record::{Place, Record, RecordSink},
    source::kernel::{
        events::{
            decode,
            format::Layout,
            hung::{Episode, HungTasks},
            hung_memory::HungMemory,
            lookup::Lookup,
            oom_kill::OomKill,
            pairing::{Identity, Twins, Verdict},
        },
        stream::{
            merge::{Line, Output},
            tail::Sink,
        },
    },
    state::StateFile,
    time::{Monotonic, Now},
};

/// How often it is looked whether a hang is over.
const HUNG_CHECK: Duration = Duration::from_secs(1);
/// A flood that is lost is told of once in so long, not once a batch.
const LOSS_LINES: Duration = Duration::from_secs(1);
/// What is older than this has no twin to come.
const TWIN_AGE_MAX: Duration = Duration::from_secs(1);

/// The way from the kernel log to the monitors.
pub(crate) struct Router {
    sink: Box<dyn RecordSink>,
    metrics: KernelMetrics,
    node: Node,
    /// The clocks at the start of the current cycle.
    pub(crate) now: Now,
    /// Since when the probes, if there are any, see everything.
    pub(crate) opened: Monotonic,
    /// By how much the probes' clock is ahead of /dev/kmsg's, in nanoseconds.
    pub(crate) clock_lead: i64,
    /// The layouts of the active probes' records; empty without probes.
    pub(crate) layouts: BTreeMap<u8, Layout>,
    /// The self-test line that is on its way. It is nobody's problem.
    pub(crate) nonce: Option<String>,
    twins: Twins,
    /// The newest one, whose victim is in the next lines.
    oom_kill: Option<OomKill>,
    hung: HungTasks,
    memory: HungMemory,
    next_hung_check: Monotonic,
    unsaid_losses: u64,
    next_loss_line: Monotonic,
    from_probe: u64,
    from_kmsg: u64,
    suppressed: u64,
}

// === impl Router ===

impl Router {
    pub(crate) fn new(sink: Box<dyn RecordSink>, metrics: KernelMetrics, node: Node, hung: Option<StateFile>) -> Self {
        let mut memory = HungMemory::new(hung);
        Self {
            sink,
            metrics,
            node,
            now: Now::read(),
            opened: Now::read().mono,
            clock_lead: 0,
            layouts: BTreeMap::new(),
            nonce: None,
            twins: Twins::new(),
            oom_kill: None,
            hung: memory.recall(Now::read().mono),
            memory,
            next_hung_check: Monotonic::default(),
            unsaid_losses: 0,
            next_loss_line: Monotonic::default(),
            from_probe: 0,
            from_kmsg: 0,
            suppressed: 0,
        }
    }

    /// Does what is due between two cycles.
    pub(crate) fn rest(&mut self) {
        self.now = Now::read();
        while let Some(event) = self.twins.expired(self.now.mono) {
            let record = Record {
                text: &kmsg::one_line(event.text.as_bytes()),
                at: self.now.wall_of(event.time),
                priority: None,
                fields: &event.fields,
                known: false,
                place: Place::Nowhere,
            };
            self.sink.record(&record);
        }
        if !self.hung.is_empty() && self.next_hung_check <= self.now.mono {
            self.next_hung_check = self.now.mono.after(HUNG_CHECK);
            let interval = self.hung_interval();
            for over in self.hung.check(interval, self.now.mono, |pid| self.node.task(pid)) {
                tracing::info!(
                    pid = over.pid,
                    comm = over.comm,
                    after_seconds = over.lasted.as_secs_f64(),
                    "hung task recovered"
                );
            }
            self.metrics.hung_tasks.set(i64::try_from(self.hung.len()).unwrap_or(i64::MAX));
            self.memory.keep(&self.hung);
        }
        if self.unsaid_losses > 0 && self.next_loss_line <= self.now.mono {
            self.next_loss_line = self.now.mono.after(LOSS_LINES);
            let records = std::mem::take(&mut self.unsaid_losses);
            tracing::warn!(records, "kernel log records lost: neither the ring nor /dev/kmsg had them any more");
        }
        self.sink.rest(self.now.mono);
        self.metrics.from_probe.inc_by(std::mem::take(&mut self.from_probe));
        self.metrics.from_kmsg.inc_by(std::mem::take(&mut self.from_kmsg));
        let suppressed = self.twins.suppressed();
        self.metrics.suppressed.inc_by(suppressed - self.suppressed);
        self.suppressed = suppressed;
    }

    /// When [`Self::rest`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Monotonic> {
        let hung = (!self.hung.is_empty()).then_some(self.next_hung_check);
        let losses = (self.unsaid_losses > 0).then_some(self.next_loss_line);
        [self.twins.deadline(), hung, losses].into_iter().flatten().min()
    }

    fn hung_interval(&self) -> Duration {
        let secs = self.node.hung_task_interval().or_else(|| self.node.hung_task_timeout()).unwrap_or(120);
        Duration::from_secs(secs)
    }

    /// Whether a hung task that the kernel reports is known to hang.
    fn is_known_hang(&mut self, pid: u32, comm: &str, state: Option<TaskState>) -> bool {
        let episode = self.hung.report(pid, comm, state, self.hung_interval(), self.now.mono);
        self.metrics.hung_tasks.set(i64::try_from(self.hung.len()).unwrap_or(i64::MAX));
        if self.hung.len() == 1 {
            self.next_hung_check = self.now.mono.after(HUNG_CHECK);
        }
        self.memory.keep(&self.hung);
        episode == Episode::Known
    }

    /// Whether a line without an event tells of a hang that is known: without the probe the kernel's lines are all
    /// there is. It must be true of a task that /proc shows, or it is some text that only looks like it.
    fn repeats_a_hang(&mut self, text: &[u8]) -> bool {
        let Some(Identity::HungTask { pid }) = std::str::from_utf8(text).ok().and_then(Identity::of_line) else {
            return false;
        };
        let state = self.node.task(pid).filter(|state| state.uninterruptible);
        state.is_some() && self.is_known_hang(pid, "", state)
    }

    /// A line that can have a twin, or goes before one that can: rare.
    #[cold]
    fn line_with_twin(&mut self, mut record: Record<'_>, details: Option<&Fields>) {
        let text = std::str::from_utf8(record.text).unwrap_or_default();
        if let Some(oom_kill) = OomKill::of_line(text) {
            self.oom_kill = Some(oom_kill);
        }
        let mut fields = match self.twins.line(record.text, self.now.mono) {
            Verdict::Report(fields) => {
                // An event's fields name the task; without one the line is all there is.
                record.known = fields.get("comm").is_none() && self.repeats_a_hang(record.text);
                fields
            }
            Verdict::Known => {
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
        self.sink.record(&Record { fields: &fields, ..record });
    }
}

impl Output for Router {
    #[inline]
    fn line(&mut self, line: Line<'_>) {
        let text = &*kmsg::one_line(line.text);
        let time = if line.kmsg.is_none() {
            self.from_probe += 1;
            line.time
        } else {
            self.from_kmsg += 1;
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
        // What was printed before there were probes has no twin, however recent.
        let recent = time >= self.opened && self.now.mono.since(time) < TWIN_AGE_MAX;
        if recent && self.twins.is_candidate(text) {
            self.line_with_twin(record, details);
        } else {
            self.sink.record(&record);
        }
    }

    fn lost(&mut self, records: u64) {
        self.metrics.lost.inc_by(records);
        self.unsaid_losses += records;
    }
}

impl Sink for Router {
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
                self.is_known_hang(pid, comm, self.node.task(pid))
            }
            _ => false,
        };
        self.twins.event(event, known, self.now.mono);
    }
}
