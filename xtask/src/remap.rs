//! Paths of this machine that what is built must not know: the same source has to give the same bytes elsewhere, and where a file was is
//! nobody's business.
//!
//! npd-agent's build script includes this same file. Therefore: std only.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Cargo's home, where its programs and the sources of the libraries are.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// Has the compiler write `name` for each of these folders, in the form of CARGO_ENCODED_RUSTFLAGS. Of several that fit the last counts.
pub(crate) fn add_flags(flags: &mut OsString, folders: &[(&Path, &str)]) {
    for (folder, name) in folders {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(folder);
        flags.push("=");
        flags.push(name);
    }
}
