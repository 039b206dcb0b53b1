//! Nodes as folders: what /proc, /sys and /etc say there, recorded or made by hand, and what the agent makes of it.
//!
//! A node is a folder with `proc`, `sys` and `etc`. The two things that no file says are there as well: a file `space` at
//! each mount point has the free and used bytes and all and the free inodes, and the clock is always the same.

pub mod large;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use npd_agent::{
    config::{self, ConfigFile, SystemStatsConfig},
    metric::{MetricId, Section},
    monitor::system_stats::{Collectors, StatsPage},
    node::clock::ClockState,
    node::{Node, space::Space},
    time::Monotonic,
};
use prometheus::{Registry, TextEncoder};
use serde_json::{Map, Value, json};

use crate::driver::binary;

/// The nodes of this repository. `vm` was recorded on a Firecracker VM with Linux 6.18, and trimmed. `cgroup-v1` is made by
/// hand after the documented formats: CentOS 7 with Linux 3.10, LVM, btrfs, EDAC and modules from elsewhere.
pub const RECORDED: [&str; 2] = ["vm", "cgroup-v1"];

/// The node in a folder.
#[must_use]
pub fn node(folder: &Path) -> Node {
    Node {
        proc: folder.join("proc"),
        sys: folder.join("sys"),
        etc: folder.join("etc"),
        root: folder.to_owned(),
        space,
        clock,
    }
}

/// A recorded node of this repository.
#[must_use]
pub fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("nodes").join(name)
}

/// The metrics page of a recorded node after its first collection; beside it in `metrics.prom`.
pub fn recorded_page(name: &str) -> Result<String> {
    let settings = json!({
        "disk": {"includeRootBlk": true, "includeAllAttachedBlk": true},
        "net": {"excludeInterfaceRegexp": "^docker"},
        "osFeature": {"knownModulesConfigPath": binary::shipped_config("guestosconfig/known-modules.json")},
    });
    let pages = pages(&everything_with(&settings)?, &[node(&recorded(name))])?;
    pages.into_iter().next().context("no page")
}

/// A config with every metric there is, under its usual name.
pub fn everything() -> Result<SystemStatsConfig> {
    everything_with(&json!({}))
}

/// As [`everything`], with more settings of some sections.
pub fn everything_with(more: &Value) -> Result<SystemStatsConfig> {
    let mut config = Map::new();
    for section in Section::ALL {
        let metrics = MetricId::of(section).map(|id| id.metric().id);
        let metrics: Map<_, _> = metrics.map(|id| (id.to_owned(), json!({"displayName": id}))).collect();
        let mut settings = more[section.key()].as_object().cloned().unwrap_or_default();
        settings.insert("metricsConfigs".to_owned(), Value::Object(metrics));
        config.insert(section.key().to_owned(), Value::Object(settings));
    }
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let path = folder.path().join("everything.json");
    fs::write(&path, Value::Object(config).to_string()).context("cannot write a config")?;
    let loaded = config::load_files(&[ConfigFile::system_stats(&path)])?;
    let mut config = loaded.system_stats.into_iter().next().context("no config")?;
    // It stands on the page, and is another each time.
    config.path = "everything.json".into();
    Ok(config)
}

/// The metrics page after each of several collections, which took no time and were ten seconds apart.
pub fn pages(config: &SystemStatsConfig, nodes: &[Node]) -> Result<Vec<String>> {
    let registry = Registry::new();
    let page = StatsPage::register(&registry)?;
    let mut collectors = Collectors::new(config);
    page.put(config, collectors.sections());
    let mut pages = Vec::new();
    for (node, seconds) in nodes.iter().zip((1_000..).step_by(10)) {
        let now = Monotonic::from_nanos(seconds * 1_000_000_000);
        for section in collectors.sections().collect::<Vec<_>>() {
            page.begin(&config.path, section, now);
            let (samples, outcome) = collectors.collect(section, node, now);
            page.end(&config.path, section, samples, outcome.is_ok(), now);
        }
        pages.push(TextEncoder::new().encode_to_string(&registry.gather())?);
    }
    ensure!(pages.len() == nodes.len(), "not every node was measured");
    Ok(pages)
}

fn space(mount_point: &Path) -> io::Result<Space> {
    let text = fs::read_to_string(mount_point.join("space"))?;
    let numbers: Vec<u64> = text.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    let [bytes_free, bytes_used, inodes, inodes_free] = numbers[..] else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "four numbers were expected"));
    };
    Ok(Space { bytes_free, bytes_used, inodes, inodes_free })
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of the question")]
fn clock() -> io::Result<ClockState> {
    let max_error = Duration::from_micros(31_500);
    Ok(ClockState { offset: -0.000_012, max_error, is_unsynchronised: false, is_in_error: false })
}
