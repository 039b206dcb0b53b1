//! Recorded nodes: the whole metrics page, byte for byte.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use npd_tests::{
    driver::suite::Suite,
    host::node::{self, large},
};
use serde_json::json;

pub(super) fn add(suite: &mut Suite) {
    for name in node::RECORDED {
        suite.test(format!("nodes: the page of {name} is as it was, byte for byte"), move || recorded(name));
    }
    suite.test("nodes: the page of a large node is what its numbers say, byte for byte", large_node);
    suite.test("nodes: what is gone from the node is gone from the page", stale_series);
    suite.test("nodes: a collector that fails is told of and leaves the others alone", failing_collector);
    suite.test("nodes: counters stand as the kernel has them, however often they are read", counters);
}

fn compare(found: &str, expected: &str) -> Result<()> {
    for (line, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        ensure!(found == expected, "line {}:\n    found    {found}\n    expected {expected}", line + 1);
    }
    let (found, expected) = (found.lines().count(), expected.lines().count());
    ensure!(found == expected, "there are {found} lines, not {expected}");
    Ok(())
}

fn recorded(name: &str) -> Result<()> {
    let path = node::recorded(name).join("metrics.prom");
    let expected = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    compare(&node::recorded_page(name)?, &expected)
}

fn large_node() -> Result<()> {
    let folder = tempfile::tempdir()?;
    large::write(folder.path())?;
    let config = node::everything_with(&json!({"disk": {"includeRootBlk": true, "includeAllAttachedBlk": true}}))?;
    let node = node::node(folder.path());
    let pages = node::pages(&config, &[node.clone(), node])?;
    compare(pages.last().context("no page")?, &large::exposition())
}

/// The lines of a metric.
fn series<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    page.lines().filter(|line| line.starts_with(name)).collect()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn stale_series() -> Result<()> {
    let folder = tempfile::tempdir()?;
    copy(&node::recorded("cgroup-v1"), folder.path())?;
    for file in ["proc/net/dev", "proc/modules"] {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path)?;
        let kept: Vec<_> = text.lines().filter(|line| !line.contains("cali12ab") && !line.contains("emcp")).collect();
        fs::write(path, kept.join("\n"))?;
    }
    let before = node::node(&node::recorded("cgroup-v1"));
    let pages = node::pages(&node::everything()?, &[before, node::node(folder.path())])?;
    let [before, after] = &pages[..] else { bail!("{} pages", pages.len()) };
    ensure!(before.contains("cali12ab") && before.contains("emcp"), "they were not there");
    ensure!(!after.contains("cali12ab") && !after.contains("emcp"), "they are still there");
    Ok(())
}

fn failing_collector() -> Result<()> {
    let folder = tempfile::tempdir()?;
    copy(&node::recorded("vm"), folder.path())?;
    fs::write(folder.path().join("proc/meminfo"), "nothing\n")?;
    fs::remove_file(folder.path().join("proc/loadavg"))?;
    let good = node::node(&node::recorded("vm"));
    let pages = node::pages(&node::everything()?, &[good, node::node(folder.path())])?;
    let [before, after] = &pages[..] else { bail!("{} pages", pages.len()) };
    let failed = |page: &str| {
        let lines = series(page, "npd_collector_success{").into_iter().filter(|line| line.ends_with(" 0"));
        lines.map(|line| line.split('"').nth(1).unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    ensure!(failed(before).is_empty(), "they fail: {:?}", failed(before));
    ensure!(failed(after) == ["cpu", "limits", "memory"], "they fail: {:?}", failed(after));
    ensure!(series(after, "memory_").is_empty(), "memory that was not measured is shown");
    ensure!(!series(after, "cpu_usage_time{").is_empty(), "what the failed collector could read is gone");
    ensure!(series(after, "limits_used{").len() == 2, "open files and conntrack do not need /proc/loadavg");
    ensure!(series(after, "net_") == series(before, "net_"), "others were touched");
    Ok(())
}

fn counters() -> Result<()> {
    let node = node::node(&node::recorded("vm"));
    let pages = node::pages(&node::everything()?, &[node.clone(), node.clone(), node])?;
    let is_counter =
        |page: &str| page.lines().filter(|line| line.contains("_total")).map(str::to_owned).collect::<Vec<_>>();
    ensure!(!is_counter(&pages[0]).is_empty(), "there are no counters");
    ensure!(is_counter(&pages[0]) == is_counter(&pages[2]), "a counter has grown by being read");
    Ok(())
}
