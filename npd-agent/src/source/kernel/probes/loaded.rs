//! The probes, loaded with aya.

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData, PerCpuArray},
    programs::{ProgramError, RawTracePoint, TracePoint},
};
use npd_common::Kind;

pub(crate) use super::ring::ProbesRing;
use super::{PROBES, Probe, ProbeReport, ProbeState};
use crate::{
    error::chain,
    node::Node,
    source::kernel::events::{format::Layout, tracefs},
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/npd-ebpf"));

/// The probes in the kernel. Dropping it detaches them.
pub(crate) struct Probes {
    ebpf: Ebpf,
    logger: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
    node: Node,
    tracefs: Option<PathBuf>,
    layouts: BTreeMap<u8, Layout>,
    reports: Vec<ProbeReport>,
    reads_text: bool,
}

/// The probes' counters, summed over the CPUs.
pub(crate) struct Counters {
    seen: PerCpuArray<MapData, u64>,
    dropped: PerCpuArray<MapData, u64>,
}

// === impl Probes ===

impl Probes {
    /// Loads and attaches what this kernel allows. `Err` with a report for each probe if it allows none at all.
    ///
    /// # Kernel
    ///
    /// 5.8 for the ring buffer. CAP_BPF and CAP_PERFMON; all probes but printk's also read tracefs.
    pub(crate) fn load(
        node: &Node,
        ring_size: u32,
        diagnostics: bool,
    ) -> Result<(Self, ProbesRing, Counters), Vec<ProbeReport>> {
        let all = |state: ProbeState, why: &str| PROBES.map(|probe| probe.report(state, why)).to_vec();
        let (tracefs, no_tracefs) = match tracefs::find_or_mount() {
            Ok(path) => (Some(path), None),
            Err(error) => (None, Some(error)),
        };
        let layout = |group: &str, name: &str| {
            tracefs.as_deref().and_then(|tracefs| Layout::read(tracefs, group, name).ok()).unwrap_or_default()
        };
        let offset = |layout: &Layout, field: &str| {
            layout.offset(field).and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
        };
        let function_at = offset(&layout("ext4", "ext4_error"), "function");
        let error_at = offset(&layout("block", "block_rq_complete"), "error");
        // 0 is below the lowest of aya's levels, and lets the verifier remove the diagnostics altogether.
        let level: u8 = if diagnostics { 4 } else { 0 };
        let loaded = EbpfLoader::new()
            // The programs carry no relocations, so the kernel's own BTF, which takes megabytes, is not needed.
            .btf(None)
            .map_max_entries("RECORDS", ring_size)
            .override_global("EXT4_ERROR_FUNCTION_AT", &function_at, true)
            .override_global("BLOCK_COMPLETE_ERROR_AT", &error_at, true)
            .override_global("AYA_LOG_LEVEL", &level, false)
            .load(OBJECT);
        let mut ebpf = loaded.map_err(|error| {
            let state = ProbeState::of_error(&error);
            all(state, &because(state, "CAP_BPF", &error))
        })?;
        let maps = (|| {
            let Map::RingBuf(records) = ebpf.take_map("RECORDS")? else { return None };
            let seen = PerCpuArray::try_from(ebpf.take_map("SEEN")?).ok()?;
            let dropped = PerCpuArray::try_from(ebpf.take_map("DROPPED")?).ok()?;
            Some((records, seen, dropped))
        })();
        let Some((records, seen, dropped)) = maps else {
            return Err(all(ProbeState::Broken, "the object lacks a map"));
        };
        let ring = ProbesRing::new(records, ring_size)
            .map_err(|error| all(ProbeState::of_error(&error), &format!("the ring cannot be mapped: {error}")))?;
        let logger = diagnostics.then(|| aya_log::EbpfLogger::init(&mut ebpf)).and_then(|logger| {
            logger.inspect_err(|error| tracing::warn!(%error, "probe diagnostics are not available")).ok()
        });
        let mut probes = Self {
            ebpf,
            logger,
            node: node.clone(),
            tracefs,
            layouts: BTreeMap::new(),
            reports: Vec::new(),
            reads_text: false,
        };
        for probe in PROBES {
            let report = match (&no_tracefs, probe.kind) {
                (_, Kind::Printk) => probes.attach_printk(probe),
                (None, _) => probes.attach(probe),
                (Some(error), _) => {
                    let state = match error {
                        tracefs::TracefsError::Forbidden { .. } => ProbeState::Forbidden,
                        tracefs::TracefsError::Missing { .. } => ProbeState::Unsupported,
                    };
                    probe.report(state, one_line(error))
                }
            };
            probes.reports.push(report);
        }
        if probes.reports.iter().all(|report| report.state != ProbeState::Active) {
            return Err(probes.reports);
        }
        Ok((probes, ring, Counters { seen, dropped }))
    }

    /// The state of each probe after loading.
    #[must_use]
    pub(crate) fn reports(&self) -> &[ProbeReport] {
        &self.reports
    }

    /// The layout of the records of this kind.
    #[must_use]
    pub(crate) fn layout(&self, kind: u8) -> Option<&Layout> {
        self.layouts.get(&kind)
    }

    /// Whether the printk probe can read what is printed; if not, it only signals that something was.
    #[must_use]
    pub(crate) fn reads_text(&self) -> bool {
        self.reads_text
    }

    /// Attaches probes whose tracepoints have appeared since, for example because a module was loaded.
    /// Returns the new reports.
    pub(crate) fn attach_new(&mut self) -> Vec<ProbeReport> {
        let Some(tracefs) = self.tracefs.clone() else { return Vec::new() };
        let mut new = Vec::new();
        for index in 0..self.reports.len() {
            let ProbeReport { probe, state, .. } = self.reports[index];
            // Check first: the kernel logs a line about each load that it refuses.
            if state == ProbeState::Unsupported && exists(&tracefs, probe.group, probe.tracepoint) {
                let report = self.attach(probe);
                self.reports[index] = report.clone();
                new.push(report);
            }
        }
        new
    }

    /// Prints the probes' own diagnostics, if they were asked for.
    pub(crate) fn flush_diagnostics(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    fn attach_printk(&mut self, probe: Probe) -> ProbeReport {
        let mut attach = |program: &str| -> Result<(), ProgramError> {
            let program: &mut RawTracePoint = program_mut(&mut self.ebpf, program)?.try_into()?;
            program.load()?;
            program.attach(probe.tracepoint)?;
            Ok(())
        };
        match attach("printk") {
            Ok(()) => {
                self.reads_text = true;
                probe.report(ProbeState::Active, "")
            }
            Err(error) if ProbeState::of_error(&error) == ProbeState::Broken => match attach("printk_doorbell") {
                Ok(()) => probe
                    .report(ProbeState::Active, "the kernel does not let eBPF programs read its memory: doorbell only"),
                Err(_) => probe.report(ProbeState::Broken, chain(&error)),
            },
            Err(error) => {
                let state = ProbeState::of_error(&error);
                probe.report(state, because(state, "CAP_PERFMON", &error))
            }
        }
    }

    fn attach(&mut self, probe: Probe) -> ProbeReport {
        let Some(tracefs) = self.tracefs.clone() else { return probe.report(ProbeState::Unsupported, "no tracefs") };
        let (program, tracepoint) = match probe.fallback {
            _ if exists(&tracefs, probe.group, probe.tracepoint) => (probe.name, probe.tracepoint),
            Some(fallback) if exists(&tracefs, probe.group, fallback) => ("block_complete", fallback),
            _ => {
                return probe.report(
                    ProbeState::Unsupported,
                    "this kernel has no such tracepoint, or its module is not loaded",
                );
            }
        };
        let attached = (|| -> Result<(), Box<dyn Error>> {
            let layout = Layout::read(&tracefs, probe.group, tracepoint)?;
            let program: &mut TracePoint = program_mut(&mut self.ebpf, program)?.try_into()?;
            program.load()?;
            program.attach(probe.group, tracepoint)?;
            self.layouts.insert(probe.kind as u8, layout);
            Ok(())
        })();
        match attached {
            Ok(()) if tracepoint == probe.tracepoint => probe.report(ProbeState::Active, ""),
            Ok(()) => probe.report(ProbeState::Active, format!("through {}:{tracepoint}", probe.group)),
            Err(error) => {
                let state = ProbeState::of_error(&*error);
                probe.report(state, because(state, perf_capability(&self.node), &*error))
            }
        }
    }
}

/// The capability that attaching to a tracepoint requires. Ubuntu has levels of `perf_event_paranoid` above
/// the kernel's own, at which CAP_PERFMON is not enough.
fn perf_capability(node: &Node) -> &'static str {
    match node.sysctl("kernel/perf_event_paranoid") {
        Some(3..) => "CAP_PERFMON, or with kernel.perf_event_paranoid above 2 CAP_SYS_ADMIN,",
        _ => "CAP_PERFMON",
    }
}

fn program_mut<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut aya::programs::Program, ProgramError> {
    ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)
}

fn exists(tracefs: &Path, group: &str, tracepoint: &str) -> bool {
    tracefs.join("events").join(group).join(tracepoint).join("id").exists()
}

/// Why a probe is in this state; for a refusal it names the capability that this step requires.
fn because(state: ProbeState, capability: &str, error: &(dyn Error + 'static)) -> String {
    match state {
        ProbeState::Forbidden => {
            format!("{capability} is missing, or a security module forbids it: {}", one_line(error))
        }
        _ => one_line(error),
    }
}

/// An error and its causes in one line.
fn one_line(error: &(dyn Error + 'static)) -> String {
    // The output of the verifier is on lines of its own, and often empty.
    chain(error).lines().next().unwrap_or_default().trim_end_matches(". Verifier output: ").to_owned()
}

// === impl Counters ===

impl Counters {
    /// How often a probe fired, and how many of its records found the ring full. `None` if that cannot be
    /// read, for example because /sys is hidden, without which the number of possible CPUs is unknown.
    #[must_use]
    pub(crate) fn read(&self, kind: Kind) -> Option<(u64, u64)> {
        let sum = |counters: &PerCpuArray<MapData, u64>| {
            counters.get(&(kind as u32), 0).ok().map(|cpus| cpus.iter().sum::<u64>())
        };
        Some((sum(&self.seen)?, sum(&self.dropped)?))
    }
}
