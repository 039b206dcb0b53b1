//! Documents that are written from the tables of metrics and config keys, the shipped configs and the catalogue of reasons: the list of
//! metrics, what to do about each reason, a dashboard and alert rules, and the copies of these for kustomize and Helm, which
//! read nothing outside their own folder. `cargo xtask codegen` writes them; a test fails when one is out of date.

mod configuration_page;
mod dashboard;
mod metrics_page;
mod prometheus_rule;
pub mod reasons;
mod reasons_page;
mod rules;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use npd_agent::config::{self, ConfigFile, SystemStatsConfig};

use self::reasons::Catalogue;
use crate::{driver::binary, host::node, schema};

/// A file and the text that it should have.
pub struct Document {
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// All files that are generated from the code.
pub fn all() -> Result<Vec<Document>> {
    let (dashboard, rules) = (dashboard::write()?, rules::write(&shipped()?)?);
    let policy = binary::shipped_manifest("kustomize/base/admission-policy.yaml");
    let policy = fs::read_to_string(&policy).with_context(|| format!("cannot read {}", policy.display()))?;
    let configuration = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let configuration = fs::read_to_string(&configuration).context("cannot read docs/configuration.md")?;
    let mut documents = vec![
        at("config/schema/custom-plugin-monitor.json", schema::file(&schema::custom_plugin_monitor())?),
        at("config/schema/system-log-monitor.json", schema::file(&schema::system_log_monitor())?),
        at("config/schema/system-stats-monitor.json", schema::file(&schema::system_stats_monitor())?),
        at("docs/configuration.md", configuration_page::write(&configuration)?),
        at("docs/metrics.md", metrics_page::write()?),
        at("docs/reasons.md", reasons_page::write(&Catalogue::read()?)),
        at("deploy/kustomize/components/prometheus-operator/prometheus-rule.yaml", prometheus_rule::write(&rules)?),
        at("deploy/kustomize/components/dashboards/grafana-dashboard.json", dashboard.clone()),
        at("deploy/helm/npd/files/admission-policy.yaml", policy),
        at("deploy/helm/npd/files/grafana-dashboard.json", dashboard.clone()),
        at("deploy/helm/npd/files/prometheus-rules.yaml", rules.clone()),
        at("deploy/grafana-dashboard.json", dashboard),
        at("deploy/prometheus-rules.yaml", rules),
    ];
    for name in node::RECORDED {
        let path = node::recorded(name).join("metrics.prom");
        documents.push(Document { path, text: node::recorded_page(name)? });
    }
    Ok(documents)
}

/// The system stats monitors as shipped.
pub fn shipped() -> Result<Vec<SystemStatsConfig>> {
    let names = ["system-stats-monitor.json", "net-cgroup-system-stats-monitor.json"];
    let files = names.map(|name| ConfigFile::system_stats(binary::shipped_config(name)));
    Ok(config::load_files(&files).context("a shipped monitor is wrong")?.system_stats)
}

fn at(path: &str, text: String) -> Document {
    Document { path: Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path), text }
}
