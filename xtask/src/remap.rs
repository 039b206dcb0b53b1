//! Keeps paths of this machine out of the programs: the same source has to give the same bytes elsewhere, and the paths of a build are
//! private.
//!
//! npd-agent's build script includes this file, so it uses std only.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Cargo's home, with its programs and the sources of the libraries.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// Adds flags, as in CARGO_ENCODED_RUSTFLAGS, that make the compiler write `name` in place of each folder. If several match a path, the
/// last one counts.
pub(crate) fn add_flags(flags: &mut OsString, folders: &[(&Path, &str)]) {
    for (folder, name) in folders {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(folder);
        flags.push("=");
        flags.push(name);
    }
}
