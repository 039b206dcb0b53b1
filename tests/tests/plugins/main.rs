//! The agent with custom plugin monitors: what becomes of results, plugins that misbehave, and the shipped scripts. No test
//! in here touches the kernel log.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use npd_tests::driver::{
    agent::{Agent, Setup, metrics::Metrics},
    suite::Suite,
};
use serde_json::{Value, json};

mod hostile;
mod live;
mod scripts;

fn main() -> ExitCode {
    let mut suite = Suite::default();
    live::add(&mut suite);
    hostile::add(&mut suite);
    scripts::add(&mut suite);
    suite.run()
}

/// A config file in the making.
#[derive(Clone, Debug)]
struct Plugins {
    folder: PathBuf,
    config: Value,
}

// === impl Plugins ===

impl Plugins {
    /// A monitor `test` with a condition `Bad` whose plugins are in the folder of this agent. All run ten times a second.
    fn of(setup: &Setup) -> Self {
        let config = json!({
            "plugin": "custom", "source": "test",
            "pluginConfig": {"invoke_interval": "100ms", "timeout": "5s"},
            "conditions": [{"type": "Bad", "reason": "Good", "message": "all is well"}], "rules": [],
        });
        Self { folder: setup.folder().to_owned(), config }
    }

    /// Sets one key of `pluginConfig`.
    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config["pluginConfig"][key] = value.into();
        self
    }

    /// Adds a temporary rule and its script.
    fn temporary(self, reason: &str, script: &str) -> Result<Self> {
        self.rule(json!({"type": "temporary", "reason": reason}), reason, script)
    }

    /// Adds a permanent rule and its script.
    fn permanent(self, reason: &str, script: &str) -> Result<Self> {
        self.rule(json!({"type": "permanent", "condition": "Bad", "reason": reason}), reason, script)
    }

    /// Adds a rule with any keys, and a script for it.
    fn rule(mut self, mut rule: Value, name: &str, script: &str) -> Result<Self> {
        let path = script_in(&self.folder, name, script)?;
        rule["path"] = path.display().to_string().into();
        self.config["rules"].as_array_mut().context("no rules")?.push(rule);
        Ok(self)
    }

    /// Writes the file and gives it to an agent.
    fn give(&self, setup: Setup) -> Result<Setup> {
        Ok(setup.arg(format!("--config.custom-plugin-monitor={}", self.write()?.display())))
    }

    fn write(&self) -> Result<PathBuf> {
        let path = self.folder.join("plugins.json");
        fs::write(&path, self.config.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// Writes a shell script that can be run.
fn script_in(folder: &Path, name: &str, script: &str) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.sh"));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(&path, Permissions::from_mode(0o755)).context("cannot make it a program")?;
    Ok(path)
}

/// How often a rule's check has run with this outcome.
fn runs(metrics: &Metrics, reason: &str, outcome: &str) -> f64 {
    let rule = format!("test/{reason}");
    metrics.value("npd_plugin_runs_total", &[("rule", &rule), ("outcome", outcome)]).unwrap_or_default()
}

/// Waits until a rule's check has run so many times more with this outcome.
fn wait_for_runs(agent: &Agent, reason: &str, outcome: &str, more: f64) -> Result<()> {
    let before = runs(&agent.metrics()?, reason, outcome);
    let what = format!("{more} more runs of {reason} with {outcome}");
    agent.wait_for_metrics(&what, |metrics| (runs(metrics, reason, outcome) >= before + more).then_some(()))
}
