//! All that is rendered, once for all tests: each overlay with and without the components, and the chart with each values
//! file in `values/`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::{Context, Result};
use npd_tests::{cluster::deploy, driver::suite::need};
use serde_json::Value;

/// What is rendered, and how it came about.
pub(crate) struct Rendering {
    pub(crate) name: String,
    pub(crate) objects: Vec<Value>,
}

/// All of them.
pub(crate) fn all() -> Result<&'static [Rendering]> {
    static ALL: OnceLock<Result<Vec<Rendering>>> = OnceLock::new();
    for tool in ["kubectl", "helm"] {
        need::tool(tool)?;
    }
    match ALL.get_or_init(render) {
        Ok(all) => Ok(all),
        Err(error) => anyhow::bail!("{error:#}"),
    }
}

/// All of the chart.
pub(crate) fn charts() -> Result<impl Iterator<Item = &'static Rendering>> {
    Ok(all()?.iter().filter(|rendering| rendering.name.starts_with("chart")))
}

/// The one of this name.
pub(crate) fn named(name: &str) -> Result<&'static Rendering> {
    all()?.iter().find(|rendering| rendering.name == name).with_context(|| format!("there is no {name}"))
}

/// The values files, in the order of their names.
pub(crate) fn values_files() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/values");
    let listed = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = listed.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

fn render() -> Result<Vec<Rendering>> {
    let mut all = Vec::new();
    let mut add = |name: String, objects: Result<Vec<Value>>| -> Result<()> {
        let objects = objects.with_context(|| format!("cannot render {name}"))?;
        all.push(Rendering { name, objects });
        Ok(())
    };
    for overlay in deploy::OVERLAYS {
        add(format!("overlay {overlay}"), deploy::kustomize(overlay))?;
    }
    add("overlay privileged with all components".into(), deploy::kustomize_with("privileged", &deploy::COMPONENTS))?;
    // An agent without the API server has no events.
    let pages = ["dashboards", "prometheus-operator"];
    add("overlay metrics-only with components".into(), deploy::kustomize_with("metrics-only", &pages))?;
    add("chart".into(), deploy::helm(&[]))?;
    for file in values_files()? {
        let stem = file.file_stem().unwrap_or_default().display().to_string();
        add(format!("chart with {stem}"), deploy::helm(&[&file]))?;
    }
    Ok(all)
}

// === impl Rendering ===

impl Rendering {
    /// The objects of a kind.
    pub(crate) fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The DaemonSet.
    pub(crate) fn daemon_set(&self) -> Result<&Value> {
        self.of("DaemonSet").next().with_context(|| format!("{} has no DaemonSet", self.name))
    }

    /// What its pods are.
    pub(crate) fn pod(&self) -> Result<&Value> {
        Ok(&self.daemon_set()?["spec"]["template"])
    }

    /// The container of the agent.
    pub(crate) fn container(&self) -> Result<&Value> {
        Ok(&self.pod()?["spec"]["containers"][0])
    }
}
