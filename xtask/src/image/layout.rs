//! An OCI image layout: blobs by their digest, and the index that leads to them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::layer::{Packed, digest};
use super::{Arch, Flavour};
use crate::workspace::commit;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A layout in the making.
pub(super) struct Layout {
    folder: PathBuf,
    date: u64,
    layers: Vec<Value>,
    diff_ids: Vec<String>,
}

// === impl Layout ===

impl Layout {
    /// An empty one in place of what was there.
    pub(super) fn new(folder: PathBuf, date: u64) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
        Ok(Self { folder, date, layers: Vec::new(), diff_ids: Vec::new() })
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
        let created = &labels["org.opencontainers.image.created"];
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
        add("created", &rfc3339(self.date));
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

/// Seconds since 1970 as `2026-11-24T09:00:00Z`.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_date_says_it() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696, "2000-02-29T12:34:56Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
