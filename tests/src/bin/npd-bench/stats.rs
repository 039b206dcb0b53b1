//! One collection of every metric, on this machine and on a large node.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use npd_agent::{
    config::SystemStatsConfig,
    monitor::system_stats::{Collectors, StatsPage},
    node::Node,
    time::Now,
};
use npd_tests::host::node::{self, large};
use prometheus::{Encoder, Registry, TextEncoder};
use serde_json::json;

use crate::{
    sample::{cpu_time, median},
    table::Row,
};

const ROUNDS: usize = 51;

pub(crate) fn measure() -> Result<Vec<Row>> {
    let config = node::everything_with(&json!({"disk": {"includeRootBlk": true, "includeAllAttachedBlk": true}}))?;
    let here = Node::from_env();
    // On a file system in memory where there is one, as /proc is.
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = memory.context("cannot make a temporary folder")?;
    large::write(folder.path())?;
    let large = node::node(folder.path());
    let mut rows = collection("this machine", &config, &here, 2.0)?;
    let name = format!("{} disks, {} interfaces, {} CPUs", large::DISKS, large::INTERFACES, large::CPUS);
    rows.extend(collection(&name, &config, &large, 20.0)?);
    Ok(rows)
}

fn collection(name: &str, config: &SystemStatsConfig, node: &Node, goal: f64) -> Result<Vec<Row>> {
    let registry = Registry::new();
    let page = StatsPage::register(&registry)?;
    let mut collectors = Collectors::new(config);
    let sections: Vec<_> = collectors.sections().collect();
    page.put(config, sections.iter().copied());
    let (mut collecting, mut scraping, mut series) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let started = cpu_time();
        for section in &sections {
            let now = Now::read().mono;
            page.begin(&config.path, *section, now);
            let (samples, outcome) = collectors.collect(*section, node, now);
            ensure!(outcome.is_ok(), "{} cannot be measured: {outcome:?}", section.key());
            page.end(&config.path, *section, samples, true, Now::read().mono);
        }
        collecting.push(cpu_time().saturating_sub(started).as_secs_f64() * 1e3);
        let started = cpu_time();
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text)?;
        scraping.push(cpu_time().saturating_sub(started).as_secs_f64() * 1e3);
        series = black_box(&text).split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")).count();
    }
    let (collecting, scraping) = (median(&collecting), median(&scraping));
    let what = format!("one collection of everything, {name} ({series} series): CPU");
    Ok(vec![
        Row::new(what, format!("{collecting:.2} ms")).goal(format!("≤ {goal} ms"), collecting <= goal),
        Row::new(format!("one scrape of it, {name}: CPU"), format!("{scraping:.2} ms")),
    ])
}
