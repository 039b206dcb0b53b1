//! A line for each reason that a log has.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};

use super::place::files;

/// A line of the corpus for each reason: the first that is reported with this reason, and best with no other.
pub(super) fn all() -> Result<BTreeMap<String, String>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut examples = BTreeMap::new();
    // Log files repeat what stands elsewhere.
    for folder in ["kernel", "systemd", "docker", "abrt", "files"] {
        for path in files(&corpus.join(folder), "txt")? {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let mut expected = "";
            for line in text.lines().filter(|line| !line.is_empty()) {
                match (line.strip_prefix("# expect: "), line.starts_with("# ")) {
                    (Some(reasons), _) => expected = reasons,
                    (None, true) => {}
                    (None, false) => {
                        if let Some(last) = expected.split(' ').next_back() {
                            examples.entry(last.to_owned()).or_insert_with(|| line.to_owned());
                        }
                    }
                }
            }
        }
    }
    Ok(examples)
}
