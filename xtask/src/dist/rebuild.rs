//! The second build of `cargo xtask dist --check`: from a copy of the source at another path, with another target directory and another
//! cargo home. A program that differs then contains something of the machine that built it.

use std::{fs, os::unix::fs::symlink, path::Path};

use anyhow::{Context as _, Result, bail};

use super::source;
use crate::{
    build::PROGRAMS,
    step::Step,
    workspace::{cargo, cargo_home, host_triple, remove_folder, target_dir},
};

/// Builds again and fails if a program differs.
pub(crate) fn check(dist: &Path) -> Result<()> {
    let step = Step::loud("build again elsewhere and compare");
    let elsewhere = target_dir().join("again/elsewhere");
    remove_folder(&elsewhere)?;
    let source = elsewhere.join("source");
    source::copy(&source)?;
    let home = elsewhere.join("home");
    link_home(&home)?;

    let mut command = cargo();
    command.current_dir(&source).args(["run", "--quiet", "--package", "xtask", "--", "build", "--release", "--static"]);
    command.env("CARGO_HOME", &home).env("CARGO_INCREMENTAL", "0").env_remove("CARGO_TARGET_DIR");
    step.run(&mut command)?;
    let built = source.join("target").join(host_triple()).join("release");
    for name in PROGRAMS {
        let [first, second] = [dist.join(name), built.join(name)]
            .map(|path| fs::read(&path).with_context(|| format!("cannot read {}", path.display())));
        let (first, second) = (first?, second?);
        if first != second {
            let at = first.iter().zip(&second).position(|(one, other)| one != other);
            bail!(
                "{name} is not reproducible: {} and {} bytes, first difference at byte {}; the second build is in {}",
                first.len(),
                second.len(),
                at.unwrap_or(first.len().min(second.len())),
                built.display()
            );
        }
        println!("{name}: identical, {} bytes", first.len());
    }
    remove_folder(&elsewhere)?;
    step.done();
    Ok(())
}

/// Creates another cargo home with the same contents, so that nothing is fetched twice.
fn link_home(to: &Path) -> Result<()> {
    let home = cargo_home()?;
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(&home).with_context(|| format!("cannot read {}", home.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", home.display()))?;
        let link = to.join(entry.file_name());
        symlink(entry.path(), &link).with_context(|| format!("cannot create {}", link.display()))?;
    }
    Ok(())
}
