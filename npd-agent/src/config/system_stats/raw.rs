//! The keys of a system stats monitor's file, and what the file says: typed, but not checked.

use std::time::Duration;

use crate::{
    config::{
        decode::{Decode, Field, List, Map, Optional, Scalar},
        key::{Absent, DURATION, Shape, TEXT, Words, keys},
        report::{Findings, Notice, Problem},
        system_log::{CONDITION, MAX_LABEL, raw::RawCondition},
    },
    go::json::{Kind, Value},
    metric::Section,
};

/// How often the node is measured when a file does not say.
pub const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

/// The shortest time between two collections.
pub const LEAST_INTERVAL: Duration = Duration::from_millis(10);

/// The name of a monitor that has none.
pub const DEFAULT_SOURCE: &str = "system-stats-monitor";

pub(super) const DEFAULT_KNOWN_MODULES: &str = "guestosconfig/known-modules.json";

keys! {
    /// The whole file.
    pub(super) struct RawSystemStats<'d>, SYSTEM_STATS = "SystemStatsMonitor",
        "A system stats monitor of npd or node-problem-detector";

    cpu: RawSection<'d> = "cpu" Shared, Shape::Object(&SECTION), Absent::Unset,
        "Load and CPU time";
    disk: RawDisk<'d> = "disk" Shared, Shape::Object(&DISK), Absent::Unset,
        "Block devices and the file systems on them";
    host: RawSection<'d> = "host" Shared, Shape::Object(&SECTION), Absent::Unset,
        "Uptime and versions";
    memory: RawSection<'d> = "memory" Shared, Shape::Object(&SECTION), Absent::Unset,
        "Memory";
    os_feature: RawOsFeature<'d> = "osFeature" Shared, Shape::Object(&OS_FEATURE), Absent::Unset,
        "Boot options and kernel modules";
    net: RawNet<'d> = "net" Shared, Shape::Object(&NET), Absent::Unset,
        "Network interfaces";
    invoke_interval: Field<'d, &'d str> = "invokeInterval" Shared, Shape::Duration { least: Some(LEAST_INTERVAL) }, Absent::Duration(DEFAULT_INTERVAL),
        "The time between two collections";
    proc_path: Field<'d, &'d str> = "procPath" Shared, TEXT, Absent::Other("`$HOST_PROC`, else `/proc`"),
        "The folder with the node's /proc";
    pressure: RawSection<'d> = "pressure" Own, Shape::Object(&SECTION), Absent::Unset,
        "Pressure stall information";
    limits: RawSection<'d> = "limits" Own, Shape::Object(&SECTION), Absent::Unset,
        "How much of the kernel's node-wide limits is used";
    tasks: RawSection<'d> = "tasks" Own, Shape::Object(&SECTION), Absent::Unset,
        "States of processes; `tasks/processes` reads a file for each process";
    vm: RawSection<'d> = "vm" Own, Shape::Object(&SECTION), Absent::Unset,
        "Reclaim and the OOM killer";
    hardware: RawSection<'d> = "hardware" Own, Shape::Object(&SECTION), Absent::Unset,
        "Memory errors that the hardware found";
    clock: RawSection<'d> = "clock" Own, Shape::Object(&SECTION), Absent::Unset,
        "The clock's offset";
    source: Field<'d, &'d str> = "source" Own, TEXT, Absent::Text(DEFAULT_SOURCE),
        "The monitor's name in events and logs";
    conditions: List<'d, RawCondition<'d>> = "conditions" Own, Shape::Objects(&CONDITION), Absent::Empty,
        "The conditions that alerts set, as for system log monitors";
    metrics_reporting: Optional<'d, bool> = "metricsReporting" Own, Shape::Flag, Absent::Flag(true),
        "Whether `problem_counter` and `problem_gauge` count the alerts";
}

keys! {
    /// Most sections: what one collector measures.
    pub(super) struct RawSection<'d>, SECTION = "Section",
        "What one collector measures";

    metrics: RawMetrics<'d> = "metricsConfigs" Shared, Shape::Metrics(&METRIC), Absent::Other("`{}`"),
        "The metrics to measure, by their ids";
}

keys! {
    /// `disk`.
    pub(super) struct RawDisk<'d>, DISK = "DiskSection",
        "What is measured of block devices; all devices of /proc/diskstats if neither include key is set";

    metrics: RawMetrics<'d> = "metricsConfigs" Shared, Shape::Metrics(&METRIC), Absent::Other("`{}`"),
        "The metrics to measure, by their ids";
    include_root_blk: Field<'d, bool> = "includeRootBlk" Shared, Shape::Flag, Absent::Flag(false),
        "Measure whole devices";
    include_all_attached_blk: Field<'d, bool> = "includeAllAttachedBlk" Shared, Shape::Flag, Absent::Flag(false),
        "Measure devices that are mounted";
    lsblk_timeout: Field<'d, &'d str> = "lsblkTimeout" Shared, DURATION, Absent::Unset,
        "Without effect: npd reads /sys/block instead of running lsblk. Must still be well-formed";
}

keys! {
    /// `osFeature`.
    pub(super) struct RawOsFeature<'d>, OS_FEATURE = "OsFeatureSection",
        "What is measured of the operating system";

    metrics: RawMetrics<'d> = "metricsConfigs" Shared, Shape::Metrics(&METRIC), Absent::Other("`{}`"),
        "The metrics to measure, by their ids";
    known_modules: Field<'d, &'d str> = "knownModulesConfigPath" Shared, TEXT, Absent::Text(DEFAULT_KNOWN_MODULES),
        "A file that lists the modules that may be out of tree or proprietary; relative to the config file, and read with it";
}

keys! {
    /// `net`.
    pub(super) struct RawNet<'d>, NET = "NetSection",
        "What is measured of network interfaces";

    metrics: RawMetrics<'d> = "metricsConfigs" Shared, Shape::Metrics(&METRIC), Absent::Other("`{}`"),
        "The metrics to measure, by their ids";
    exclude_interfaces: Field<'d, &'d str> = "excludeInterfaceRegexp" Shared, TEXT, Absent::Text(""),
        "Interfaces that are not measured: a Go (RE2) regular expression that matches anywhere in the name";
}

keys! {
    /// One metric of `metricsConfigs`.
    pub(super) struct RawMetric<'d>, METRIC = "MetricConfig",
        "A metric that is measured";

    display_name: Field<'d, &'d str> = "displayName" Shared, TEXT, Absent::Text(""),
        "The metric's name; characters that Prometheus does not allow become underscores. A metric without a name is not measured; in `net`, or with an alert, it is an error";
    alerts: RawAlerts<'d> = "alert" Own, Shape::OneOrMore { name: "Alerts", object: &ALERT }, Absent::Unset,
        "One threshold, or an array of them";
}

keys! {
    /// A threshold.
    pub(super) struct RawAlert<'d>, ALERT = "Alert",
        "A threshold for the value of a gauge, or for the growth of a counter per second";

    above: Optional<'d, f64> = "above" Own, Shape::Number, Absent::Unset,
        "The problem begins above this value. Exactly one of `above` and `below` must be given. For a counter, its growth per second is compared, from the second collection on";
    below: Optional<'d, f64> = "below" Own, Shape::Number, Absent::Unset,
        "The problem begins below this value";
    hold: Field<'d, &'d str> = "for" Own, DURATION, Absent::Text("0"),
        "How long the value must stay beyond the bound";
    kind: Field<'d, &'d str> = "type" Own, Shape::Word(&ALERT_TYPE), Absent::Refused,
        "What a problem does";
    reason: Field<'d, &'d str> = "reason" Own, Shape::Text { least: 1, most: Some(MAX_LABEL) }, Absent::Refused,
        "The reason of the event and of the condition, in printable ASCII";
    condition: Field<'d, &'d str> = "condition" Own, TEXT, Absent::Unset,
        "For a permanent alert: the type of a declared condition";
    labels: Map<'d> = "labels" Own, Shape::TextMap, Absent::Other("`{}`"),
        "The series that the alert is for, by the values of their labels; each series is watched by itself";
}

keys! {
    /// One module of a known modules file; only its name counts.
    pub(super) struct RawModule<'d>, MODULE = "Module",
        "A kernel module that may be out of tree or proprietary";

    name: Field<'d, &'d str> = "moduleName" Shared, TEXT, Absent::Unset,
        "Its name";
    instances: Ignored = "instances" Shared, TEXT, Absent::Unset,
        "Ignored";
    proprietary: Ignored = "proprietary" Shared, Shape::Flag, Absent::Unset,
        "Ignored";
    out_of_tree: Ignored = "outOfTree" Shared, Shape::Flag, Absent::Unset,
        "Ignored";
    unsigned: Ignored = "unsigned" Shared, Shape::Flag, Absent::Unset,
        "Ignored";
}

static ALERT_TYPE: Words = Words {
    name: "RuleType",
    words: &[
        ("temporary", "an event when the problem begins"),
        ("permanent", "the condition is True for as long as the problem lasts"),
    ],
};

/// `metricsConfigs`. Ids are told apart by case.
#[derive(Default)]
pub(super) struct RawMetrics<'d> {
    pub(super) entries: Vec<RawEntry<'d>>,
}

/// One metric and its id.
pub(super) struct RawEntry<'d> {
    pub(super) id: &'d str,
    pub(super) at: Value<'d>,
    pub(super) metric: RawMetric<'d>,
}

/// `alert`: one threshold, or an array of them, each with the place where it stands.
#[derive(Default)]
pub(super) struct RawAlerts<'d>(pub(super) Vec<(Value<'d>, RawAlert<'d>)>);

/// A value of any type that has no effect.
#[derive(Default)]
pub(super) struct Ignored;

// === impl RawSystemStats ===

impl<'d> RawSystemStats<'d> {
    /// The metrics of each section, in the order of [`Section::ALL`].
    pub(super) fn metrics(&self) -> impl Iterator<Item = (Section, &RawMetrics<'d>)> {
        Section::ALL.into_iter().map(|section| (section, self.section(section)))
    }

    fn section(&self, section: Section) -> &RawMetrics<'d> {
        match section {
            Section::Cpu => &self.cpu.metrics,
            Section::Disk => &self.disk.metrics,
            Section::Host => &self.host.metrics,
            Section::Memory => &self.memory.metrics,
            Section::OsFeature => &self.os_feature.metrics,
            Section::Net => &self.net.metrics,
            Section::Pressure => &self.pressure.metrics,
            Section::Limits => &self.limits.metrics,
            Section::Tasks => &self.tasks.metrics,
            Section::Vm => &self.vm.metrics,
            Section::Hardware => &self.hardware.metrics,
            Section::Clock => &self.clock.metrics,
        }
    }
}

// === impl RawMetrics ===

impl<'d> Decode<'d> for RawMetrics<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        match value.kind() {
            Kind::Null => {
                *self = Self::default();
                return true;
            }
            Kind::Object => {}
            got => {
                findings.error(value, Problem::mismatch("an object of metrics", got));
                return false;
            }
        }
        for member in value.members() {
            // Unlike a field, an entry of a map starts afresh each time.
            let mut metric = RawMetric::default();
            metric.decode(member.value, findings);
            let entry = RawEntry { id: member.key, at: member.value, metric };
            match self.entries.iter_mut().find(|known| known.id == member.key) {
                Some(known) => {
                    let first = known.at.position();
                    findings.notice_at_key(member, Notice::DuplicateKey { key: member.key.to_owned(), first });
                    *known = entry;
                }
                None => self.entries.push(entry),
            }
        }
        true
    }
}

// === impl RawAlerts ===

impl<'d> Decode<'d> for RawAlerts<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        self.0.clear();
        let mut add = |value: Value<'d>| {
            let mut alert = RawAlert::default();
            if alert.decode(value, findings) {
                self.0.push((value, alert));
            }
        };
        match value.kind() {
            Kind::Null => {}
            Kind::Array => value.elements().for_each(add),
            _ => add(value),
        }
        true
    }
}

// === impl Ignored ===

impl Decode<'_> for Ignored {
    fn decode(&mut self, _value: Value<'_>, _findings: &mut Findings) -> bool {
        true
    }
}

// === impl Scalar ===

impl Scalar<'_> for f64 {
    fn read(value: Value<'_>) -> Result<Self, Problem> {
        match value.kind() {
            Kind::Number(spelling) => {
                let number = spelling.parse::<f64>().ok().filter(|number| number.is_finite());
                number.ok_or_else(|| Problem::value(spelling, "a number that fits 64 bits"))
            }
            got => Err(Problem::mismatch("a number (without quotes)", got)),
        }
    }
}
