//! What is shipped, as users get it: the files of `cargo xtask dist`, the images, and pods made of them that see real problems.
//!
//! `cargo xtask test --deploy` builds all of it and says where it is in `NPD_DIST_DIR` and `NPD_IMAGE_DIR`.

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use npd_tests::driver::{
    machine,
    suite::{Suite, need},
};

mod dist;
mod layouts;
mod manifests;
mod pods;

fn main() -> Result<ExitCode> {
    let mut suite = Suite::default();
    dist::add(&mut suite);
    layouts::add(&mut suite);
    pods::add(&mut suite);
    manifests::add(&mut suite);
    // Hung tasks and the kernel log belong to the whole machine.
    let _alone = if need::root().is_ok() { Some(machine::lock()?) } else { None };
    Ok(suite.run())
}

/// A folder that the stage has named.
fn folder(variable: &str) -> Result<PathBuf> {
    let named = env::var_os(variable);
    let path =
        PathBuf::from(named.with_context(|| format!("${variable} is not set: run `cargo xtask test --deploy`"))?);
    path.canonicalize().with_context(|| format!("${variable} is {}", path.display()))
}

/// All files of a folder with this ending, which has to have some.
fn files(folder: &std::path::Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.to_str().is_some_and(|path| path.ends_with(ending)) {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("no file with {ending} in {}", folder.display());
    }
    files.sort();
    Ok(files)
}
