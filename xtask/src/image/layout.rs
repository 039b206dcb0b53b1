//! An OCI image layout: blobs by their digest, and the index that leads to them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Arch, Flavour,
    layer::{Packed, digest},
};
use crate::workspace::{commit, remove_folder};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A layout in the making.
pub(super) struct Layout {
    folder: PathBuf,
    /// When it was made, as RFC 3339 has it.
    created: String,
    layers: Vec<Value>,
    diff_ids: Vec<String>,
}

// === impl Layout ===

impl Layout {
    /// An empty one in place of what was there, made `date` seconds after 1970.
    pub(super) fn new(folder: PathBuf, date: u64) -> Result<Self> {
        let created = i64::try_from(date).map(Timestamp::from_second).context("the date is no time")??.to_string();
        remove_folder(&folder)?;
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
        Ok(Self { folder, created, layers: Vec::new(), diff_ids: Vec::new() })
    }

    /// Puts a layer above those that are there.
    pub(super) fn add_layer(&mut self, layer: &Packed) -> Result<()> {
        let descriptor = self.blob(LAYER, &layer.compressed)?;
        self.layers.push(descriptor);
        self.diff_ids.push(layer.diff_id.clone());
        Ok(())
    }

    /// Writes the rest and gives the layout's folder.
    pub(super) fn finish(self, flavour: Flavour, arch: Arch) -> Result<PathBuf> {
        let labels = self.labels(flavour);
        let created = &self.created;
        let config = json!({
            "architecture": arch.name(),
            "os": "linux",
            "created": created,
            "config": {
                "User": "0",
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": [
                    "/node-problem-detector",
                    "--config.system-log-monitor=/config/kernel-monitor.json,/config/readonly-monitor.json",
                ],
                "WorkingDir": "/",
                "Labels": labels,
            },
            "rootfs": { "type": "layers", "diff_ids": self.diff_ids },
            "history": [
                { "created": created, "created_by": "cargo xtask image", "comment": "root" },
                { "created": created, "created_by": "cargo xtask image", "comment": "npd" },
            ],
        });
        let config = self.blob(CONFIG, &bytes(&config)?)?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": self.layers, "annotations": labels,
        });
        let mut manifest = self.blob(MANIFEST, &bytes(&manifest)?)?;
        manifest["platform"] = json!({ "architecture": arch.name(), "os": "linux" });
        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": VERSION });
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest],
        });
        write(&self.folder.join("index.json"), &bytes(&index)?)?;
        write(&self.folder.join("oci-layout"), &bytes(&json!({ "imageLayoutVersion": "1.0.0" }))?)?;
        Ok(self.folder)
    }

    /// What the image says of itself, as labels and as annotations.
    fn labels(&self, flavour: Flavour) -> Map<String, Value> {
        let description = match flavour {
            Flavour::Static => "Sees kernel and system problems of a Kubernetes node the moment they happen",
            Flavour::Slim => {
                "Sees kernel and system problems of a Kubernetes node the moment they happen; with a shell for plugins"
            }
        };
        let mut labels = Map::new();
        let mut add = |name: &str, value: &str| {
            labels.insert(format!("org.opencontainers.image.{name}"), value.into());
        };
        add("title", "npd");
        add("description", description);
        add("version", VERSION);
        add("licenses", env!("CARGO_PKG_LICENSE"));
        add("created", &self.created);
        if let Some(commit) = commit() {
            add("revision", &commit);
        }
        labels
    }

    /// Stores bytes and gives the words by which others refer to them.
    fn blob(&self, kind: &str, bytes: &[u8]) -> Result<Value> {
        let digest = digest(bytes);
        let name = digest.trim_start_matches("sha256:");
        write(&self.folder.join("blobs/sha256").join(name), bytes)?;
        Ok(json!({ "mediaType": kind, "digest": digest, "size": bytes.len() }))
    }
}

fn bytes(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).context("cannot write JSON")
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
