//! The OCI runtime bundle, as containerd's CRI plugin makes it.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    Image, Pod,
    security::Security,
    volume::{self, bind},
};

/// What a container that is not privileged cannot see, and what it cannot write.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Writes `config.json` into the bundle. `root` is the container's root file system.
pub(super) fn write(pod: &Pod, image: &Image, folder: &Path, root: &Path, cgroup: &str) -> Result<()> {
    let security = Security::of(pod, image)?;
    let environment = pod.environment(image)?.into_iter().map(|(name, value)| format!("{name}={value}"));
    let mut linux = json!({
        "cgroupsPath": cgroup,
        "namespaces": namespaces(pod),
        "resources": { "devices": security.device_rules() },
        "devices": security.devices()?,
    });
    if !security.privileged {
        linux["maskedPaths"] = json!(MASKED);
        linux["readonlyPaths"] = json!(READ_ONLY);
    }
    if let Some(profile) = security.seccomp()? {
        linux["seccomp"] = profile;
    }
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": security.user, "gid": security.group, "additionalGids": security.groups },
            "args": pod.command(image)?,
            "env": environment.collect::<Vec<_>>(),
            "cwd": "/",
            "capabilities": security.capabilities(),
            "noNewPrivileges": security.no_new_privileges,
        },
        "root": { "path": root, "readonly": security.read_only_root },
        "mounts": mounts(pod, folder, security.privileged)?,
        "linux": linux,
    });
    if pod.spec["hostNetwork"] != true {
        config["hostname"] = pod.host_name().into();
    }
    let path = folder.join("config.json");
    fs::write(&path, config.to_string()).with_context(|| format!("cannot write {}", path.display()))
}

fn namespaces(pod: &Pod) -> Value {
    let mut namespaces = vec![json!({ "type": "mount" }), json!({ "type": "ipc" })];
    if pod.spec["hostPID"] != true {
        namespaces.push(json!({ "type": "pid" }));
    }
    if pod.spec["hostNetwork"] != true {
        namespaces.extend([json!({ "type": "network" }), json!({ "type": "uts" })]);
    }
    namespaces.into()
}

fn mounts(pod: &Pod, folder: &Path, privileged: bool) -> Result<Vec<Value>> {
    let access = if privileged { "rw" } else { "ro" };
    let mut mounts = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] }),
        json!({
            "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        }),
        json!({
            "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        }),
        json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] }),
        json!({
            "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        }),
        json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", access] }),
        json!({
            "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", access],
        }),
    ];
    let hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost\n".to_owned();
    let name = format!("{}\n", pod.host_name());
    for (file, content) in [("hosts", hosts), ("hostname", name), ("resolv.conf", String::new())] {
        let path = folder.join(file);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        mounts.push(bind(&path, &format!("/etc/{file}"), false));
    }
    mounts.extend(volume::mounts(pod, folder)?);
    Ok(mounts)
}
