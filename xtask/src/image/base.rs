//! The small Debian below the flavour `slim`: a shell and what scripts call, made by mmdebstrap from Debian's packages.
//!
//! Nothing of it is run as root: the packages are unpacked and configured by an unprivileged user under fakeroot, from the outside, so
//! that not even dpkg has to be in it. systemctl and iptables are not in it either, as in node-problem-detector's image: the plugins
//! that want them say that they are missing.

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
/// Folders and files of no use in a container, or taken from the machine that made it. /etc/localtime would be a link, which the
/// node's file that is mounted there would follow.
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
/// `nobody`, in whose name Debian is made when this is run by root.
const NOBODY: u32 = 65534;

/// Debian as a layer.
pub(super) fn debian(arch: Arch, date: u64) -> Result<Layer> {
    for name in ["mmdebstrap", "fakeroot"] {
        if program(name).is_none() {
            bail!(
                "the flavour slim is made with {name}, which is not installed: `apt-get install {name}`, or take --flavour static"
            );
        }
    }
    // Not in the build's folder, which may be closed to anyone but root.
    let folder = env::temp_dir().join(format!("npd-base-{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let made = make(&folder, arch, date);
    let removed = fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()));
    let layer = made?;
    removed?;
    Ok(layer)
}

fn make(folder: &Path, arch: Arch, date: u64) -> Result<Layer> {
    if is_root() {
        chown(folder, Some(NOBODY), Some(NOBODY)).context("cannot give a folder away")?;
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
    quiet("making a small Debian", &mut command)?;
    Layer::read(File::open(&tar).context("mmdebstrap has written no tar file")?, wanted)
}

/// What is kept: no device, nothing of the machine that made it, nothing to read but licences, and of dpkg what scanners look for.
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
    fn licences_and_the_list_of_packages_stay() {
        for path in
            ["usr/share/doc/bash/copyright", "usr/share/doc/libc-bin", "var/lib/dpkg/status", "usr/bin/dash", "var/log"]
        {
            assert!(wanted(path), "{path}");
        }
    }

    #[test]
    fn the_machine_that_made_it_and_reading_matter_go() {
        for path in
            ["etc/resolv.conf", "dev/null", "usr/share/man/man1/bash.1.gz", "usr/share/doc/bash/README", "var/log/apt"]
        {
            assert!(!wanted(path), "{path}");
        }
    }
}
