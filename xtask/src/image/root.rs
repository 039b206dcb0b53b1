//! The contents of the images besides Debian: npd at node-problem-detector's paths, and what a root file system needs.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, Result};

use super::layer::Layer;
use crate::workspace::root;

/// Numbers of `linux/capability.h`: DAC_READ_SEARCH, SYSLOG, PERFMON, BPF.
const CAPABILITIES: [u32; 4] = [2, 34, 38, 39];

/// The programs and the monitors.
pub(super) fn npd(programs: &Path) -> Result<Layer> {
    let mut layer = Layer::default();
    let program = |name| {
        let path = programs.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    layer.file("node-problem-detector", 0o755, program("npd-agent")?);
    layer.capabilities("node-problem-detector", permitted(&CAPABILITIES));
    for folder in ["home", "home/kubernetes", "home/kubernetes/bin"] {
        layer.folder(folder, 0o755);
    }
    for name in ["health-checker", "log-counter"] {
        layer.file(&format!("home/kubernetes/bin/{name}"), 0o755, program(name)?);
    }
    layer.folder("config", 0o755);
    copy(&root().join("config"), "config", &mut layer)?;
    // Mount points: they cannot be created in a container whose root file system is read-only.
    for folder in ["var", "var/lib", "var/lib/npd", "custom-config"] {
        layer.folder(folder, 0o755);
    }
    Ok(layer)
}

/// An empty root file system, with what programs and container runtimes rely on. The time zone is UTC until the node's /etc/localtime is
/// mounted.
pub(super) fn empty() -> Layer {
    let mut layer = Layer::default();
    for folder in ["dev", "etc", "proc", "run", "sys", "var", "var/lib", "var/log"] {
        layer.folder(folder, 0o755);
    }
    layer.folder("tmp", 0o1777);
    // Mounts below one of them, such as D-Bus' socket and the service account's token, have to be found below the other as well.
    layer.symlink("var/run", "/run");
    layer.file("etc/passwd", 0o644, "root:x:0:0:root:/:/sbin/nologin\nnpd:x:65532:65532:npd:/:/sbin/nologin\n");
    layer.file("etc/group", 0o644, "root:x:0:\nnpd:x:65532:\n");
    layer.file("etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files dns\n");
    layer
}

/// Copies the monitors without their schemas, which are for editors.
fn copy(folder: &Path, to: &str, layer: &mut Layer) -> Result<()> {
    let cannot_read = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let entry = entry.with_context(cannot_read)?;
        let name = entry.file_name();
        let to = format!("{to}/{}", name.to_str().context("a file name in config/ is not UTF-8")?);
        let metadata = entry.metadata().with_context(cannot_read)?;
        if name == "schema" {
            continue;
        }
        if metadata.is_dir() {
            layer.folder(&to, 0o755);
            copy(&entry.path(), &to, layer)?;
        } else {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            let content = fs::read(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
            layer.file(&to, if executable { 0o755 } else { 0o644 }, content);
        }
    }
    Ok(())
}

/// `struct vfs_cap_data` of revision 2 with these capabilities permitted. They are not effective: if they were, the program could not
/// start where one of them is not available. As it is, it raises those that it has.
fn permitted(capabilities: &[u32]) -> Vec<u8> {
    const REVISION_2: u32 = 0x0200_0000;
    let mask = capabilities.iter().fold(0_u64, |mask, number| mask | 1 << number);
    let [low, high] = [mask as u32, (mask >> 32) as u32];
    // Permitted and inheritable, the low halves first.
    [REVISION_2, low, 0, high, 0].iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_written_as_setcap_writes_them() {
        // `setcap cap_dac_read_search,cap_syslog,cap_perfmon,cap_bpf=p FILE`, read back with `getfattr -e hex`.
        let expected = [0, 0, 0, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0xc4, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(permitted(&CAPABILITIES), expected);
    }
}
