//! The small Debian in the flavour `slim`: a shell and the programs that scripts call, made by mmdebstrap from Debian's packages.
//!
//! None of it runs as root: an unprivileged user under fakeroot unpacks and configures the packages from outside, so that not even dpkg
//! has to be in the image. As in node-problem-detector's image, systemctl and iptables are missing too, and the plugins that need them
//! report that.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::chown,
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{Arch, layer::Layer};
use crate::{
    step::quiet,
    workspace::{is_root, program},
};

const SUITE: &str = "trixie";
const PACKAGES: &str = "base-files,base-passwd,bash,coreutils,dash,debconf,findutils,grep,libc-bin,mawk,procps,sed";
/// Folders and files that have no use in a container, or are copied from the machine that builds it. /etc/localtime would be a link, and
/// mounting the node's file there would follow it.
const UNWANTED: &[&str] = &[
    "boot",
    "dev",
    "etc/apt",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/localtime",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/backups",
    "var/cache",
    "var/lib/apt",
    "var/lib/systemd",
];
/// `nobody`, the user that makes Debian if root runs this.
const NOBODY: u32 = 65534;

/// Makes a layer with Debian.
pub(super) fn debian(arch: Arch, date: u64) -> Result<Layer> {
    for name in ["mmdebstrap", "fakeroot"] {
        if program(name).is_none() {
            bail!(
                "the flavour slim needs {name}, which is not installed: run `apt-get install {name}`, or choose --flavour static"
            );
        }
    }
    // Not in the build's folder, which may be accessible to root only.
    let folder = env::temp_dir().join(format!("npd-base-{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let made = make(&folder, arch, date);
    let removed = fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()));
    let layer = made?;
    removed?;
    Ok(layer)
}

fn make(folder: &Path, arch: Arch, date: u64) -> Result<Layer> {
    if is_root() {
        chown(folder, Some(NOBODY), Some(NOBODY)).context("cannot change the owner of a folder")?;
    }
    let tar = folder.join("base.tar");
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--", "fakeroot"]);
        command
    } else {
        Command::new("fakeroot")
    };
    command
        .args(["mmdebstrap", "--mode=chrootless", "--variant=custom", "--format=tar"])
        .args([format!("--include={PACKAGES}"), format!("--architectures={}", arch.name()), SUITE.to_owned()])
        .arg(&tar)
        .envs([("HOME", folder), ("TMPDIR", folder)])
        .env("SOURCE_DATE_EPOCH", date.to_string())
        .current_dir(folder);
    quiet("building a small Debian", &mut command)?;
    Layer::read(File::open(&tar).context("cannot open the tar file of mmdebstrap")?, wanted)
}

/// Whether a file is kept: no devices, nothing from the machine that builds it, of the documentation only the licences, and of dpkg only
/// the file that scanners read.
fn wanted(path: &str) -> bool {
    let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    if below("usr/share/doc") {
        return path.ends_with("/copyright") || !path.trim_start_matches("usr/share/doc/").contains('/');
    }
    if below("var/lib/dpkg") {
        return path == "var/lib/dpkg/status";
    }
    if path.starts_with("etc/alternatives/") {
        return Path::new(path).extension().is_none_or(|extension| extension != "gz");
    }
    let log = below("var/log");
    !log && !UNWANTED.iter().any(|folder| path == *folder || below(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_and_the_list_of_packages_are_kept() {
        for path in
            ["usr/share/doc/bash/copyright", "usr/share/doc/libc-bin", "var/lib/dpkg/status", "usr/bin/dash", "var/log"]
        {
            assert!(wanted(path), "{path}");
        }
    }

    #[test]
    fn documentation_and_files_of_the_building_machine_are_removed() {
        for path in
            ["etc/resolv.conf", "dev/null", "usr/share/man/man1/bash.1.gz", "usr/share/doc/bash/README", "var/log/apt"]
        {
            assert!(!wanted(path), "{path}");
        }
    }
}
