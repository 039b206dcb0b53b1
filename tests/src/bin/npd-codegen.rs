//! Writes what is generated from the code: `cargo xtask codegen`.

use std::fs;

use anyhow::{Context, Result};
use npd_tests::documents;

fn main() -> Result<()> {
    for document in documents::all()? {
        let path = document.path;
        fs::write(&path, document.text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
