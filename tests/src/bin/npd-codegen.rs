//! Writes what is generated from the code: `cargo xtask codegen`.

use std::fs;

use anyhow::{Context, Result};
use npd_tests::{binary, schema};

fn main() -> Result<()> {
    let path = binary::shipped_config("schema/system-log-monitor.json");
    fs::write(&path, schema::system_log_monitor_file()?).with_context(|| format!("cannot write {}", path.display()))
}
