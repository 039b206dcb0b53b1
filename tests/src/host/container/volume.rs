//! The mounts of a container: its volumes, and what every container has.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Pod, pod::SECRETS};

/// The mounts that the pod asks for, with a folder for what the kubelet keeps of it.
pub(super) fn mounts(pod: &Pod, folder: &Path) -> Result<Vec<Value>> {
    let mut mounts = Vec::new();
    let container = pod.chosen()?;
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let name = mount["name"].as_str().context("a mount without a name")?;
        let target = mount["mountPath"].as_str().context("a mount without a path")?;
        let volumes = pod.spec["volumes"].as_array().into_iter().flatten();
        let volume = volumes.into_iter().find(|volume| volume["name"] == name);
        let volume =
            volume.with_context(|| format!("there is no volume {name}, which is to be mounted to {target}"))?;
        let mut source = source(pod, volume, folder).with_context(|| format!("volume {name}"))?;
        if let Some(path) = mount["subPath"].as_str() {
            source.push(path);
        }
        // Config maps and projected volumes are read-only whatever the mount says.
        let written = ["hostPath", "emptyDir"].iter().any(|kind| !volume[*kind].is_null());
        mounts.push(bind(&source, target, mount["readOnly"] == true || !written));
    }
    if let Some((_, secrets)) = &pod.api_server
        && pod.spec["automountServiceAccountToken"] != false
        && !mounts.iter().any(|mount| mount["destination"] == SECRETS)
    {
        mounts.push(bind(secrets, SECRETS, true));
    }
    Ok(mounts)
}

/// A bind mount as containerd makes it.
pub(super) fn bind(source: &Path, target: &str, read_only: bool) -> Value {
    json!({
        "destination": target, "type": "bind", "source": source,
        "options": ["rbind", "rprivate", if read_only { "ro" } else { "rw" }],
    })
}

/// Where a volume's content is on this machine.
fn source(pod: &Pod, volume: &Value, folder: &Path) -> Result<PathBuf> {
    let own = folder.join("volumes").join(volume["name"].as_str().context("a volume without a name")?);
    if let Some(path) = volume["hostPath"]["path"].as_str() {
        return host_path(pod, Path::new(path), volume["hostPath"]["type"].as_str().unwrap_or_default());
    }
    if !volume["emptyDir"].is_null() {
        fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
        fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).context("cannot open a volume to all")?;
        return Ok(own);
    }
    let files = if volume["configMap"].is_object() {
        config_map(pod, &volume["configMap"])?
    } else if let Some(sources) = volume["projected"]["sources"].as_array() {
        projected(pod, sources)?
    } else {
        bail!("a kind of volume that is not known here: {volume}");
    };
    // Kubernetes' way of changing all files at once.
    let generation = "..2026_01_01_00_00_00.000000001";
    for (path, content) in files {
        let file = own.join(generation).join(&path);
        let parent = file.parent().context("a file without a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
        let first = Path::new(&path).components().next().context("a file without a name")?;
        let link = own.join(first);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new("..data").join(first), &link)
                .with_context(|| format!("cannot make {}", link.display()))?;
        }
    }
    fs::create_dir_all(own.join(generation)).context("cannot make a volume")?;
    if fs::symlink_metadata(own.join("..data")).is_err() {
        symlink(generation, own.join("..data")).context("cannot make a volume")?;
    }
    Ok(own)
}

/// Checks the type of a path of the node as the kubelet does. Nothing is made outside of what the test has put there.
fn host_path(pod: &Pod, path: &Path, kind: &str) -> Result<PathBuf> {
    let (here, is_tests) = pod.here(path);
    let found = fs::metadata(&here).ok().map(|metadata| metadata.file_type());
    let name = path.display();
    let made = |what: &str| -> Result<()> {
        ensure!(is_tests, "{name} would have to be made on this machine: put a {what} of the test in its place");
        Ok(())
    };
    match (kind, found) {
        ("" | "DirectoryOrCreate", None) => {
            made("folder")?;
            fs::create_dir_all(&here).with_context(|| format!("cannot make {}", here.display()))?;
        }
        ("FileOrCreate", None) => {
            made("file")?;
            fs::write(&here, "").with_context(|| format!("cannot make {}", here.display()))?;
        }
        ("", Some(_)) => {}
        ("DirectoryOrCreate" | "Directory", Some(found)) => {
            ensure!(found.is_dir(), "hostPath type check failed: {name} is not a directory");
        }
        ("FileOrCreate" | "File", Some(found)) => {
            ensure!(found.is_file(), "hostPath type check failed: {name} is not a file");
        }
        ("Socket", Some(found)) => {
            ensure!(found.is_socket(), "hostPath type check failed: {name} is not a socket file");
        }
        ("CharDevice", Some(found)) => {
            ensure!(found.is_char_device(), "hostPath type check failed: {name} is not a character device");
        }
        ("BlockDevice", Some(found)) => {
            ensure!(found.is_block_device(), "hostPath type check failed: {name} is not a block device");
        }
        (_, None) => bail!("hostPath type check failed: {name} is not there, and a {kind} is asked for"),
        (other, Some(_)) => bail!("unknown hostPath type {other}"),
    }
    Ok(here)
}

/// The files of a config map: all, or those that are listed.
fn config_map(pod: &Pod, wanted: &Value) -> Result<Vec<(String, Vec<u8>)>> {
    let name = wanted["name"].as_str().context("a config map without a name")?;
    let Some(object) = pod.config_maps.get(name) else {
        ensure!(wanted["optional"] == true, "configmap {name:?} not found");
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for (key, value) in object["data"].as_object().into_iter().flatten() {
        files.push((key.clone(), value.as_str().unwrap_or_default().as_bytes().to_vec()));
    }
    for (key, value) in object["binaryData"].as_object().into_iter().flatten() {
        let content = BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).context("binaryData is no base64")?;
        files.push((key.clone(), content));
    }
    let Some(items) = wanted["items"].as_array() else { return Ok(files) };
    items
        .iter()
        .map(|item| {
            let (key, path) = (item["key"].as_str().unwrap_or_default(), item["path"].as_str().unwrap_or_default());
            let file = files.iter().find(|(other, _)| other == key);
            let (_, content) = file.with_context(|| format!("references non-existent config key: {key}"))?;
            Ok((path.to_owned(), content.clone()))
        })
        .collect()
}

/// Config maps in one folder, and the service account's files from the one that the test has given.
fn projected(pod: &Pod, sources: &[Value]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let secret = |name: &str| -> Result<Vec<u8>> {
        let (_, folder) = pod.api_server.as_ref().context("a token, but the test has given no API server")?;
        fs::read(folder.join(name)).with_context(|| format!("cannot read the service account's {name}"))
    };
    for source in sources {
        if source["configMap"]["name"] == "kube-root-ca.crt" {
            files.push(("ca.crt".to_owned(), secret("ca.crt")?));
        } else if source["configMap"].is_object() {
            files.extend(config_map(pod, &source["configMap"])?);
        } else if let Some(path) = source["serviceAccountToken"]["path"].as_str() {
            files.push((path.to_owned(), secret("token")?));
        } else if let Some(items) = source["downwardAPI"]["items"].as_array() {
            for item in items {
                ensure!(
                    item["fieldRef"]["fieldPath"] == "metadata.namespace",
                    "a field that is not known here: {item}"
                );
                let path = item["path"].as_str().context("an item without a path")?;
                files.push((path.to_owned(), pod.namespace.clone().into_bytes()));
            }
        } else {
            bail!("a source that is not known here: {source}");
        }
    }
    Ok(files)
}
