//! Paths in this workspace, and the commands that work on it.

use std::{
    env,
    ffi::OsString,
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::remap;

/// The target triple of the host; only its gnu variant is built.
pub(crate) fn host_triple() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir)
}

/// Cargo's target directory.
pub(crate) fn target_dir() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Cargo's home, with its programs and the sources of the libraries.
pub(crate) fn cargo_home() -> Result<PathBuf> {
    remap::cargo_home().context("neither CARGO_HOME nor HOME is set, so cargo has no home folder")
}

/// Removes a folder, if it exists.
pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// The time written into shipped files, in seconds since 1970: `$SOURCE_DATE_EPOCH`, or else the time of the last commit, so that the same
/// source gives the same bytes.
pub(crate) fn source_date() -> Result<u64> {
    if let Some(given) = env::var_os("SOURCE_DATE_EPOCH") {
        let seconds = given.to_str().and_then(|text| text.parse().ok());
        return seconds.with_context(|| format!("SOURCE_DATE_EPOCH is not a number of seconds: {}", given.display()));
    }
    let mut git = Command::new("git");
    let shown = git.current_dir(root()).args(["log", "-1", "--format=%ct"]).output();
    let seconds = shown.ok().and_then(|shown| String::from_utf8(shown.stdout).ok()?.trim().parse().ok());
    seconds.context("git does not know the time of the last commit: set SOURCE_DATE_EPOCH")
}

/// The commit that is checked out, with `-dirty` if the source differs from it; `None` if git does not know.
pub(crate) fn commit() -> Option<String> {
    let words = ["describe", "--always", "--exclude=*", "--abbrev=40", "--dirty"];
    let shown = Command::new("git").current_dir(root()).args(words).output().ok()?;
    let commit = String::from_utf8(shown.stdout).ok()?.trim().to_owned();
    (!commit.is_empty()).then_some(commit)
}

/// A directory for xtask's own logs and scratch files.
pub(crate) fn scratch_dir() -> PathBuf {
    target_dir().join("xtask")
}

/// The folder of packages that are only unpacked.
pub(crate) fn unpacked_dir() -> PathBuf {
    scratch_dir().join("unpacked")
}

/// The folder of their programs; it is on the search path of what cargo runs.
pub(crate) fn unpacked_programs() -> PathBuf {
    unpacked_dir().join("usr/bin")
}

/// The search path of what cargo runs.
pub(crate) fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&path).collect();
    folders.push(unpacked_programs());
    // A folder with a colon in its name cannot be on a search path.
    env::join_paths(folders).unwrap_or(path)
}

/// The running cargo, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env("PATH", search_path());
    // `cargo run` describes xtask in the environment; that must not look like a change of what is built now.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// The command that turns the user into root: empty for root itself, or `sudo` if it is installed.
pub(crate) fn root_prefix(purpose: &str) -> Result<&'static [&'static str]> {
    if is_root() {
        Ok(&[])
    } else if program("sudo").is_some() {
        Ok(&["sudo"])
    } else {
        bail!("{purpose} needs root, and sudo is not installed: run this command as root")
    }
}

/// A command that runs `program` as root.
pub(crate) fn as_root(program: impl AsRef<std::ffi::OsStr>, purpose: &str) -> Result<Command> {
    Ok(match root_prefix(purpose)? {
        [] => Command::new(program),
        [wrapper, ..] => {
            let mut command = Command::new(wrapper);
            command.arg(program);
            command
        }
    })
}

/// The path of the program `name`. Root's folders are searched too, although a user's PATH may not include them.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let roots = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(roots).map(|dir| dir.join(name)).find(|path| path.is_file())
}
