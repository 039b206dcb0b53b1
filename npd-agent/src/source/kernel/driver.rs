//! The thread of the kernel log: what wakes it, its self-test, and the changes of mode to a worse way of reading and back.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use npd_common::Kind;
use rustix::{event::epoll, io::Errno};

use crate::{
    source::{
        Health, Stop,
        kernel::{
            kmsg::{self, Kmsg},
            line_pump::LinePump,
            log::{KernelLogError, KernelLogOptions, Resume},
            metrics::KernelMetrics,
            mode::{KernelSource, Mode},
            probes::{PROBES, ProbeReport, ProbeState, Probes, ProbesRing},
            retest::Retest,
            stream::{
                calibration::Calibration,
                fragment::Sequencer,
                tail::{Cycle, KmsgLog, ProbeRole, Tail},
            },
        },
        subscriber::Subscriber,
    },
    time::{Monotonic, Now, timespec},
};

/// How often to look for tracepoints that have appeared with a module.
const NEW_TRACEPOINTS: Duration = Duration::from_mins(1);
/// Two batches closer than this, of at least [`BUSY_FRAGMENTS`] lines each, make the thread pause before it reads
/// again: waking up for each line of a flood would cost more than everything else.
const BUSY: Duration = Duration::from_millis(1);
const BUSY_FRAGMENTS: usize = 4;

/// The thread's state.
pub(crate) struct Driver {
    options: KernelLogOptions,
    metrics: KernelMetrics,
    probes: Option<Probes>,
    pub(crate) reports: Vec<ProbeReport>,
    ring: Option<ProbesRing>,
    kmsg: Option<Kmsg>,
    tail: Tail,
    pump: LinePump,
    pub(crate) mode: Mode,
    epoll: OwnedFd,
    /// When the printk probe is tested again.
    retest: Retest,
    next_look: Monotonic,
    dropped: u64,
}

// === impl Driver ===

impl Driver {
    pub(crate) fn open(
        options: KernelLogOptions,
        resume: Resume,
        subscriber: Box<dyn Subscriber>,
        metrics: KernelMetrics,
    ) -> Result<Self, KernelLogError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|error| KernelLogError::System { doing: "starting", source: error.into() })?;
        let pump = LinePump::new(subscriber, &metrics, options.node.clone(), resume.hung);
        let mut tail = Tail::new(ProbeRole::Unused);
        if let Some(newest) = resume.newest {
            tail.expect(newest.saturating_add(1));
        }
        let mut driver = Self {
            metrics,
            probes: None,
            reports: Vec::new(),
            ring: None,
            kmsg: None,
            tail,
            pump,
            mode: Mode::Kmsg,
            epoll,
            retest: Retest::new(),
            next_look: Now::read().mono.after(NEW_TRACEPOINTS),
            dropped: 0,
            options,
        };
        let kmsg = Kmsg::open(&driver.options.kmsg);
        driver.load_probes();
        let printk = driver.printk();
        let mode = match (kmsg, printk.state == ProbeState::Active) {
            (Ok(kmsg), active) => {
                driver.kmsg = Some(kmsg);
                if active { Mode::Doorbell } else { Mode::Kmsg }
            }
            (Err(error), true) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "/dev/kmsg cannot be read: starting without earlier records"
                );
                driver.tail = Tail::without_kmsg(Sequencer::uncalibrated());
                Mode::Probe
            }
            (Err(source), false) if driver.options.source == KernelSource::Kmsg => {
                return Err(KernelLogError::NoKmsg(source));
            }
            (Err(source), false) => return Err(KernelLogError::Nothing { probe: printk.why, source }),
        };
        driver.mode = mode;
        driver.watch()?;
        driver.test()?;
        let printk = driver.printk();
        if driver.options.source == KernelSource::Ebpf && printk.state != ProbeState::Active {
            return Err(KernelLogError::NoProbe { state: printk.state, why: printk.why });
        }
        driver.announce();
        Ok(driver)
    }

    pub(crate) fn run(&mut self, stop: &Stop, health: &Health) -> Result<(), KernelLogError> {
        let system = |doing| move |error: Errno| KernelLogError::System { doing, source: error.into() };
        epoll::add(&self.epoll, stop.as_fd(), epoll::EventData::new_u64(0), epoll::EventFlags::IN)
            .map_err(system("watching"))?;
        let mut last = Monotonic::default();
        let mut shown = None;
        loop {
            health.begin_step();
            let cycle = self.cycle()?;
            self.react(cycle)?;
            if shown != Some(self.mode) {
                shown = Some(self.mode);
                health.set_mode(self.mode.as_str());
            }
            health.end_step();
            let now = self.pump.now.mono;
            let busy = cycle.fragments >= BUSY_FRAGMENTS && now.since(last) < BUSY * 4;
            last = now;
            let stopped = if busy {
                let pause = stop.wait(None, Some(BUSY));
                pause.map_err(|source| KernelLogError::System { doing: "pausing", source })?
            } else {
                self.wait().map_err(system("waiting"))?
            };
            if stopped {
                self.cycle()?;
                return Ok(());
            }
        }
    }

    /// Sleeps until something arrives or is due; `true` if it was the request to stop.
    fn wait(&mut self) -> Result<bool, Errno> {
        let now = Now::read().mono;
        let due = [self.tail.deadline(now), self.pump.deadline(), self.retest.deadline(), Some(self.next_look)];
        let due = due.into_iter().flatten().min().unwrap_or(self.next_look);
        let timeout = timespec(due.since(now));
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 3];
        match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok(count) => Ok(events[..count].iter().any(|event| event.data.u64() == 0)),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn cycle(&mut self) -> Result<Cycle, KernelLogError> {
        self.pump.now = Now::read();
        self.pump.clock_lead = self.tail.clock_lead();
        let now = self.pump.now.mono;
        let cycle = self
            .tail
            .cycle(&mut self.ring, &mut self.kmsg, now, &mut self.pump)
            .map_err(|source| KernelLogError::System { doing: "reading /dev/kmsg", source })?;
        self.pump.rest();
        if let Some(probes) = &mut self.probes {
            probes.flush_diagnostics();
        }
        Ok(cycle)
    }

    /// Draws the conclusions from what a cycle found, and does what is due.
    fn react(&mut self, cycle: Cycle) -> Result<(), KernelLogError> {
        let now = self.pump.now.mono;
        if let Some(sequencer) = cycle.calibrated {
            self.tail.set_role(ProbeRole::Lines(sequencer));
            self.enter(Mode::ProbeAndKmsg, "");
            self.retest.succeeded();
        } else if cycle.disagrees && self.mode == Mode::ProbeAndKmsg {
            self.tail.set_role(ProbeRole::Doorbell(Calibration::new(None)));
            self.enter(Mode::Doorbell, "the ring and /dev/kmsg disagree about a sequence number");
            self.retest.failed(now);
        } else if cycle.silent {
            let dropped = self.metrics.dropped();
            if dropped == self.dropped {
                self.break_printk("it misses lines that /dev/kmsg has");
                self.retest.failed(now);
            } else {
                self.dropped = dropped;
                self.tail.excuse();
            }
        }
        if self.retest.take_due(now) {
            self.test()?;
            if self.printk().state != ProbeState::Active {
                // It may have been detached: load all probes again.
                self.load_probes();
                self.watch()?;
                self.test()?;
            }
            if self.printk().state != ProbeState::Active {
                // Also where the kernel has refused to load them this time.
                self.retest.failed(now);
            }
            self.announce();
        }
        if self.next_look <= now {
            self.next_look = now.after(NEW_TRACEPOINTS);
            self.look_for_tracepoints();
        }
        Ok(())
    }

    /// The self-test: a line is written and must arrive through the probe.
    fn test(&mut self) -> Result<(), KernelLogError> {
        let now = Now::read().mono;
        let mut printk = self.printk();
        if printk.state == ProbeState::Broken && self.ring.is_some() {
            printk.state = ProbeState::Active;
        }
        if printk.state != ProbeState::Active {
            self.tail.set_role(ProbeRole::Unused);
            self.cycle()?;
            return Ok(());
        }
        let nonce = nonce();
        self.pump.nonce = Some(nonce.clone());
        let written = kmsg::write_debug(&self.options.kmsg, &nonce);
        if self.kmsg.is_some() {
            self.tail.set_role(ProbeRole::Doorbell(Calibration::new(written.is_ok().then_some(&*nonce))));
        }
        let cycle = self.cycle()?;
        let came = match (&written, cycle.calibrated, self.kmsg.is_some()) {
            (_, Some(sequencer), _) => {
                self.tail.set_role(ProbeRole::Lines(sequencer));
                self.mode = Mode::ProbeAndKmsg;
                self.retest.succeeded();
                true
            }
            // Through the ring alone: the line itself is the proof.
            (Ok(()), None, false) => self.pump.nonce.is_none(),
            (Ok(()), None, true) => {
                self.mode = Mode::Doorbell;
                !self.reads_text() && cycle.fragments > 0
            }
            (Err(error), None, _) => {
                tracing::info!(%error, "cannot write a self-test line: the probe is trusted once two lines agree");
                true
            }
        };
        self.pump.nonce = None;
        if came {
            self.set_printk(ProbeState::Active, &printk.why);
        } else if self.kmsg.is_some() {
            self.break_printk("the self-test line did not arrive");
            self.retest.failed(now);
        } else {
            self.set_printk(ProbeState::Broken, "the self-test line did not arrive");
        }
        Ok(())
    }

    fn load_probes(&mut self) {
        self.ring = None;
        self.probes = None;
        self.pump.layouts = BTreeMap::new();
        self.metrics.set_counters(None);
        if self.options.source == KernelSource::Kmsg {
            let why = "disabled by --kernel-source=kmsg";
            self.reports = PROBES.map(|probe| probe.report(ProbeState::Unsupported, why)).to_vec();
        } else {
            match Probes::load(&self.options.node, self.options.ring_size, self.options.probe_diagnostics) {
                Ok((probes, ring, counters)) => {
                    self.reports = probes.reports().to_vec();
                    self.pump.opened = Now::read().mono;
                    self.ring = Some(ring);
                    self.metrics.set_counters(Some(counters));
                    self.probes = Some(probes);
                    self.update_layouts();
                }
                Err(reports) => self.reports = reports,
            }
        }
        self.dropped = 0;
        for report in &self.reports {
            self.metrics.set_probe(report);
        }
    }

    fn look_for_tracepoints(&mut self) {
        let Some(probes) = &mut self.probes else { return };
        for report in probes.attach_new() {
            log_probe(&report);
            self.metrics.set_probe(&report);
            if let Some(old) = self.reports.iter_mut().find(|old| old.probe == report.probe) {
                *old = report;
            }
        }
        self.update_layouts();
    }

    fn update_layouts(&mut self) {
        let Some(probes) = &self.probes else { return };
        let kinds = PROBES.iter().map(|probe| probe.kind as u8);
        self.pump.layouts = kinds.filter_map(|kind| Some((kind, probes.layout(kind)?.clone()))).collect();
    }

    /// Watches the streams that are open. The kernel stops watching a stream when it is closed.
    fn watch(&self) -> Result<(), KernelLogError> {
        let streams = [self.ring.as_ref().map(|ring| (ring.as_fd(), 1)), self.kmsg.as_ref().map(|k| (k.as_fd(), 2))];
        for (fd, number) in streams.into_iter().flatten() {
            match epoll::add(&self.epoll, fd, epoll::EventData::new_u64(number), epoll::EventFlags::IN) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(KernelLogError::System { doing: "watching", source: error.into() }),
            }
        }
        Ok(())
    }

    fn reads_text(&self) -> bool {
        self.probes.as_ref().is_some_and(Probes::reads_text)
    }

    fn printk(&self) -> ProbeReport {
        let found = self.reports.iter().find(|report| report.probe.kind == Kind::Printk);
        found.cloned().unwrap_or_else(|| PROBES[0].report(ProbeState::Unsupported, ""))
    }

    fn set_printk(&mut self, state: ProbeState, why: &str) {
        if let Some(report) = self.reports.iter_mut().find(|report| report.probe.kind == Kind::Printk)
            && (report.state != state || report.why != why)
        {
            report.state = state;
            why.clone_into(&mut report.why);
            log_probe(report);
            self.metrics.set_probe(report);
        }
    }

    fn break_printk(&mut self, why: &str) {
        self.set_printk(ProbeState::Broken, why);
        self.tail.set_role(ProbeRole::Unused);
        self.enter(Mode::Kmsg, why);
    }

    fn enter(&mut self, mode: Mode, why: &str) {
        self.mode = mode;
        self.metrics.set_mode(mode);
        if why.is_empty() {
            tracing::info!(mode = mode.as_str(), "kernel log");
        } else {
            tracing::warn!(mode = mode.as_str(), why, "kernel log");
        }
    }

    fn announce(&mut self) {
        for report in &self.reports {
            log_probe(report);
        }
        self.enter(self.mode, "");
    }
}

fn log_probe(report: &ProbeReport) {
    let ProbeReport { probe, state, why } = report;
    let tracepoint = probe.to_string();
    match state {
        ProbeState::Active | ProbeState::Unsupported => {
            tracing::info!(probe = probe.name, tracepoint, state = state.as_str(), why, "kernel probe");
        }
        ProbeState::Forbidden | ProbeState::Broken => {
            tracing::warn!(probe = probe.name, tracepoint, state = state.as_str(), why, "kernel probe");
        }
    }
}

/// A unique line.
fn nonce() -> String {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    let now = Now::read();
    format!("npd-agent self-test {} {}", uuid.trim(), now.mono.nanos())
}

// === impl Kmsg ===

impl KmsgLog for Kmsg {
    fn read(&mut self) -> io::Result<kmsg::KmsgRead<'_>> {
        Self::read(self)
    }

    fn seek_end(&mut self) -> io::Result<()> {
        Self::seek_end(self)
    }

    fn seek_oldest(&mut self) -> io::Result<()> {
        Self::seek_oldest(self)
    }
}
