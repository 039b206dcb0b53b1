//! Databases of known vulnerabilities: the one that was fetched, and a forged one that knows a vulnerability of a library that is there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::workspace::{cargo_home, remove_folder};

/// What cargo-deny calls its clone of <https://github.com/rustsec/advisory-db>.
const CLONE: &str = "advisory-db-3157b0e258782691";

/// Where `cargo deny fetch db` puts its clones.
pub(super) fn default_folder() -> Result<PathBuf> {
    Ok(cargo_home()?.join("advisory-dbs"))
}

/// Whether the folder has a clone. cargo-deny creates the folder even where it cannot fetch one.
pub(super) fn is_fetched(folder: &Path) -> bool {
    folder.join(CLONE).join(".git").exists()
}

/// Creates a folder with a database in which every version of this crate is vulnerable. It is created each time, because cargo-deny
/// refuses a database whose last commit is old.
pub(super) fn forge(folder: &Path, name: &str) -> Result<()> {
    remove_folder(folder)?;
    let clone = folder.join(CLONE);
    let advisories = clone.join("crates").join(name);
    fs::create_dir_all(&advisories).with_context(|| format!("cannot create {}", advisories.display()))?;
    let path = advisories.join("RUSTSEC-2000-0001.md");
    fs::write(&path, advisory(name)).with_context(|| format!("cannot write {}", path.display()))?;
    let identity = ["-c", "user.name=npd", "-c", "user.email=npd@localhost"];
    // A user's own settings may sign commits or run hooks.
    let plain = ["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"];
    for words in [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "--message", "forged"]] {
        let mut git = Command::new("git");
        git.arg("-C").arg(&clone).args(identity).args(plain).args(words);
        // A hook of git may have started this, and describes another repository.
        for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
            git.env_remove(name);
        }
        let output = git.output().context("cannot start git")?;
        if !output.status.success() {
            bail!("git {} failed: {}", words[0], String::from_utf8_lossy(&output.stderr).trim());
        }
    }
    Ok(())
}

fn advisory(name: &str) -> String {
    format!(
        "```toml\n[advisory]\nid = \"RUSTSEC-2000-0001\"\npackage = \"{name}\"\ndate = \"2000-01-01\"\n\n[versions]\npatched = []\n\
         ```\n\n# Forged\n\nForged.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::scratch_dir;

    #[test]
    fn a_forged_database_looks_fetched_and_an_empty_folder_does_not() {
        let folder = scratch_dir().join("forged-database");
        forge(&folder, "memchr").unwrap();
        assert!(is_fetched(&folder));
        assert!(!is_fetched(&folder.join("elsewhere")));
        remove_folder(&folder).unwrap();
    }
}
