//! The tables of keys in `docs/configuration.md`: the rest of the page is written by hand.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use npd_agent::config::{
    custom_plugin::{self, CUSTOM_PLUGIN, SETTINGS},
    key::{Object, Origin},
    system_log::{self, CONDITION, RECHECK, SYSTEM_LOG, THRESHOLD},
    system_stats::{ALERT, DISK, METRIC, NET, OS_FEATURE, SECTION, SYSTEM_STATS},
};

/// A table: its marker, whose keys it has, and the objects of which they are, with what stands before their keys.
type Table = (&'static str, Origin, &'static [(&'static str, &'static Object)]);

const SYSTEM_LOG_OBJECTS: &[(&str, &Object)] = &[
    ("", &SYSTEM_LOG),
    ("conditions[].", &CONDITION),
    ("rules[].", &system_log::RULE),
    ("rules[].threshold.", &THRESHOLD),
    ("rules[].recheck.", &RECHECK),
];

const SYSTEM_STATS_OBJECTS: &[(&str, &Object)] = &[
    ("", &SYSTEM_STATS),
    ("SECTION.", &SECTION),
    ("disk.", &DISK),
    ("osFeature.", &OS_FEATURE),
    ("net.", &NET),
    ("SECTION.metricsConfigs.ID.", &METRIC),
    ("alert.", &ALERT),
];

const TABLES: &[Table] = &[
    ("system-log", Origin::Shared, SYSTEM_LOG_OBJECTS),
    ("system-log own", Origin::Own, SYSTEM_LOG_OBJECTS),
    ("system-stats", Origin::Shared, SYSTEM_STATS_OBJECTS),
    ("system-stats own", Origin::Own, SYSTEM_STATS_OBJECTS),
    (
        "custom-plugin",
        Origin::Shared,
        &[("", &CUSTOM_PLUGIN), ("pluginConfig.", &SETTINGS), ("rules[].", &custom_plugin::RULE)],
    ),
    ("custom-plugin own", Origin::Own, &[("rules[].", &custom_plugin::RULE)]),
];

/// The page with the tables as the code has them.
pub(super) fn write(page: &str) -> Result<String> {
    let mut page = page.to_owned();
    for (name, origin, objects) in TABLES {
        let (begin, end) = (format!("<!-- keys: {name} -->\n"), "<!-- end -->\n");
        let start = page.find(&begin).with_context(|| format!("there is no {begin:?}"))? + begin.len();
        let length = page[start..].find(end).with_context(|| format!("{begin:?} has no end"))?;
        page.replace_range(start..start + length, &table(*origin, objects)?);
    }
    Ok(page)
}

fn table(origin: Origin, objects: &[(&str, &Object)]) -> Result<String> {
    let mut table = "\n| key | default | meaning |\n|---|---|---|\n".to_owned();
    for (prefix, object) in objects {
        // Every section has it; it is listed once.
        let repeated = |name: &str| name == "metricsConfigs" && *prefix != "SECTION.";
        for key in object.keys.iter().filter(|key| key.origin == origin && !repeated(key.name)) {
            writeln!(table, "| `{prefix}{}` | {} | {} |", key.name, key.absent, key.meaning())?;
        }
    }
    table.push('\n');
    Ok(table)
}
