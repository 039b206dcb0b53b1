//! `cargo xtask dist`: a release in `target/dist`: the static programs, their manual pages and completions, a bill of materials for each
//! program, and checksums of all files.
//!
//! The same source gives the same bytes with the same tool chain, wherever it is built; `--check` builds a second time and compares.

mod bill;
mod rebuild;
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{
    build::{self, PROGRAMS},
    setup,
    step::Step,
    workspace::{cargo, remove_folder, source_date, target_dir},
};
pub(crate) use rebuild::check;

/// What to do besides.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Build a second time from a copy of the source in another folder, and fail if the programs differ
    #[arg(long)]
    check: bool,
}

/// The verb.
pub(crate) fn dist(args: &Args) -> Result<()> {
    setup::setup()?;
    let dist = make()?;
    if args.check {
        check(&dist)?;
    }
    Ok(())
}

/// Creates `target/dist` from scratch and returns its path.
pub(crate) fn make() -> Result<PathBuf> {
    let built = build::Args::SHIPPED.build()?;
    let dist = target_dir().join("dist");
    remove_folder(&dist)?;
    fs::create_dir_all(&dist).with_context(|| format!("cannot create {}", dist.display()))?;
    for name in PROGRAMS {
        let to = dist.join(name);
        fs::copy(built.join(name), &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    manual(&dist)?;
    bill::write(&dist)?;
    let files = files(&dist)?;
    let sums: String =
        files.iter().map(|file| Ok(format!("{}  {file}\n", sha256(&dist.join(file))?))).collect::<Result<_>>()?;
    fs::write(dist.join("SHA256SUMS"), sums).context("cannot write SHA256SUMS")?;
    for name in PROGRAMS {
        println!("{}", build::described(&dist.join(name))?);
    }
    println!("{} files and their SHA256SUMS in {}", files.len(), dist.display());
    Ok(dist)
}

/// Manual pages and completions, from the programs' own definitions of their command lines.
fn manual(dist: &Path) -> Result<()> {
    let step = Step::loud("write the manual pages and completions");
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "npd-tests", "--bin", "npd-manual", "--"]).arg(dist);
    step.run(command.env("SOURCE_DATE_EPOCH", source_date()?.to_string()))?;
    step.done();
    Ok(())
}

/// The sorted paths of all files below a folder, relative to it.
fn files(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let cannot_read = || format!("cannot read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(cannot_read)? {
            let path = entry.with_context(cannot_read)?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(root)?.to_str().context("a file name is not UTF-8")?.to_owned());
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The SHA-256 of a file in hexadecimal digits.
fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hexadecimal(&Sha256::digest(bytes)))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
