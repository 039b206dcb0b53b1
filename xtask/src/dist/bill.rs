//! The bill of materials of each program, as CycloneDX: the libraries that are linked into it, with versions, licences and checksums.
//!
//! cargo-cyclonedx writes it. It also lists procedural macros and their libraries, which run in the compiler and are not part of any
//! program, so its list is reduced to what `cargo tree` shows as linked. cargo-auditable would put the list into the programs themselves;
//! more scanners can read separate files.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::source;
use crate::{
    build::PROGRAMS,
    step::quiet,
    tool,
    workspace::{cargo, host_triple, remove_folder, scratch_dir, search_path, source_date},
};

const VERSION: &str = "0.5.9";
/// The path of the source in the bills, in place of the real one.
const ROOT: &str = "/npd";

/// Writes `NAME.cdx.json` for each program.
pub(super) fn write(dist: &Path) -> Result<()> {
    let tool = tool::folder_of("cargo-cyclonedx", VERSION)?;
    // cargo-cyclonedx writes its files next to the manifests.
    let copy = scratch_dir().join("bill");
    remove_folder(&copy)?;
    source::copy(&copy)?;
    let mut command = cargo();
    command
        .current_dir(&copy)
        .args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--describe", "binaries", "--no-build-deps"])
        .args(["--target", &host_triple(), "--manifest-path", "npd-agent/Cargo.toml"])
        .env("SOURCE_DATE_EPOCH", source_date()?.to_string())
        .env("PATH", format!("{}:{}", tool.display(), search_path().display()));
    quiet("writing the bills of materials", &mut command)?;
    let linked = linked()?;
    for name in PROGRAMS {
        let path = copy.join(format!("npd-agent/{name}_bin.cdx.json"));
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let here = copy.to_str().context("the path of the build is not UTF-8")?;
        let mut bill: Value =
            serde_json::from_str(&text.replace(here, ROOT)).context("a bill of materials is not JSON")?;
        keep(&mut bill, &linked);
        let to = dist.join(format!("{name}.cdx.json"));
        let text = serde_json::to_string_pretty(&bill).context("cannot write JSON")? + "\n";
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    remove_folder(&copy)
}

/// Name and version of each linked library.
fn linked() -> Result<BTreeSet<(String, String)>> {
    let mut tree = cargo();
    tree.args(["tree", "--locked", "--package", "npd-agent", "--edges", "normal,no-proc-macro", "--prefix", "none"]);
    tree.args(["--format", "{p}", "--target", &host_triple()]);
    let output = tree.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8(output.stdout).context("cargo tree's output is not UTF-8")?;
    Ok(text.lines().filter_map(package).collect())
}

/// `aya v0.14.0 (*)`.
fn package(line: &str) -> Option<(String, String)> {
    let mut words = line.split(' ');
    Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
}

/// Removes from the components and their dependencies what is not linked.
fn keep(bill: &mut Value, linked: &BTreeSet<(String, String)>) {
    let mut gone = BTreeSet::new();
    if let Some(components) = bill["components"].as_array_mut() {
        components.retain(|component| {
            let text = |key: &str| component[key].as_str().unwrap_or_default().to_owned();
            let kept = linked.contains(&(text("name"), text("version")));
            if !kept {
                gone.insert(text("bom-ref"));
            }
            kept
        });
    }
    let is_kept = |reference: &Value| reference.as_str().is_none_or(|reference| !gone.contains(reference));
    if let Some(dependencies) = bill["dependencies"].as_array_mut() {
        dependencies.retain(|dependency| is_kept(&dependency["ref"]));
        for dependency in dependencies {
            if let Some(on) = dependency["dependsOn"].as_array_mut() {
                on.retain(is_kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_linked_is_removed_with_all_references_to_it() {
        let mut bill = json!({
            "components": [
                { "name": "aya", "version": "0.14.0", "bom-ref": "a" },
                { "name": "serde_derive", "version": "1.0.0", "bom-ref": "d" },
            ],
            "dependencies": [{ "ref": "a", "dependsOn": ["d"] }, { "ref": "d" }],
        });
        keep(&mut bill, &["aya v0.14.0 (*)"].iter().filter_map(|line| package(line)).collect());
        assert_eq!(bill["components"].as_array().map(Vec::len), Some(1));
        assert_eq!(bill["dependencies"], json!([{ "ref": "a", "dependsOn": [] }]));
    }
}
