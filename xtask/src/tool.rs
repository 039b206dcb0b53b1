//! Programs of crates.io that only packagers need: compiled when a verb asks for one, each version in a folder of its own.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    step::quiet,
    workspace::{cargo, scratch_dir},
};

/// The folder that this version of a program is in, compiled if it is not there yet.
pub(crate) fn folder_of(name: &str, version: &str) -> Result<PathBuf> {
    let root = scratch_dir().join(format!("{name}-{version}"));
    let folder = root.join("bin");
    if !folder.join(name).is_file() {
        let mut install = cargo();
        install
            // Not in the workspace, whose settings are for npd.
            .current_dir("/")
            .args(["install", name, "--version", version, "--locked", "--root"])
            .arg(&root)
            // They work for seconds; optimising them would only make a fresh machine wait.
            .envs([("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")]);
        quiet(&format!("compiling {name} {version}, about half a minute"), &mut install)?;
    }
    Ok(folder)
}
