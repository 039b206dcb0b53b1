//! An OCI image layout: blobs named by their digest, and the index that leads to them.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use oci_spec::image::{
    ConfigBuilder, Descriptor, DescriptorBuilder, Digest, HistoryBuilder, ImageConfiguration,
    ImageConfigurationBuilder, ImageIndex, ImageIndexBuilder, ImageManifest, ImageManifestBuilder, MediaType,
    OciLayoutBuilder, Os, PlatformBuilder, RootFsBuilder, SCHEMA_VERSION,
};
use serde::Serialize;

use super::{
    Arch, Flavour,
    layer::{Packed, digest},
};
use crate::workspace::{commit, remove_folder};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A layout in the making.
pub(super) struct Layout {
    folder: PathBuf,
    /// When it was made, as RFC 3339 has it.
    created: String,
    layers: Vec<Descriptor>,
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

    /// Adds a layer on top.
    pub(super) fn add_layer(&mut self, layer: &Packed) -> Result<()> {
        let descriptor = self.blob(MediaType::ImageLayerGzip, &layer.compressed)?;
        self.layers.push(descriptor);
        self.diff_ids.push(layer.diff_id.clone());
        Ok(())
    }

    /// Writes the rest and returns the layout's folder.
    pub(super) fn finish(self, flavour: Flavour, arch: Arch) -> Result<PathBuf> {
        let labels = labels(&self.created, flavour, commit().as_deref());
        let config = config(&self.created, arch, labels.clone(), &self.diff_ids)?;
        let config = self.blob(MediaType::ImageConfig, &bytes(&config)?)?;
        let manifest = manifest(config, self.layers.clone(), labels)?;
        let manifest = self.blob(MediaType::ImageManifest, &bytes(&manifest)?)?;
        write(&self.folder.join("index.json"), &bytes(&index(manifest, arch)?)?)?;
        let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
        write(&self.folder.join("oci-layout"), &bytes(&layout)?)?;
        Ok(self.folder)
    }

    /// Stores bytes and returns their descriptor.
    fn blob(&self, kind: MediaType, bytes: &[u8]) -> Result<Descriptor> {
        let digest = digest(bytes);
        write(&self.folder.join("blobs/sha256").join(digest.trim_start_matches("sha256:")), bytes)?;
        Ok(DescriptorBuilder::default()
            .media_type(kind)
            .digest(digest.parse::<Digest>()?)
            .size(bytes.len() as u64)
            .build()?)
    }
}

/// How a container of the image is started.
fn config(
    created: &str,
    arch: Arch,
    labels: HashMap<String, String>,
    diff_ids: &[String],
) -> Result<ImageConfiguration> {
    let run = ConfigBuilder::default()
        .user("0")
        .env(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()])
        .entrypoint([
            "/node-problem-detector".to_owned(),
            "--config.system-log-monitor=/config/kernel-monitor.json,/config/readonly-monitor.json".to_owned(),
        ])
        .working_dir("/")
        .labels(labels)
        .build()?;
    let step =
        |layer: &str| HistoryBuilder::default().created(created).created_by("cargo xtask image").comment(layer).build();
    Ok(ImageConfigurationBuilder::default()
        .architecture(arch.oci())
        .os(Os::Linux)
        .created(created)
        .config(run)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build()?)
        .history([step("root")?, step("npd")?])
        .build()?)
}

fn manifest(config: Descriptor, layers: Vec<Descriptor>, labels: HashMap<String, String>) -> Result<ImageManifest> {
    Ok(ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers)
        .annotations(labels)
        .build()?)
}

/// The index of a layout with one image, found by the version as its tag.
fn index(mut manifest: Descriptor, arch: Arch) -> Result<ImageIndex> {
    manifest.set_platform(Some(PlatformBuilder::default().architecture(arch.oci()).os(Os::Linux).build()?));
    let tag = ("org.opencontainers.image.ref.name".to_owned(), VERSION.to_owned());
    manifest.set_annotations(Some(HashMap::from([tag])));
    Ok(ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests([manifest])
        .build()?)
}

/// What the image says about itself, as labels and as annotations.
fn labels(created: &str, flavour: Flavour, commit: Option<&str>) -> HashMap<String, String> {
    let description = match flavour {
        Flavour::Static => "Detects kernel and system problems of a Kubernetes node the moment they happen",
        Flavour::Slim => {
            "Detects kernel and system problems of a Kubernetes node the moment they happen; with a shell for plugins"
        }
    };
    let facts = [
        ("title", Some("npd")),
        ("description", Some(description)),
        ("version", Some(VERSION)),
        ("licenses", Some(env!("CARGO_PKG_LICENSE"))),
        ("created", Some(created)),
        ("revision", commit),
    ];
    let named = facts
        .into_iter()
        .filter_map(|(name, value)| Some((format!("org.opencontainers.image.{name}"), value?.to_owned())));
    named.collect()
}

/// As JSON with sorted keys: the types have hash maps, and the same image is to have the same digest.
fn bytes(value: &impl Serialize) -> Result<Vec<u8>> {
    let value = serde_json::to_value(value).context("cannot write JSON")?;
    serde_json::to_vec(&value).context("cannot write JSON")
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CREATED: &str = "2026-11-28T00:00:00Z";

    fn written(value: &impl Serialize) -> Value {
        serde_json::from_slice(&bytes(value).unwrap()).unwrap()
    }

    fn descriptor(kind: MediaType) -> Descriptor {
        let digest: Digest = digest(b"abc").parse().unwrap();
        DescriptorBuilder::default().media_type(kind).digest(digest).size(3_u64).build().unwrap()
    }

    fn labelled() -> Value {
        json!({
            "org.opencontainers.image.title": "npd",
            "org.opencontainers.image.description":
                "Detects kernel and system problems of a Kubernetes node the moment they happen",
            "org.opencontainers.image.version": VERSION,
            "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
            "org.opencontainers.image.created": CREATED,
            "org.opencontainers.image.revision": "0390a15",
        })
    }

    #[test]
    fn a_config_says_how_a_container_is_started() {
        let labels = labels(CREATED, Flavour::Static, Some("0390a15"));
        let config = config(CREATED, Arch::Amd64, labels, &["sha256:0".to_owned(), "sha256:1".to_owned()]).unwrap();
        let expected = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": CREATED,
            "config": {
                "User": "0",
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": [
                    "/node-problem-detector",
                    "--config.system-log-monitor=/config/kernel-monitor.json,/config/readonly-monitor.json",
                ],
                "WorkingDir": "/",
                "Labels": labelled(),
            },
            "rootfs": { "type": "layers", "diff_ids": ["sha256:0", "sha256:1"] },
            "history": [
                { "created": CREATED, "created_by": "cargo xtask image", "comment": "root" },
                { "created": CREATED, "created_by": "cargo xtask image", "comment": "npd" },
            ],
        });
        assert_eq!(written(&config), expected);
    }

    #[test]
    fn a_manifest_names_config_and_layers_and_the_index_names_it() {
        let abc = |kind: &str| json!({ "mediaType": kind, "digest": digest(b"abc"), "size": 3 });
        let (config, layer) = (descriptor(MediaType::ImageConfig), descriptor(MediaType::ImageLayerGzip));
        let labels = labels(CREATED, Flavour::Static, Some("0390a15"));
        let expected = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": abc("application/vnd.oci.image.config.v1+json"),
            "layers": [abc("application/vnd.oci.image.layer.v1.tar+gzip")],
            "annotations": labelled(),
        });
        assert_eq!(written(&manifest(config, vec![layer], labels).unwrap()), expected);
        let mut entry = abc("application/vnd.oci.image.manifest.v1+json");
        entry["platform"] = json!({ "architecture": "arm64", "os": "linux" });
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": VERSION });
        let expected = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry],
        });
        assert_eq!(written(&index(descriptor(MediaType::ImageManifest), Arch::Arm64).unwrap()), expected);
    }

    #[test]
    fn the_same_image_is_the_same_bytes() {
        let image = || bytes(&labels(CREATED, Flavour::Slim, Some("0390a15"))).unwrap();
        let first = image();
        assert!((0..20).all(|_| image() == first));
    }
}
