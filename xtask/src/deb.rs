//! `cargo xtask deb`: the Debian package in `target/deb`, made by cargo-deb as described in `npd-agent/Cargo.toml`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build, dist,
    step::Step,
    tool,
    workspace::{remove_folder, root, source_date, target_dir},
};

/// The version of cargo-deb that is compiled.
const CARGO_DEB: &str = "3.8.0";
/// The folder with files that differ from those in the repository. `npd-agent/Cargo.toml` names it, so it cannot move.
const FILES: &str = "target/deb/files";
/// Paths of plugins in the configs, and in the package.
const PLUGINS: [(&str, &str); 2] =
    [("./config/plugin/", "/usr/lib/npd/plugin/"), ("/home/kubernetes/bin/", "/usr/lib/npd/")];

/// The verb.
pub(crate) fn deb() -> Result<()> {
    crate::setup::setup()?;
    let package = make(&dist::make()?)?;
    println!("{}", build::described(&package)?);
    Ok(())
}

/// Packs the contents of `dist` and returns the path of the package.
pub(crate) fn make(dist: &Path) -> Result<PathBuf> {
    let cargo_deb = tool::folder_of("cargo-deb", CARGO_DEB)?.join("cargo-deb");
    stage(dist)?;
    let packages = target_dir().join("deb");
    for old in packages_in(&packages)? {
        fs::remove_file(&old).with_context(|| format!("cannot remove {}", old.display()))?;
    }
    let step = Step::loud("pack the Debian package");
    let mut command = Command::new(cargo_deb);
    command.env("SOURCE_DATE_EPOCH", source_date()?.to_string());
    command.current_dir(root()).args(["--package", "npd-agent", "--no-build", "--no-strip"]);
    // It would warn about each path below target/ that cargo has not made.
    command.args(["--quiet", "--output"]);
    step.run(command.arg(&packages))?;
    step.done();
    match &packages_in(&packages)?[..] {
        [package] => Ok(package.clone()),
        other => bail!("cargo-deb made {} packages instead of one", other.len()),
    }
}

/// Copies the files that differ from those in the repository.
fn stage(dist: &Path) -> Result<()> {
    let files = root().join(FILES);
    remove_folder(&files)?;
    let place = |file: &Path, folder: &str| {
        let folder = files.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        anyhow::Ok(folder.join(file.file_name().context("a file without a name")?))
    };
    let copy = |file: &Path, folder: &str| {
        let to = place(file, folder)?;
        fs::copy(file, &to).with_context(|| format!("cannot copy {} to {}", file.display(), to.display()))
    };
    copy(&dist.join("npd-agent"), "bin")?;
    for plugin in ["health-checker", "log-counter"] {
        copy(&dist.join(plugin), "plugins")?;
    }
    for page in files_with(&root().join("docs"), "md")? {
        copy(&page, "share/doc/npd")?;
    }
    for page in files_with(&dist.join("man"), "1")?.iter().filter(|page| is_page_of_the_agent(page)) {
        copy(page, "share/man/man1")?;
    }
    for config in files_with(&root().join("config"), "json")? {
        let text = fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
        let to = place(&config, "config")?;
        fs::write(&to, for_package(&text)).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// People do not call the plugins, so these need no manual page.
fn is_page_of_the_agent(page: &Path) -> bool {
    page.file_name().is_some_and(|name| name.to_string_lossy().starts_with("npd-agent"))
}

/// A shipped config with the paths that plugins have in the package.
fn for_package(config: &str) -> String {
    let replaced = |text: String, (from, to): (&str, &str)| text.replace(&format!("\"{from}"), &format!("\"{to}"));
    PLUGINS.into_iter().fold(config.to_owned(), replaced)
}

fn packages_in(folder: &Path) -> Result<Vec<PathBuf>> {
    files_with(folder, "deb")
}

/// The files of a folder with this extension; none if there is no such folder.
fn files_with(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let listed = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in listed {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.is_file() && path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_config_of_the_package_names_a_path_that_only_an_image_has() {
        let configs = files_with(&root().join("config"), "json").unwrap();
        assert!(configs.len() > 15, "{configs:?}");
        for config in configs {
            let text = for_package(&fs::read_to_string(&config).unwrap());
            let path = text.split('"').find(|word| {
                word.starts_with("./") || word.starts_with("/config/") || word.starts_with("/home/kubernetes")
            });
            assert_eq!(path, None, "{}", config.display());
        }
    }

    #[test]
    fn plugins_have_the_paths_of_the_package() {
        let config = r#"{"path": "./config/plugin/a.sh"}, {"path": "/home/kubernetes/bin/health-checker"}"#;
        let packed = r#"{"path": "/usr/lib/npd/plugin/a.sh"}, {"path": "/usr/lib/npd/health-checker"}"#;
        assert_eq!(for_package(config), packed);
    }
}
