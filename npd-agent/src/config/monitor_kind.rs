//! Which monitor a config file is for, and how that can be seen from the file.

use std::path::Path;

use super::{LogInput, read_text, system_stats::SYSTEM_STATS};
use crate::{
    feature::{Feature, NotBuilt},
    go::json,
};

/// What a config file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorKind {
    /// `--config.system-log-monitor`.
    SystemLog,
    /// `--config.custom-plugin-monitor`.
    CustomPlugin,
    /// `--config.system-stats-monitor`.
    SystemStats,
}

/// `plugin` of a system log monitor that reads the journal.
const JOURNALD: &str = "journald";
/// `plugin` of a custom plugin monitor: its rules run programs.
pub(super) const PLUGIN: &str = "custom";
/// Its rules name checks of the agent's own.
pub(super) const HEALTH: &str = "health";

/// The monitor that a file is for, by its keys: those of a log monitor say where its lines come from.
#[must_use]
pub fn guess(path: &Path) -> MonitorKind {
    let Ok(text) = read_text(path) else { return MonitorKind::SystemLog };
    let Ok(document) = json::parse(&text) else { return MonitorKind::SystemLog };
    if plugin(&document).is_some_and(|(_, name)| matches!(name, PLUGIN | HEALTH)) {
        return MonitorKind::CustomPlugin;
    }
    let has = |keys: &[&str]| document.root().members().any(|m| keys.iter().any(|key| m.key.eq_ignore_ascii_case(key)));
    if !has(&["plugin", "rules"]) && has(SYSTEM_STATS.names) {
        MonitorKind::SystemStats
    } else {
        MonitorKind::SystemLog
    }
}

/// The value of `plugin`.
fn plugin<'d>(document: &'d json::Document<'_>) -> Option<(json::Value<'d>, &'d str)> {
    let members = document.root().members().filter(|member| member.key.eq_ignore_ascii_case("plugin"));
    let name = |value: json::Value<'d>| match value.kind() {
        json::Kind::String(name) => Some((value, name)),
        _ => None,
    };
    members.filter_map(|member| name(member.value)).last()
}

// === impl MonitorKind ===

impl MonitorKind {
    /// This monitor; the log monitor if a custom plugin monitor was given a log monitor's file.
    pub(super) fn or_log_monitor(self, document: &json::Document<'_>) -> Self {
        let names_log = plugin(document).is_some_and(|(_, name)| LogInput::NAMES.contains(&name));
        if self == Self::CustomPlugin && names_log { Self::SystemLog } else { self }
    }

    /// What this build lacks for such a file, and what in the file asks for it. No other error of the file is reported then.
    pub(super) fn require<'d>(self, document: &'d json::Document<'_>) -> Result<(), (json::Value<'d>, NotBuilt)> {
        let (at, name) = plugin(document).unwrap_or((document.root(), ""));
        let features: &[Feature] = match (self, name) {
            (Self::SystemLog, JOURNALD) => &[Feature::Journald],
            (Self::SystemLog, _) => &[],
            (Self::CustomPlugin, HEALTH) => &[Feature::CustomPlugin, Feature::HealthChecks],
            (Self::CustomPlugin, _) => &[Feature::CustomPlugin],
            (Self::SystemStats, _) => &[Feature::SystemStats],
        };
        features.iter().try_for_each(|feature| feature.require()).map_err(|missing| (at, missing))
    }
}
