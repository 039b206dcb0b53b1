//! Programs from crates.io that only some verbs need: compiled when a verb needs one, each version in a folder of its own.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    step::quiet,
    workspace::{cargo, scratch_dir},
};

/// Returns the folder with this version of a program, which is compiled if it is not there yet.
pub(crate) fn folder_of(name: &str, version: &str) -> Result<PathBuf> {
    let root = scratch_dir().join(format!("{name}-{version}"));
    let folder = root.join("bin");
    if !folder.join(name).is_file() {
        let mut install = cargo();
        install
            // Outside of the workspace, whose cargo settings are for npd.
            .current_dir("/")
            .args(["install", name, "--version", version, "--locked", "--root"])
            .arg(&root)
            // They run for seconds: optimising them would take longer than it saves.
            .envs([("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")]);
        quiet(&format!("compiling {name} {version}, up to two minutes"), &mut install)?;
    }
    Ok(folder)
}
