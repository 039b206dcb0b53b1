//! Writes what is generated from the code: `cargo xtask codegen`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use npd_tests::{binary, node, schema};

fn main() -> Result<()> {
    write(&binary::shipped_config("schema/system-log-monitor.json"), &schema::system_log_monitor_file()?)?;
    for name in node::RECORDED {
        write(&node::recorded(name).join("metrics.prom"), &node::recorded_page(name)?)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
