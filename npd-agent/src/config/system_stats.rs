//! The configuration of a system stats monitor: node-problem-detector's file, checked.
//!
//! What node-problem-detector takes is taken and means the same, with these exceptions. A metric of `net` without a name
//! is an error here; there it ends the agent at the first sample. Not all of `net` has to be named. Nothing depends on
//! `lsblkTimeout`, because no lsblk is run. A name that is npd's own or another metric's is an error, as there.
//!
//! Beyond node-problem-detector there are six more sections with metrics of npd's own, and a metric may have an `alert`: a
//! threshold that makes an event or sets a condition.

mod alert;
mod raw;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use self::raw::{
    ALERT, DEFAULT_INTERVAL, DEFAULT_SOURCE, DISK, LEAST_INTERVAL, METRIC, MODULE, NET, OS_FEATURE, SECTION,
    SYSTEM_STATS,
};

use self::raw::{DEFAULT_KNOWN_MODULES, RawMetrics, RawModule, RawOsFeature, RawSystemStats};
use super::{
    decode::{Decode, Field, List, nearest},
    report::{ConfigError, Findings, Notice, Problem},
    system_log::{ConditionDefinition, Conditions, Effect, rule::check_span},
};
use crate::{
    go::{
        duration::parse_duration,
        json::{self, Document, Value},
    },
    metric::{MetricId, Section, exposition_name},
    rules::Extractor,
};

/// The configuration of one system stats monitor.
#[derive(Clone, Debug)]
pub struct SystemStatsConfig {
    /// The file it comes from, as named on the command line.
    pub path: PathBuf,
    /// The monitor's name: the component of its events.
    pub source: Arc<str>,
    /// The time between two collections.
    pub interval: Duration,
    /// Where the node's /proc is; nothing for where the environment says.
    pub proc_path: Option<PathBuf>,
    /// What to measure, in the order of the table. No two with one name.
    pub metrics: Vec<MetricConfig>,
    /// Which block devices.
    pub disk: DiskOptions,
    /// Interfaces that are not measured.
    pub exclude_interfaces: Option<Extractor>,
    /// Kernel modules that may be out of tree or proprietary.
    pub known_modules: Arc<BTreeSet<Box<str>>>,
    /// The conditions that alerts set, no two of one kind.
    pub conditions: Vec<ConditionDefinition>,
    /// Whether alerts are counted in `problem_counter` and `problem_gauge`.
    pub metrics_reporting: bool,
    /// Of the file's text, to know a change of it.
    pub digest: u64,
}

/// A metric to be measured.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricConfig {
    /// Which.
    pub id: MetricId,
    /// What Prometheus calls it.
    pub name: Arc<str>,
    /// What its values may be.
    pub alerts: Vec<Alert>,
}

/// Which block devices are measured: all, unless one of these is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskOptions {
    /// All whole devices.
    pub include_root_blk: bool,
    /// Those that are mounted.
    pub include_all_attached_blk: bool,
}

/// A threshold of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Of a gauge its value, of a counter its growth a second.
    pub bound: Bound,
    /// How long it must hold.
    pub hold: Duration,
    /// The series that it is about: for labels, by their index in the table, the value they have to have.
    pub labels: Vec<(usize, Box<str>)>,
    /// What it does.
    pub effect: Effect,
    /// The reason of the event, and of the condition.
    pub reason: Arc<str>,
    /// Where it stands in its file, as a JSON pointer.
    pub pointer: Arc<str>,
}

/// Where a problem begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// More than this.
    Above(f64),
    /// Less than this.
    Below(f64),
}

/// Reads a file's document. Nothing when there are errors among the findings.
pub(super) fn read(path: &Path, document: &Document<'_>, findings: &mut Findings) -> Option<SystemStatsConfig> {
    let root = document.root();
    let mut raw = RawSystemStats::default();
    if !raw.decode(root, findings) {
        return None;
    }
    let metrics_reporting = match raw.metrics_reporting.0 {
        Field::Present { value, .. } => value,
        Field::Absent | Field::Refused => true,
    };
    let conditions = Conditions::check(&raw.conditions, findings);
    let mut metrics = Vec::new();
    let context = alert::Context { conditions: &conditions, metrics_reporting };
    for (section, raw) in raw.metrics() {
        check_metrics(section, raw, &context, &mut metrics, findings);
    }
    if conditions.complete {
        let entries = raw.metrics().flat_map(|(_, metrics)| &metrics.entries);
        let alerts = entries.flat_map(|entry| &entry.metric.alerts.0);
        let named = alerts.filter_map(|(_, alert)| alert.condition.get()).collect();
        conditions.report_unused(&raw.conditions, &named, findings);
    }
    let disk = &raw.disk;
    // It has no effect, but it has to be a duration.
    check_span(&disk.lsblk_timeout, root, findings);
    let config = SystemStatsConfig {
        path: path.to_owned(),
        source: raw.source.get().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SOURCE).into(),
        interval: check_interval(&raw.invoke_interval, root, findings),
        proc_path: check_proc_path(&raw.proc_path, root, findings),
        metrics,
        disk: DiskOptions {
            include_root_blk: disk.include_root_blk.get().unwrap_or_default(),
            include_all_attached_blk: disk.include_all_attached_blk.get().unwrap_or_default(),
        },
        exclude_interfaces: check_exclusion(&raw.net.exclude_interfaces, root, findings),
        known_modules: Arc::new(known_modules(path, &raw.os_feature, root, findings)),
        conditions: conditions.definitions,
        metrics_reporting,
        digest: 0,
    };
    (!findings.is_fatal()).then_some(config)
}

fn check_metrics<'d>(
    section: Section,
    raw: &RawMetrics<'d>,
    context: &alert::Context<'_, 'd>,
    metrics: &mut Vec<MetricConfig>,
    findings: &mut Findings,
) {
    let mut found = Vec::new();
    for entry in &raw.entries {
        let Some(id) = MetricId::named(entry.id).filter(|id| id.metric().section == section) else {
            let known: Vec<_> = MetricId::of(section).map(|id| id.metric().id).collect();
            let (id, nearest) = (entry.id.to_owned(), nearest(entry.id, &known));
            findings.notice(entry.at, Notice::UnknownMetric { id, section: section.key(), nearest });
            continue;
        };
        let alerts = entry
            .metric
            .alerts
            .0
            .iter()
            .filter_map(|(at, raw)| alert::check(id.metric(), *at, raw, context, findings))
            .collect();
        match entry.metric.display_name.get() {
            None => {}
            Some("") if section == Section::Net || !entry.metric.alerts.0.is_empty() => {
                findings.error(entry.at, Problem::MetricUnnamed(id.metric().id));
            }
            Some("") => findings.notice(entry.at, Notice::MetricUnnamed),
            Some(display) => {
                let at = entry.metric.display_name.at(entry.at);
                let name = exposition_name(display);
                let same = metrics.iter().chain(&found).find(|metric| *metric.name == *name);
                if let Some(same) = same {
                    findings.error(at, Problem::MetricTwice { name, of: same.id.metric().id.to_owned() });
                } else if is_reserved(&name) {
                    findings.error(at, Problem::MetricReserved(name));
                } else {
                    found.push(MetricConfig { id, name: name.into(), alerts });
                }
            }
        }
    }
    found.sort_by_key(|metric| metric.id);
    metrics.extend(found);
}

/// Names of metrics that npd has in any case.
fn is_reserved(name: &str) -> bool {
    matches!(name, "problem_counter" | "problem_gauge") || name.starts_with("npd_")
}

fn check_interval<'d>(field: &Field<'d, &'d str>, root: Value<'d>, findings: &mut Findings) -> Duration {
    let Some(text) = field.get().filter(|text| !text.is_empty()) else { return DEFAULT_INTERVAL };
    match parse_duration(text).map(|duration| (duration, duration.to_std())) {
        Ok((_, Some(interval))) if interval >= LEAST_INTERVAL => return interval,
        Ok((duration, _)) => findings.error(field.at(root), Problem::value(duration, "10ms and more")),
        Err(error) => findings.error(field.at(root), Problem::Duration(error)),
    }
    DEFAULT_INTERVAL
}

fn check_proc_path<'d>(field: &Field<'d, &'d str>, root: Value<'d>, findings: &mut Findings) -> Option<PathBuf> {
    let path = Path::new(field.get().filter(|text| !text.is_empty())?);
    if !path.is_dir() {
        findings.error(field.at(root), Problem::value(path.display(), "a folder that has the node's /proc"));
    }
    Some(path.to_owned())
}

fn check_exclusion<'d>(field: &Field<'d, &'d str>, root: Value<'d>, findings: &mut Findings) -> Option<Extractor> {
    let source = field.get().filter(|text| !text.is_empty())?;
    Extractor::new(source).map_err(|error| findings.error(field.at(root), Problem::Pattern(error))).ok()
}

/// The modules that somebody knows. A file that cannot be used is worth a warning: then all are unknown.
fn known_modules<'d>(
    path: &Path,
    section: &RawOsFeature<'d>,
    root: Value<'d>,
    findings: &mut Findings,
) -> BTreeSet<Box<str>> {
    let given = section.known_modules.get().unwrap_or_default();
    if section.metrics.entries.is_empty() {
        return BTreeSet::new();
    }
    let file = if given.is_empty() { DEFAULT_KNOWN_MODULES } else { given };
    let file = path.parent().unwrap_or(Path::new("")).join(file);
    let mut refuse = |why: String| {
        findings.notice(section.known_modules.at(root), Notice::KnownModules { file: file.clone(), why });
        BTreeSet::new()
    };
    let text = match super::read_file(&file) {
        Ok(text) => text,
        Err(problem) => return refuse(problem.to_string()),
    };
    let document = match json::parse(&text) {
        Ok(document) => document,
        Err(error) => return refuse(format!("{}: {}", error.position, error.what)),
    };
    let (mut modules, mut inner) = (List::<RawModule<'_>>::default(), Findings::default());
    modules.decode(document.root(), &mut inner);
    if let Some(error) = inner.finish(&file).0.first() {
        return refuse(error.to_string());
    }
    let names = modules.elements().iter().filter_map(|module| module.value.name.get());
    names.filter(|name| !name.is_empty()).map(Box::from).collect()
}

// === impl Bound ===

impl Bound {
    /// Whether a value is a problem.
    #[must_use]
    pub fn is_passed(self, value: f64) -> bool {
        match self {
            Self::Above(bound) => value > bound,
            Self::Below(bound) => value < bound,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Above(bound) => write!(f, "above {bound}"),
            Self::Below(bound) => write!(f, "below {bound}"),
        }
    }
}

/// The names that a file gives to other metrics than other files do.
pub(crate) fn conflicts<'a>(
    config: &'a SystemStatsConfig,
    others: impl IntoIterator<Item = &'a SystemStatsConfig>,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for other in others {
        for metric in &config.metrics {
            let same = other.metrics.iter().find(|known| known.name == metric.name && known.id != metric.id);
            errors.extend(same.map(|same| {
                let of = format!("{}\" of \"{}", same.id.metric().id, other.path.display());
                let problem = Problem::MetricTwice { name: metric.name.to_string(), of };
                ConfigError { file: config.path.clone(), location: None, problem }
            }));
        }
    }
    errors
}

#[cfg(test)]
mod tests;
