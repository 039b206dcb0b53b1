//! The manifests of `deploy/` as a cluster would get them: rendered by kubectl and helm, without a cluster or a network.
//!
//! `cargo xtask setup` brings both. Where they are missing, these give a [`skip`](crate::driver::suite::skip).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::driver::{binary, program::output, suite::need};

/// The overlays of `deploy/kustomize/overlays`.
pub const OVERLAYS: [&str; 4] = ["health-checker", "least-privilege", "metrics-only", "privileged"];

/// The components of `deploy/kustomize/components`.
pub const COMPONENTS: [&str; 3] = ["dashboards", "pod-events", "prometheus-operator"];

/// One rendering of the chart.
#[derive(Clone, Debug)]
pub struct Release {
    name: String,
    namespace: String,
    arguments: Vec<String>,
}

/// Renders an overlay of `deploy/kustomize/overlays`.
pub fn kustomize(overlay: &str) -> Result<Vec<Value>> {
    kustomize_folder(&binary::shipped_manifest("kustomize/overlays").join(overlay))
}

/// Renders an overlay with components of `deploy/kustomize/components`, as an overlay of a user's own would have it.
pub fn kustomize_with(overlay: &str, components: &[&str]) -> Result<Vec<Value>> {
    let shipped = binary::shipped_manifest("kustomize").canonicalize().context("there is no deploy/kustomize")?;
    let shipped = shipped.display();
    let components: Vec<_> = components.iter().map(|name| format!("  - {shipped}/components/{name}")).collect();
    let components = components.join("\n");
    kustomize_text(&format!("resources:\n  - {shipped}/overlays/{overlay}\ncomponents:\n{components}\n"), &[])
}

/// Renders a `kustomization.yaml` that stands in a folder of its own with these files.
pub fn kustomize_text(kustomization: &str, files: &[(&str, &str)]) -> Result<Vec<Value>> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    // Kustomize takes bases by relative paths only.
    let up = "../".repeat(folder.path().canonicalize()?.components().count() - 1);
    let kustomization = kustomization.replace("- /", &format!("- {up}"));
    for (name, text) in files.iter().chain(&[("kustomization.yaml", &*kustomization)]) {
        fs::write(folder.path().join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    kustomize_folder(folder.path())
}

fn kustomize_folder(folder: &Path) -> Result<Vec<Value>> {
    need::tool("kubectl")?;
    objects(&output(Command::new("kubectl").arg("kustomize").arg(folder))?)
}

/// Renders the chart with these values files, as `helm template` does: the tests of the release included.
pub fn helm(values: &[&Path]) -> Result<Vec<Value>> {
    Release::default().values(values).render()
}

/// The chart.
#[must_use]
pub fn chart() -> PathBuf {
    binary::shipped_manifest("helm/npd")
}

/// Runs `helm lint --strict` with these values files.
pub fn helm_lint(values: &[&Path]) -> Result<()> {
    need::tool("helm")?;
    let mut command = Command::new("helm");
    command.args(["lint", "--strict"]).arg(chart());
    for file in values {
        command.arg("--values").arg(file);
    }
    output(&mut command).map(drop)
}

/// The one object of a kind and a name.
pub fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let mut found = objects.iter().filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    let object = found.next().with_context(|| format!("there is no {kind} {name}"))?;
    ensure!(found.next().is_none(), "there are two {kind} {name}");
    Ok(object)
}

/// The objects of a YAML stream.
pub fn objects(text: &str) -> Result<Vec<Value>> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).context("what was rendered is no YAML")?;
    Ok(objects.into_iter().filter(|object| !object.is_null()).collect())
}

// === impl Release ===

impl Default for Release {
    fn default() -> Self {
        Self { name: "npd".into(), namespace: "npd".into(), arguments: Vec::new() }
    }
}

impl Release {
    /// A release of this name in this namespace.
    #[must_use]
    pub fn new(name: &str, namespace: &str) -> Self {
        Self { name: name.into(), namespace: namespace.into(), ..Self::default() }
    }

    /// With values files.
    #[must_use]
    pub fn values(mut self, files: &[&Path]) -> Self {
        for file in files {
            self.arguments.extend(["--values".to_owned(), file.display().to_string()]);
        }
        self
    }

    /// With one value, as `--set` takes it.
    #[must_use]
    pub fn set(mut self, value: &str) -> Self {
        self.arguments.extend(["--set".to_owned(), value.to_owned()]);
        self
    }

    /// In a cluster of this version.
    #[must_use]
    pub fn kubernetes(mut self, version: &str) -> Self {
        self.arguments.extend(["--kube-version".to_owned(), version.to_owned()]);
        self
    }

    /// All objects.
    pub fn render(&self) -> Result<Vec<Value>> {
        objects(&self.run(&["template"])?)
    }

    /// What helm says to the user after an installation.
    pub fn notes(&self) -> Result<String> {
        let said = self.run(&["install", "--dry-run=client"])?;
        let (_, notes) = said.split_once("\nNOTES:\n").context("there are no notes")?;
        Ok(notes.to_owned())
    }

    fn run(&self, verb: &[&str]) -> Result<String> {
        need::tool("helm")?;
        let mut command = Command::new("helm");
        command.args(verb).args(["--namespace", &self.namespace, &self.name]).arg(chart()).args(&self.arguments);
        // A kubeconfig of whoever runs the tests is none of their business.
        command.env("KUBECONFIG", "/dev/null");
        output(&mut command)
    }
}
