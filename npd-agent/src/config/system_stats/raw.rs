//! What a system stats monitor's file says, typed but not checked.

use crate::{
    config::{
        decode::{Decode, Field, List, Map, Optional, Scalar, object},
        monitor_kind::STATS_KEYS,
        report::{Findings, Notice, Problem},
        system_log::raw::RawCondition,
    },
    go::json::{Kind, Value},
    metric::Section,
};

/// The whole file.
#[derive(Default)]
pub(super) struct RawSystemStats<'d> {
    /// In the order of [`Section::ALL`].
    pub(super) sections: [RawSection<'d>; Section::ALL.len()],
    pub(super) invoke_interval: Field<'d, &'d str>,
    pub(super) proc_path: Field<'d, &'d str>,
    pub(super) source: Field<'d, &'d str>,
    pub(super) conditions: List<'d, RawCondition<'d>>,
    pub(super) metrics_reporting: Optional<'d, bool>,
}

/// What is asked of one collector. The settings after the metrics are of one collector each.
#[derive(Default)]
pub(super) struct RawSection<'d> {
    pub(super) metrics: RawMetrics<'d>,
    pub(super) include_root_blk: Field<'d, bool>,
    pub(super) include_all_attached_blk: Field<'d, bool>,
    pub(super) lsblk_timeout: Field<'d, &'d str>,
    pub(super) known_modules: Field<'d, &'d str>,
    pub(super) exclude_interfaces: Field<'d, &'d str>,
}

/// `metricsConfigs`. Ids are told apart by case.
#[derive(Default)]
pub(super) struct RawMetrics<'d> {
    pub(super) entries: Vec<RawMetric<'d>>,
}

/// One metric and its id.
pub(super) struct RawMetric<'d> {
    pub(super) id: &'d str,
    pub(super) at: Value<'d>,
    pub(super) display_name: Field<'d, &'d str>,
    pub(super) alerts: RawAlerts<'d>,
}

/// `alert`: one threshold, or an array of them.
#[derive(Default)]
pub(super) struct RawAlerts<'d>(pub(super) Vec<RawAlert<'d>>);

/// A threshold.
pub(super) struct RawAlert<'d> {
    pub(super) at: Value<'d>,
    pub(super) above: Optional<'d, f64>,
    pub(super) below: Optional<'d, f64>,
    pub(super) hold: Field<'d, &'d str>,
    pub(super) kind: Field<'d, &'d str>,
    pub(super) reason: Field<'d, &'d str>,
    pub(super) condition: Field<'d, &'d str>,
    pub(super) labels: Map<'d>,
}

/// The keys of most sections.
pub const SECTION_KEYS: &[&str] = &["metricsConfigs"];
/// The keys of `disk`.
pub const DISK_KEYS: &[&str] = &["metricsConfigs", "includeRootBlk", "includeAllAttachedBlk", "lsblkTimeout"];
/// The keys of `osFeature`.
pub const OS_FEATURE_KEYS: &[&str] = &["metricsConfigs", "knownModulesConfigPath"];
/// The keys of `net`.
pub const NET_KEYS: &[&str] = &["metricsConfigs", "excludeInterfaceRegexp"];
/// The keys of a metric. `alert` is not node-problem-detector's.
pub const METRIC_KEYS: &[&str] = &["displayName", "alert"];
/// The keys of an alert.
pub const ALERT_KEYS: &[&str] = &["above", "below", "for", "type", "reason", "condition", "labels"];
/// The keys of an entry of the known modules file.
pub const MODULE_KEYS: &[&str] = &["moduleName", "instances", "proprietary", "outOfTree", "unsigned"];

impl<'d> Decode<'d> for RawSystemStats<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        object(value, STATS_KEYS, findings, |key, value, findings| match key {
            "invokeInterval" => self.invoke_interval.decode(value, findings),
            "procPath" => self.proc_path.decode(value, findings),
            "source" => self.source.decode(value, findings),
            "conditions" => self.conditions.decode(value, findings),
            "metricsReporting" => self.metrics_reporting.decode(value, findings),
            key => {
                let section = Section::ALL.into_iter().find(|section| section.key() == key);
                section.is_none_or(|section| self.sections[section as usize].decode(section, value, findings))
            }
        })
    }
}

impl<'d> RawSystemStats<'d> {
    pub(super) fn section(&self, section: Section) -> &RawSection<'d> {
        &self.sections[section as usize]
    }
}

impl<'d> RawSection<'d> {
    fn decode(&mut self, section: Section, value: Value<'d>, findings: &mut Findings) -> bool {
        let keys = match section {
            Section::Disk => DISK_KEYS,
            Section::OsFeature => OS_FEATURE_KEYS,
            Section::Net => NET_KEYS,
            _ => SECTION_KEYS,
        };
        object(value, keys, findings, |key, value, findings| match key {
            "metricsConfigs" => self.metrics.decode(value, findings),
            "includeRootBlk" => self.include_root_blk.decode(value, findings),
            "includeAllAttachedBlk" => self.include_all_attached_blk.decode(value, findings),
            "lsblkTimeout" => self.lsblk_timeout.decode(value, findings),
            "knownModulesConfigPath" => self.known_modules.decode(value, findings),
            "excludeInterfaceRegexp" => self.exclude_interfaces.decode(value, findings),
            _ => true,
        })
    }
}

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
            // Unlike a field, an entry of a map starts anew each time.
            let mut metric = RawMetric {
                id: member.key,
                at: member.value,
                display_name: Field::Absent,
                alerts: RawAlerts::default(),
            };
            object(member.value, METRIC_KEYS, findings, |key, value, findings| match key {
                "displayName" => metric.display_name.decode(value, findings),
                "alert" => metric.alerts.decode(value, findings),
                _ => true,
            });
            match self.entries.iter_mut().find(|known| known.id == member.key) {
                Some(known) => {
                    let first = known.at.position();
                    findings.notice_at_key(member, Notice::DuplicateKey { key: member.key.to_owned(), first });
                    *known = metric;
                }
                None => self.entries.push(metric),
            }
        }
        true
    }
}

impl<'d> Decode<'d> for RawAlerts<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        self.0.clear();
        match value.kind() {
            Kind::Null => true,
            Kind::Array => {
                self.0.extend(value.elements().filter_map(|value| RawAlert::decode(value, findings)));
                true
            }
            _ => {
                self.0.extend(RawAlert::decode(value, findings));
                true
            }
        }
    }
}

impl<'d> RawAlert<'d> {
    /// Nothing when it is no object.
    fn decode(value: Value<'d>, findings: &mut Findings) -> Option<Self> {
        let mut alert = Self {
            at: value,
            above: Optional::default(),
            below: Optional::default(),
            hold: Field::Absent,
            kind: Field::Absent,
            reason: Field::Absent,
            condition: Field::Absent,
            labels: Map::default(),
        };
        let is_object = object(value, ALERT_KEYS, findings, |key, value, findings| match key {
            "above" => alert.above.decode(value, findings),
            "below" => alert.below.decode(value, findings),
            "for" => alert.hold.decode(value, findings),
            "type" => alert.kind.decode(value, findings),
            "reason" => alert.reason.decode(value, findings),
            "condition" => alert.condition.decode(value, findings),
            "labels" => alert.labels.decode(value, findings),
            _ => true,
        });
        is_object.then_some(alert)
    }
}

/// One module of a known modules file; only its name counts.
#[derive(Default)]
pub(super) struct RawModule<'d> {
    pub(super) name: Field<'d, &'d str>,
}

impl<'d> Decode<'d> for RawModule<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        object(value, MODULE_KEYS, findings, |key, value, findings| match key {
            "moduleName" => self.name.decode(value, findings),
            _ => true,
        })
    }
}

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
