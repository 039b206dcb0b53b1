//! Debian's part of the BPF tool chain.
//!
//! Debian compiles browsers with `rustc-web`, a recent rustc that it updates in its stable releases, and packages `core` compiled for BPF
//! with it, so neither a nightly nor build-std is needed. bpf-linker is not packaged. It must be compiled against the LLVM of this rustc,
//! which Debian also packages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::distribution::Distribution;
use crate::{
    step,
    toolchain::Compiler,
    workspace::{as_root, is_root, program},
};

/// The compiler, and `core` for BPF.
pub(super) const COMPILER_PACKAGES: &[&str] = &["rustc-web", "libstd-rust-web-dev-bpf"];
/// The version of bpf-linker that is compiled. It supports LLVM 21 to 23.
pub(super) const BPF_LINKER: &str = "0.13.0";

/// Whether this is Debian or a derivative, and xtask is or can become root.
pub(super) fn may_install(distribution: &Distribution) -> bool {
    distribution.is_like("debian") && program("apt-get").is_some() && (is_root() || program("sudo").is_some())
}

/// Whether the package lists, after an update if necessary, have the compiler for BPF. Ubuntu's do not.
pub(super) fn offers_compiler() -> Result<bool> {
    if !offers(COMPILER_PACKAGES) {
        update()?;
    }
    Ok(offers(COMPILER_PACKAGES))
}

/// Installs rustc-web and `core` for BPF.
pub(super) fn install_compiler() -> Result<()> {
    install("Debian's Rust compiler for BPF", COMPILER_PACKAGES)
}

/// Installs the clippy of rustc-web.
pub(super) fn install_clippy() -> Result<()> {
    install("clippy for the probes", &["rust-web-clippy"])
}

/// Installs what is needed to compile bpf-linker for that LLVM.
pub(super) fn install_llvm(major: u32) -> Result<()> {
    install("LLVM", &[&format!("llvm-{major}-dev"), "g++", "libzstd-dev", "zlib1g-dev"])
}

/// Installs packages. If that fails, updates the package lists and tries again.
pub(super) fn install(what: &str, packages: &[&str]) -> Result<()> {
    let name = format!("installing {what}: {}", packages.join(" "));
    let install = || {
        let mut apt = apt("install")?;
        apt.args(["--yes", "--no-install-recommends"]).args(packages);
        step::quiet(&name, &mut apt)
    };
    if offers(packages) && install().is_ok() {
        return Ok(());
    }
    update()?;
    install()
}

/// Unpacks a package into a folder without installing it. If it cannot be fetched, updates the package lists and tries again.
pub(super) fn unpack(package: &str, folder: &Path) -> Result<()> {
    let packages = folder.join("packages");
    fs::create_dir_all(&packages).with_context(|| format!("cannot create {}", packages.display()))?;
    let download = || {
        let mut apt = Command::new("apt-get");
        apt.current_dir(&packages).args(["download", package]);
        step::quiet(&format!("fetching {package}"), &mut apt)
    };
    if !offers(&[package]) || download().is_err() {
        update()?;
        download()?;
    }
    let listed = fs::read_dir(&packages).with_context(|| format!("cannot read {}", packages.display()))?;
    let is_it = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    let file = listed.filter_map(|entry| Some(entry.ok()?.path())).find(is_it);
    let file = file.with_context(|| format!("apt-get did not save {package} in {}", packages.display()))?;
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.arg("--extract").arg(file).arg(folder);
    step::quiet(&format!("unpacking {package}"), &mut dpkg)?;
    fs::remove_dir_all(&packages).with_context(|| format!("cannot remove {}", packages.display()))
}

fn update() -> Result<()> {
    step::quiet("updating the package lists", apt("update")?.arg("--quiet"))
}

fn apt(verb: &str) -> Result<Command> {
    let mut apt = as_root("env", "installing packages")?;
    apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", verb]);
    // Another apt may be running on a machine that has just booted.
    apt.args(["--option", "DPkg::Lock::Timeout=120"]);
    Ok(apt)
}

/// Whether the package lists of this machine have all of `packages`.
fn offers(packages: &[&str]) -> bool {
    let show = |package: &&str| {
        let mut apt_cache = Command::new("apt-cache");
        apt_cache.args(["show", "--quiet", package]).stdout(Stdio::null()).stderr(Stdio::null());
        apt_cache.status().is_ok_and(|status| status.success())
    };
    packages.iter().all(show)
}

/// The LLVM that `compiler` was built with.
pub(super) fn llvm_major(compiler: &Compiler) -> Result<u32> {
    let rustc = compiler.rustc();
    let output =
        Command::new(&rustc).arg("-vV").output().with_context(|| format!("cannot start {}", rustc.display()))?;
    let version = String::from_utf8_lossy(&output.stdout);
    parse_llvm_major(&version).with_context(|| format!("{} does not show its LLVM version", rustc.display()))
}

fn parse_llvm_major(version: &str) -> Option<u32> {
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    llvm.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_of_a_rustc_is_read_from_its_version() {
        assert_eq!(parse_llvm_major("rustc 1.96.0 (x)\nrelease: 1.96.0\nLLVM version: 22.1.8\n"), Some(22));
        assert_eq!(parse_llvm_major("rustc 1.96.0\n"), None);
    }
}
