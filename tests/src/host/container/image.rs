//! An image as its containers see it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::driver::program::output;

/// An OCI layout, unpacked. Clones share the files.
#[derive(Clone, Debug)]
pub struct Image {
    folder: Arc<TempDir>,
    config: Value,
}

// === impl Image ===

impl Image {
    /// Has umoci unpack the only image of a layout.
    pub fn unpack(layout: &Path) -> Result<Self> {
        let index = json(&layout.join("index.json"))?;
        let manifest = &index["manifests"][0];
        let tag =
            manifest["annotations"]["org.opencontainers.image.ref.name"].as_str().context("an image without a tag")?;
        let config = json(&blob(layout, &json(&blob(layout, manifest)?)?["config"])?)?;
        let folder =
            tempfile::Builder::new().prefix("npd-image-").tempdir().context("cannot make a temporary folder")?;
        let mut umoci = Command::new("umoci");
        umoci
            .args(["unpack", "--image"])
            .arg(format!("{}:{tag}", layout.display()))
            .arg(folder.path().join("unpacked"));
        output(&mut umoci)?;
        Ok(Self { folder: Arc::new(folder), config })
    }

    /// Its root file system.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("unpacked/rootfs")
    }

    /// What its config says of containers: `Entrypoint`, `Env`, `User`, `Labels`.
    #[must_use]
    pub fn config(&self) -> &Value {
        &self.config["config"]
    }
}

/// The file of a blob that a descriptor names.
fn blob(layout: &Path, descriptor: &Value) -> Result<PathBuf> {
    let digest = descriptor["digest"].as_str().context("a descriptor without a digest")?;
    Ok(layout.join("blobs").join(digest.replace(':', "/")))
}

fn json(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))
}
