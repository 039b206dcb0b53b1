//! `cargo xtask setup`: finds or installs what the tests and a build with probes need.
//!
//! It tries, in this order: a BPF tool chain that exists already (a rustup nightly with `rust-src`, then a distribution's); Debian's
//! packages and a bpf-linker compiled for them; and if neither is possible, it prints the exact commands that install one. A tool chain
//! *exists* if it links. Nothing is remembered between runs, so nothing can be out of date.

mod debian;
mod distribution;
mod kubernetes;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{
    step::{self, note},
    toolchain::{Compiler, Places, Toolchain},
    workspace::{cargo, cargo_home, program, scratch_dir, unpacked_dir, unpacked_programs},
};
use distribution::Distribution;

/// Programs that tests call, by name or path, with the Debian package of each. A test without its program is skipped with that reason.
const TEST_PROGRAMS: &[(&str, &str)] = &[
    ("/lib/systemd/systemd-journal-remote", "systemd-journal-remote"),
    ("/lib/systemd/systemd-journald", "systemd"),
    ("capsh", "libcap2-bin"),
    ("dbus-daemon", "dbus-daemon"),
    ("debugfs", "e2fsprogs"),
    ("fsfreeze", "util-linux"),
    ("gdb", "gdb"),
    ("journalctl", "systemd"),
    ("losetup", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("nsenter", "util-linux"),
    ("setcap", "libcap2-bin"),
    ("setpriv", "util-linux"),
    ("shellcheck", "shellcheck"),
    ("systemd-analyze", "systemd"),
    ("unshare", "util-linux"),
];

/// The same for making images.
const IMAGE_PROGRAMS: &[(&str, &str)] = &[("fakeroot", "fakeroot"), ("mmdebstrap", "mmdebstrap")];

/// The same for the tests of what is shipped.
const DEPLOY_PROGRAMS: &[(&str, &str)] = &[
    ("/usr/share/containers/seccomp.json", "golang-github-containers-common"),
    ("buildah", "buildah"),
    ("fish", "fish"),
    ("getcap", "libcap2-bin"),
    ("mandoc", "mandoc"),
    ("readelf", "binutils"),
    ("runc", "runc"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("zsh", "zsh"),
];

/// Packages that would start a server if they were installed. Only the program is needed, so they are unpacked next to the build.
const UNPACKED_PROGRAMS: &[(&str, &str)] = &[("promtool", "prometheus")];

/// The verb.
pub(crate) fn setup() -> Result<()> {
    let begun = Instant::now();
    let distribution = Distribution::read();
    let on_debian = debian::may_install(&distribution);
    let toolchain = match find() {
        Some(toolchain) => toolchain,
        None => install_toolchain(on_debian, &distribution)?,
    };
    note(&format!("BPF tool chain: {toolchain}"));
    install_programs(on_debian, TEST_PROGRAMS);
    unpack_test_programs(on_debian);
    if on_debian && toolchain.is_precompiled() && !toolchain.clippy_driver().exists() {
        // Without clippy, the probes are linted for the host only.
        if let Err(error) = debian::install_clippy() {
            note(&format!("no clippy for the probes: {error:#}"));
        }
    }
    note(&format!("ready, in {}", step::seconds(begun.elapsed())));
    Ok(())
}

/// Fetches helm, kubectl and a validator, which only the tests of the manifests need.
pub(crate) fn for_manifests() {
    kubernetes::unpack_programs();
}

/// Installs what makes the small Debian of an image.
pub(crate) fn for_images() {
    install_programs(debian::may_install(&Distribution::read()), IMAGE_PROGRAMS);
}

/// Installs what only the tests of what is shipped need.
pub(crate) fn for_deploy() {
    for_manifests();
    install_programs(debian::may_install(&Distribution::read()), DEPLOY_PROGRAMS);
}

fn find() -> Option<Toolchain> {
    Toolchain::find(&Places::from_env(), &scratch_dir())
}

fn install_toolchain(on_debian: bool, distribution: &Distribution) -> Result<Toolchain> {
    let advice = distribution.advice(program("rustup").is_some());
    if !on_debian || !debian::offers_compiler()? {
        bail!("no BPF tool chain; {advice}");
    }
    install_debian_toolchain().map_err(|error| anyhow!("{error:#}\n\n{advice}"))
}

fn install_debian_toolchain() -> Result<Toolchain> {
    debian::install_compiler()?;
    if let Some(toolchain) = find() {
        return Ok(toolchain);
    }
    let compilers = Places::from_env().compilers();
    let precompiled = compilers.iter().find(|compiler| matches!(compiler, Compiler::Precompiled { .. }));
    let llvm = debian::llvm_major(precompiled.context("Debian's compiler for BPF is installed but was not found")?)?;
    debian::install_llvm(llvm)?;
    let mut install = cargo();
    install
        // Outside of the workspace, whose cargo settings are for npd.
        .current_dir("/")
        .args(["install", "bpf-linker", "--version", debian::BPF_LINKER, "--locked", "--no-default-features"])
        .args(["--features", &format!("llvm-{llvm}"), "--root"])
        .arg(linker_root(&cargo_home()?))
        .env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"))
        // LLVM does the linker's work: optimising the rest would take longer than it saves.
        .envs([("CARGO_PROFILE_RELEASE_DEBUG", "false"), ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")]);
    step::quiet(&format!("compiling bpf-linker for LLVM {llvm}, about a minute"), &mut install)?;
    find().context("the compiler and the linker were installed, but do not work together")
}

/// Where to install bpf-linker: with cargo's other programs, unless there is one already. That one does not fit, but something else may
/// need it.
fn linker_root(cargo_home: &Path) -> PathBuf {
    if cargo_home.join("bin/bpf-linker").exists() { cargo_home.join("npd") } else { cargo_home.to_owned() }
}

/// Installs missing programs. It is not an error if that fails, because the build does not need them.
fn install_programs(on_debian: bool, programs: &[(&str, &'static str)]) {
    let missing = missing_packages(programs, |name| program(name).is_some());
    if missing.is_empty() {
        return;
    }
    let installed = if on_debian {
        debian::install("programs for the tests", &missing)
    } else {
        Err(anyhow!("this is not Debian"))
    };
    if let Err(error) = installed {
        note(&format!("not installed: {} ({error:#}); the tests that need them will be skipped", missing.join(", ")));
    }
}

fn unpack_test_programs(on_debian: bool) {
    for (name, package) in UNPACKED_PROGRAMS {
        if program(name).is_some() || unpacked_programs().join(name).exists() {
            continue;
        }
        let unpacked =
            if on_debian { debian::unpack(package, &unpacked_dir()) } else { Err(anyhow!("this is not Debian")) };
        if let Err(error) = unpacked {
            note(&format!("no {name}: {error:#}; the tests that need it will be skipped"));
        }
    }
}

/// The packages of the programs that are missing, without repetition.
fn missing_packages(programs: &[(&str, &'static str)], there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<_> =
        programs.iter().filter(|(program, _)| !there(program)).map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missing_where_every_program_is_there() {
        assert_eq!(missing_packages(TEST_PROGRAMS, |_| true), [""; 0]);
    }

    #[test]
    fn a_package_of_two_missing_programs_is_installed_once() {
        assert_eq!(missing_packages(TEST_PROGRAMS, |name| !matches!(name, "mkfs.ext4" | "debugfs")), ["e2fsprogs"]);
    }
}
