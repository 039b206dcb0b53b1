//! The shipped kernel rules against lines that kernels really print: `corpus/kernel/*.txt`.
//!
//! A file is read from top to bottom. `# expect: OOMKilling` says which reasons each line from here on must have,
//! exactly these and in any order, `# expect: none` that it is innocent. Other lines that start with `#` are comments,
//! blank lines count for nothing. No kernel and no agent is needed: the rules are asked directly.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use npd_agent::config::{self, SystemLogConfig};
use npd_agent::rules::{Hit, Rules};
use npd_agent::time::Timestamp;
use npd_tests::binary::shipped_config;
use npd_tests::suite::Suite;

fn main() -> Result<ExitCode> {
    let mut suite = Suite::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/kernel");
    let files = list(&folder, "txt")?;
    suite.test("there is a corpus", {
        let empty = files.is_empty();
        move || {
            ensure!(!empty, "no file in tests/corpus/kernel");
            Ok(())
        }
    });
    let monitors = Arc::new(kernel_monitors()?);
    for file in files {
        let monitors = Arc::clone(&monitors);
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        suite
            .test(format!("{name}: each line has exactly the reasons it should have"), move || check(&file, &monitors));
    }
    Ok(suite.run())
}

/// The files of a folder with this extension, sorted; none when there is no such folder.
fn list(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The shipped monitors that read the kernel log.
fn kernel_monitors() -> Result<Vec<SystemLogConfig>> {
    let mut paths = Vec::new();
    for path in list(&shipped_config(""), "json")? {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let config: serde_json::Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        if config["plugin"] == "kmsg" {
            paths.push(path);
        }
    }
    ensure!(!paths.is_empty(), "no monitor in config/ reads the kernel log");
    Ok(config::load(&paths).context("the shipped monitors are wrong")?.system_logs)
}

fn check(file: &Path, configs: &[SystemLogConfig]) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut monitors: Vec<_> = configs
        .iter()
        .map(|config| {
            let patterns = config.rules.iter().map(|rule| rule.pattern.clone()).collect();
            (config, Rules::new(patterns, config.buffer_size))
        })
        .collect();
    let mut expected: Option<BTreeSet<&str>> = None;
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(reasons) = line.strip_prefix("# expect:") {
            expected = Some(reasons.split_whitespace().filter(|reason| *reason != "none").collect());
        } else if !line.starts_with('#') && !line.trim().is_empty() {
            let Some(expected) = &expected else { bail!("line {}: nothing is expected yet", number + 1) };
            let mut found = BTreeSet::new();
            for (config, rules) in &mut monitors {
                let mut hit = |hit: Hit| {
                    found.insert(config.rules[hit.rule].reason.as_ref());
                };
                rules.push(line.as_bytes(), Timestamp::from_unix_nanos(0), &mut hit);
            }
            if found != *expected {
                wrong.push(format!("line {}: expected {expected:?}, found {found:?}: {line}", number + 1));
            }
        }
    }
    ensure!(expected.is_some(), "no `# expect:` in the file");
    ensure!(wrong.is_empty(), "{} lines are wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}
