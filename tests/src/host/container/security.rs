//! What a security context makes of a container: capabilities, user, seccomp, devices.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Image, Pod};
use crate::driver::process;

/// What containerd gives a container that asks for nothing.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// All that Linux knows, by their numbers.
const ALL: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The profile of Debian's golang-github-containers-common.
const SECCOMP: &str = "/usr/share/containers/seccomp.json";

/// System calls that containerd's profile gives for a capability where that file wants CAP_SYS_ADMIN: since containerd 1.6.9 and 1.7.
const SINCE_5_8: [(&str, &str); 2] = [("BPF", "bpf"), ("PERFMON", "perf_event_open")];

/// A security context, the pod's and the container's in one.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "Kubernetes' own switches, each independent of the others")]
pub(super) struct Security {
    pub(super) privileged: bool,
    pub(super) read_only_root: bool,
    pub(super) no_new_privileges: bool,
    pub(super) user: u64,
    pub(super) group: u64,
    pub(super) groups: Vec<u64>,
    capabilities: BTreeSet<String>,
    confined: bool,
}

// === impl Security ===

impl Security {
    pub(super) fn of(pod: &Pod, image: &Image) -> Result<Self> {
        let outer = &pod.spec["securityContext"];
        let inner = &pod.chosen()?["securityContext"];
        let either = |key: &str| if inner[key].is_null() { &outer[key] } else { &inner[key] };
        let image_user = image.config()["User"].as_str().unwrap_or_default();
        let image_user =
            if image_user.is_empty() { 0 } else { image_user.parse().context("the image's user is no number")? };
        let user = either("runAsUser").as_u64().unwrap_or(image_user);
        ensure!(either("runAsNonRoot") != true || user != 0, "container has runAsNonRoot and image will run as root");
        let privileged = inner["privileged"] == true;
        let no_new_privileges = inner["allowPrivilegeEscalation"] == false;
        ensure!(
            !privileged || !no_new_privileges,
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        );
        let confined = match either("seccompProfile")["type"].as_str() {
            None | Some("Unconfined") => false,
            Some("RuntimeDefault") => !privileged,
            Some(other) => bail!("a seccomp profile that is not known here: {other}"),
        };
        let mut groups: Vec<_> =
            outer["supplementalGroups"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        groups.extend(outer["fsGroup"].as_u64());
        Ok(Self {
            privileged,
            read_only_root: inner["readOnlyRootFilesystem"] == true,
            no_new_privileges,
            user,
            group: either("runAsGroup").as_u64().unwrap_or(0),
            groups,
            capabilities: if privileged { ours()? } else { capabilities(&inner["capabilities"])? },
            confined,
        })
    }

    /// `process.capabilities`. A user other than root has them in the bounding set only once the program is started.
    pub(super) fn capabilities(&self) -> Value {
        let names: Vec<_> = self.capabilities.iter().map(|name| format!("CAP_{name}")).collect();
        json!({ "bounding": names, "effective": names, "permitted": names })
    }

    /// `linux.seccomp`, when there is a profile.
    pub(super) fn seccomp(&self) -> Result<Option<Value>> {
        if !self.confined {
            return Ok(None);
        }
        let text = fs::read_to_string(SECCOMP).with_context(|| format!("cannot read {SECCOMP}"))?;
        let profile: Value = serde_json::from_str(&text).with_context(|| format!("{SECCOMP} is no JSON"))?;
        let given: Vec<_> =
            SINCE_5_8.iter().filter(|(name, _)| self.capabilities.contains(*name)).map(|(_, call)| *call).collect();
        let mut calls = vec![json!({ "names": given, "action": "SCMP_ACT_ALLOW" })];
        calls.retain(|_| !given.is_empty());
        for rule in profile["syscalls"].as_array().into_iter().flatten() {
            if !self.applies(rule) {
                continue;
            }
            let mut names: Vec<_> = rule["names"].as_array().into_iter().flatten().cloned().collect();
            names.retain(|name| !given.iter().any(|call| name == call));
            if names.is_empty() {
                continue;
            }
            let mut call = json!({ "names": names, "action": rule["action"] });
            for key in ["args", "errnoRet"] {
                if rule[key].is_array() || rule[key].is_number() {
                    call[key] = rule[key].clone();
                }
            }
            calls.push(call);
        }
        let mut architectures = Vec::new();
        for map in profile["archMap"].as_array().into_iter().flatten() {
            if map["architecture"] == format!("SCMP_ARCH_{}", std::env::consts::ARCH.to_uppercase()) {
                architectures.push(map["architecture"].clone());
                architectures.extend(map["subArchitectures"].as_array().into_iter().flatten().cloned());
            }
        }
        Ok(Some(json!({
            "defaultAction": profile["defaultAction"], "architectures": architectures, "syscalls": calls,
        })))
    }

    /// `linux.resources.devices`: the runtime adds those that every container has.
    pub(super) fn device_rules(&self) -> Value {
        if self.privileged {
            return json!([{ "allow": true, "access": "rwm" }]);
        }
        json!([
            { "allow": false, "access": "rwm" },
            { "allow": true, "type": "c", "access": "m" },
            { "allow": true, "type": "b", "access": "m" },
        ])
    }

    /// `linux.devices`: a privileged container has all of the node.
    pub(super) fn devices(&self) -> Result<Vec<Value>> {
        let mut devices = Vec::new();
        if self.privileged {
            add_devices(Path::new("/dev"), &mut devices)?;
        }
        Ok(devices)
    }

    /// Whether a rule of the profile counts here.
    fn applies(&self, rule: &Value) -> bool {
        let has = |name: &Value| {
            name.as_str()
                .and_then(|name| name.strip_prefix("CAP_"))
                .is_some_and(|name| self.capabilities.contains(name))
        };
        let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        let list = |key: &str, what: &str| rule[key][what].as_array().cloned().unwrap_or_default();
        let (capabilities, architectures) = (list("includes", "caps"), list("includes", "arches"));
        capabilities.iter().all(has)
            && (architectures.is_empty() || architectures.iter().any(|name| name == here))
            && !list("excludes", "caps").iter().any(has)
            && !list("excludes", "arches").iter().any(|name| name == here)
    }
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// The capabilities of this process: a runtime cannot give more than it has.
fn ours() -> Result<BTreeSet<String>> {
    let mask = process::capabilities("self", "CapEff")?;
    Ok(ALL
        .iter()
        .enumerate()
        .filter(|(number, _)| mask & 1 << number != 0)
        .map(|(_, name)| (*name).to_owned())
        .collect())
}

/// As the kubelet does it: ALL first, then what is named.
fn capabilities(asked: &Value) -> Result<BTreeSet<String>> {
    let [add, drop] = ["add", "drop"].map(|key| super::pod::strings(&asked[key]));
    let mut given = names(&DEFAULT);
    if drop.iter().any(|name| name == "ALL") {
        given.clear();
    }
    if add.iter().any(|name| name == "ALL") {
        given = ours()?;
    }
    for name in drop.iter().filter(|name| *name != "ALL") {
        given.remove(name.trim_start_matches("CAP_"));
    }
    for name in add.iter().filter(|name| *name != "ALL") {
        let name = name.trim_start_matches("CAP_");
        ensure!(ALL.contains(&name), "unknown capability {name}");
        given.insert(name.to_owned());
    }
    Ok(given)
}

fn add_devices(folder: &Path, devices: &mut Vec<Value>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        // Devices may go while one looks.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let kind = metadata.file_type();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if kind.is_dir() && !["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"].contains(&name) {
            add_devices(&path, devices)?;
        } else if (kind.is_char_device() || kind.is_block_device()) && name != "console" {
            let kind = if kind.is_char_device() { "c" } else { "b" };
            devices.push(json!({
                "path": path, "type": kind, "fileMode": metadata.mode() & 0o777, "uid": metadata.uid(), "gid": metadata.gid(),
                "major": rustix::fs::major(metadata.rdev()), "minor": rustix::fs::minor(metadata.rdev()),
            }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_all_leaves_what_is_added() {
        let given = capabilities(&json!({ "drop": ["ALL"], "add": ["BPF", "CAP_SYSLOG"] })).unwrap();
        assert_eq!(given, names(&["BPF", "SYSLOG"]));
        assert_eq!(capabilities(&Value::Null).unwrap(), names(&DEFAULT));
        assert!(capabilities(&json!({ "add": ["MAGIC"] })).is_err());
    }
}
