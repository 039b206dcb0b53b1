//! The shipped log monitors.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use npd_agent::config::{self, LogInput, SystemLogConfig};
use npd_tests::driver::binary::shipped_config;

/// The shipped log monitors by the names of their files.
pub(crate) type Shipped = BTreeMap<String, SystemLogConfig>;

/// Loads each file by itself: some declare the same condition, and no agent runs them all.
pub(crate) fn shipped() -> Result<Shipped> {
    let mut shipped = Shipped::new();
    for path in entries(&shipped_config(""))? {
        if path.extension().is_none_or(|found| found != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let json: serde_json::Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        if !json["plugin"].as_str().is_some_and(|plugin| LogInput::NAMES.contains(&plugin)) {
            continue;
        }
        let mut loaded = config::load(std::slice::from_ref(&path)).context("a shipped monitor is wrong")?;
        if let Some(warning) = loaded.warnings.first() {
            bail!("{warning}");
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        shipped.insert(name, loaded.system_logs.remove(0));
    }
    Ok(shipped)
}

/// What is in a folder, sorted.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = list.with_context(|| format!("cannot list {}", folder.display()))?;
    paths.sort();
    Ok(paths)
}

pub(crate) fn same_rules(shipped: &Shipped) -> Result<()> {
    for (stand_in, original) in
        [("kernel-monitor-filelog.json", "kernel-monitor.json"), ("docker-monitor-filelog.json", "docker-monitor.json")]
    {
        let (stand_in, original) = (&shipped[stand_in], &shipped[original]);
        // Patterns are equal by their text.
        let rules = |config: &SystemLogConfig| format!("{:?}", (&config.source, &config.conditions, texts(config)));
        ensure!(rules(stand_in) == rules(original), "{} has fallen behind", stand_in.path.display());
    }
    Ok(())
}

fn texts(config: &SystemLogConfig) -> Vec<String> {
    let rules = config.rules.iter();
    rules.map(|r| format!("{:?} {} {} {:?}", r.effect, r.reason, r.pattern.source(), r.recovery.recheck)).collect()
}
