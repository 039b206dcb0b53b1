//! Where reasons show: what the shipped configs say, and what the code itself reports.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use npd_agent::{agent::INVALID_CONFIG, monitor::custom_plugin::check::RunKind};
use serde_json::Value;

use crate::driver::binary::shipped_config;

/// Where a reason shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An event of a shipped monitor.
    Event {
        /// The monitor's file.
        file: String,
    },
    /// An event when a metric passes a threshold.
    Threshold {
        /// The monitor's file.
        file: String,
    },
    /// A condition that is True.
    Condition {
        /// Its type.
        kind: String,
        /// The monitor's file.
        file: String,
    },
    /// A condition that is False.
    Healthy {
        /// Its type.
        kind: String,
        /// The monitor's file.
        file: String,
    },
    /// What the code itself reports, in words.
    Code(&'static str),
}

/// What the shipped configs and the code report.
pub(super) fn all() -> Result<BTreeMap<String, BTreeSet<Place>>> {
    let mut places = BTreeMap::new();
    for path in files(&shipped_config(""), "json")? {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let config: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        for (reason, place) in places_of(&file, &config) {
            places.entry(reason).or_insert_with(BTreeSet::new).insert(place);
        }
    }
    for kind in RunKind::ALL {
        let code = Place::Code(
            "any condition of a plugin or health check, as Unknown; of a temporary rule an event of type Normal",
        );
        places.entry(kind.reason().to_owned()).or_default().insert(code);
    }
    places
        .entry(INVALID_CONFIG.to_owned())
        .or_default()
        .insert(Place::Code("event of the monitor whose config file has changed"));
    Ok(places)
}

fn places_of(file: &str, config: &Value) -> Vec<(String, Place)> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut places = Vec::new();
    for condition in list(&config["conditions"]) {
        let place = Place::Healthy { kind: text(&condition, "type"), file: file.to_owned() };
        places.push((text(&condition, "reason"), place));
    }
    for rule in list(&config["rules"]) {
        let place = match rule["type"].as_str() {
            Some("temporary") => Place::Event { file: file.to_owned() },
            _ => Place::Condition { kind: text(&rule, "condition"), file: file.to_owned() },
        };
        places.push((text(&rule, "reason"), place));
    }
    let sections = config.as_object().into_iter().flat_map(|config| config.values());
    let metrics = sections.filter_map(|section| section["metricsConfigs"].as_object()).flat_map(|map| map.values());
    for alert in metrics.map(|metric| &metric["alert"]) {
        let alerts = if alert.is_object() { vec![alert.clone()] } else { list(alert) };
        for alert in alerts {
            let place = match alert["type"].as_str() {
                Some("permanent") => Place::Condition { kind: text(&alert, "condition"), file: file.to_owned() },
                _ => Place::Threshold { file: file.to_owned() },
            };
            places.push((text(&alert, "reason"), place));
        }
    }
    places
}

/// The files of a folder with this extension, sorted.
pub(super) fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let list = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = list.with_context(|| format!("cannot list {}", folder.display()))?;
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    Ok(paths)
}
