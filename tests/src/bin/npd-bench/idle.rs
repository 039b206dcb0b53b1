//! An agent that has nothing to do, alone and in a cluster, and its size on disk.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use npd_tests::{
    cluster::apiserver::ApiServer,
    driver::{
        agent::usage::Usage,
        binary,
        monitor::Monitor,
        poll::{self, SOON},
    },
};

use crate::table::Row;

const LONG: Duration = Duration::from_secs(10);
/// Of the agent in a cluster. The default is five minutes.
const HEARTBEAT: Duration = Duration::from_secs(5);

pub(crate) fn measure() -> Result<Vec<Row>> {
    let agent = crate::agent("auto", &Monitor::kernel("idle"))?.start()?;
    poll::pause(LONG);
    let before = agent.usage()?;
    poll::pause(LONG);
    let after = agent.usage()?;
    agent.stop()?;
    let (resident, parts) = memory(&after);
    let (in_cluster, in_cluster_parts, requests) = in_cluster()?;
    let heartbeats = LONG.as_secs_f64() / HEARTBEAT.as_secs_f64();
    let spent = after.since(&before);
    let wakes = spent.voluntary_switches as f64 / LONG.as_secs_f64();
    let cpu = spent.cpu.as_secs_f64() * 1e3 / LONG.as_secs_f64();
    let path = binary::agent()?;
    let megabytes =
        fs::metadata(&path).with_context(|| format!("cannot look at {}", path.display()))?.len() as f64 / 1e6;
    let is_static = is_static(&path)?;
    let kind = if is_static { "static" } else { "**not static**" };
    Ok(vec![
        Row::new("resident memory, idle for 10 s", parts).goal("≤ 12 MiB", resident <= 12.0),
        Row::new("resident memory, idle for 10 s, in a cluster with TLS", in_cluster_parts)
            .goal("≤ 12 MiB", in_cluster <= 12.0),
        Row::new("requests a heartbeat, idle in a cluster", format!("{:.1}", requests / heartbeats))
            .goal("≤ 1", requests <= heartbeats),
        Row::new("wake-ups a second, idle", format!("{wakes:.1}")).goal("≤ 2", wakes <= 2.0),
        Row::new("CPU, idle", format!("{cpu:.2} ms/s")),
        Row::new("program", format!("{megabytes:.1} MB, {kind}"))
            .goal("≤ 12 MB, static", megabytes <= 12.0 && is_static),
    ])
}

/// The agent of a cluster: its memory, and how many requests it makes in [`LONG`].
fn in_cluster() -> Result<(f64, String, f64)> {
    let server = ApiServer::builder().node("bench").token("t").tls().start()?;
    let setup = crate::agent("auto", &Monitor::kernel("idle"))?;
    let kubeconfig = setup.folder().join("kubeconfig");
    server.write_kubeconfig(&kubeconfig)?;
    let agent = setup
        .arg("--enable-k8s-exporter")
        .arg("--hostname-override=bench")
        .arg(format!("--apiserver-override=?inClusterConfig=false&auth={}", kubeconfig.display()))
        .arg(format!("--k8s-exporter-heartbeat-period={}s", HEARTBEAT.as_secs()))
        .start()?;
    server.wait_for_request("the first conditions", SOON, |request| request.path.ends_with("/status"))?;
    poll::pause(LONG);
    let before = server.requests().len();
    poll::pause(LONG);
    let requests = server.requests().len() - before;
    let usage = agent.usage()?;
    agent.stop()?;
    let (resident, parts) = memory(&usage);
    Ok((resident, parts, requests as f64))
}

/// The resident memory in MiB, and of what it is.
fn memory(usage: &Usage) -> (f64, String) {
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let resident = mebibytes(usage.resident.total());
    let [heap, files, shared] = [usage.resident.anonymous, usage.resident.files, usage.resident.shared].map(mebibytes);
    (resident, format!("{resident:.1} MiB ({heap:.1} heap, {files:.1} files, {shared:.1} shared)"))
}

/// Whether no dynamic linker is asked for: no program header of the type `PT_INTERP`.
fn is_static(program: &Path) -> Result<bool> {
    const PT_INTERP: u32 = 3;
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let field = |at: usize, length: usize| -> Result<u64> {
        let field = bytes.get(at..at + length).context("the program's ELF header is cut")?;
        Ok(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    // Offsets of a 64-bit little-endian ELF: e_phoff, e_phentsize, e_phnum.
    let (start, size, count) = (field(32, 8)? as usize, field(54, 2)? as usize, field(56, 2)? as usize);
    for index in 0..count {
        if field(start + index * size, 4)? == u64::from(PT_INTERP) {
            return Ok(false);
        }
    }
    Ok(true)
}
