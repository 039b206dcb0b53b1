//! Copies of the source, for builds that must not see or change the workspace itself.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::workspace::root;

/// Copies the files that git tracks, and new ones that it does not ignore.
pub(super) fn copy(to: &Path) -> Result<()> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = git.output().context("cannot start git")?;
    if !listed.status.success() {
        bail!("git cannot list the source: {}", String::from_utf8_lossy(&listed.stderr).trim());
    }
    for name in String::from_utf8(listed.stdout).context("a file name is not UTF-8")?.split_terminator('\0') {
        let (from, to) = (root().join(name), to.join(name));
        if !from.is_file() {
            // Deleted in the working tree, but not in the index.
            continue;
        }
        let copied = fs::create_dir_all(to.parent().unwrap_or(&to)).and_then(|()| fs::copy(&from, &to));
        copied.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}
