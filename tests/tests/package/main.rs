//! The Debian package on a host with a real systemd: from its installation to its purge.
//!
//! `NPD_DEB` says where the package is, as `cargo xtask deb` has made it. The tests follow each other on one host, which the first
//! of them boots.
#![allow(clippy::print_stdout, reason = "what an operator would see is shown")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, anyhow, ensure};
use npd_tests::{
    driver::{
        agent::metrics::Metrics,
        machine,
        poll::{self, SOON},
        process,
        suite::{Suite, need, skip},
    },
    host::{fault::hung_task::HungTask, kmsg},
    nonce,
};
use serde_json::Value;

mod host;

use self::host::Host;

/// CAP_SYSLOG, CAP_PERFMON and CAP_BPF.
const CAPABILITIES: u64 = 1 << 34 | 1 << 38 | 1 << 39;

/// The host, once it is booted, or why it cannot be.
type Shared = Arc<Mutex<Option<Result<Host, String>>>>;

fn main() -> Result<ExitCode> {
    let mut suite = Suite::default();
    let shared = Shared::default();
    let mut test = |claim: &str, run: fn(&Host) -> Result<()>| {
        let shared = Arc::clone(&shared);
        suite.test(claim, move || {
            need::probes()?;
            for program in ["mmdebstrap", "nsenter", "setpriv", "unshare"] {
                need::tool(program)?;
            }
            package()?;
            host::unified_cgroups()?;
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let host = shared.get_or_insert_with(|| boot().map_err(|error| format!("{error:#}")));
            run(host.as_ref().map_err(|error| anyhow!("there is no host: {error}"))?)
        });
    };
    test("once installed the unit is active, and its status says how the kernel log is read", active);
    test("inside the sandbox of the unit every probe that the kernel knows is active", probes);
    test("a line of the kernel log is counted on the metrics page", line);
    test("a hung task of which printk does not speak is counted too", hung_task);
    test("the agent has three capabilities and cannot write outside of its state", sandboxed);
    test("every config can be used, and every plugin that one names is there", configs);
    test("the metrics of the node can be had from inside the sandbox", stats);
    test("an agent that hangs is ended by the watchdog and started again", watchdog);
    test("installed again, changed flags stay and the agent runs anew", again);
    test("stop is orderly", stop);
    test("removed, its config stays", removed);
    test("purged, nothing of it is left", purged);
    let rights = need::root().is_ok();
    let _alone = if rights { Some(machine::lock()?) } else { None };
    let code = suite.run();
    drop(shared);
    Ok(code)
}

fn package() -> Result<PathBuf> {
    env::var_os("NPD_DEB").map(PathBuf::from).ok_or_else(|| skip("needs NPD_DEB, the path of a package"))
}

/// A host with the package.
fn boot() -> Result<Host> {
    let package = package()?;
    let host = Host::boot()?;
    fs::copy(&package, host.path("npd.deb")).with_context(|| format!("cannot copy {}", package.display()))?;
    host.run("dpkg", &["--install", "/npd.deb"])?;
    Ok(host)
}

fn count(metrics: &Metrics, reason: &str) -> f64 {
    metrics.value("problem_counter", &[("reason", reason)]).unwrap_or_default()
}

/// Waits until the unit is active and its status is as it should be.
fn wait_for_status(host: &Host) -> Result<()> {
    poll::wait_for("the unit's status", SOON, || {
        let (state, status) = (host.property("ActiveState")?, host.property("StatusText")?);
        Ok((state == "active" && status == "ready; source kmsg: probe+kmsg").then_some(()))
    })
    .with_context(|| host.output("systemctl", &["status", "npd"]).map_or_else(|e| e.to_string(), |(_, text)| text))
}

fn active(host: &Host) -> Result<()> {
    let kind = host.property("Type")?;
    ensure!(kind == "notify", "the unit has type {kind}");
    wait_for_status(host)?;
    let enabled = host.run("systemctl", &["is-enabled", "npd"])?;
    ensure!(enabled.trim() == "enabled", "the unit is {enabled}");
    println!("{}", host.run("systemctl", &["--no-pager", "--lines=0", "status", "npd"])?);
    Ok(())
}

fn probes(host: &Host) -> Result<()> {
    let probes = host.metrics()?.series("npd_kernel_probe");
    let are = |state: &str| {
        let labels = format!("state=\"{state}\"");
        probes.iter().filter(|(found, value)| *value > 0.5 && found.contains(&labels)).count()
    };
    ensure!(are("active") > 1 && are("forbidden") + are("broken") == 0, "{probes:?}");
    Ok(())
}

fn line(host: &Host) -> Result<()> {
    let before = count(&host.metrics()?, "TaskHung");
    kmsg::write_at(3, &format!("INFO: task {}:4194303 blocked for more than 120 seconds.", nonce()))?;
    host.wait_for_metrics("the line", |metrics| (count(metrics, "TaskHung") > before).then_some(()))
}

fn hung_task(host: &Host) -> Result<()> {
    need::hung_task_detector()?;
    let before = count(&host.metrics()?, "TaskHung");
    let _task = HungTask::start(0)?;
    host.wait_for_metrics("the hung task", |metrics| (count(metrics, "TaskHung") > before).then_some(()))
}

fn sandboxed(host: &Host) -> Result<()> {
    let agent = host.agent()?;
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        let mask = process::capabilities(agent, set)?;
        ensure!(mask == CAPABILITIES, "{set} is {mask:x}, not {CAPABILITIES:x}");
    }
    for (field, expected) in [("NoNewPrivs", "1"), ("Seccomp", "2")] {
        let value = process::status(agent, field)?;
        ensure!(value == expected, "{field} is {value}");
    }
    let mounts = fs::read_to_string(format!("/proc/{agent}/mountinfo")).context("cannot read the agent's mounts")?;
    let writable = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(4);
        let (place, options) = (words.next()?, words.next()?);
        options.split(',').any(|option| option == "rw").then_some(place)
    });
    let writable: Vec<_> = writable.collect();
    println!("writable mounts: {writable:?}");
    ensure!(writable.contains(&"/var/lib/npd"), "its state cannot be written");
    let allowed = |place: &str| {
        ["/var/lib/npd", "/tmp", "/var/tmp"].contains(&place) || place.starts_with("/dev") || place.starts_with("/proc")
    };
    ensure!(writable.iter().all(|place| allowed(place)), "it can write to {writable:?}");
    Ok(())
}

fn configs(host: &Host) -> Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(host.path("/etc/npd")).context("cannot read /etc/npd")? {
        let name = PathBuf::from(entry?.file_name());
        files.extend(name.extension().is_some_and(|e| e == "json").then(|| format!("/etc/npd/{}", name.display())));
    }
    ensure!(files.len() > 15, "there are only {files:?}");
    let mut arguments = vec!["check-config"];
    arguments.extend(files.iter().map(String::as_str));
    let said = host.run("npd-agent", &arguments)?;
    ensure!(said.contains(" 0 errors, 0 warnings"), "{said}");
    let mut plugins = 0;
    for file in &files {
        let text = fs::read_to_string(host.path(file)).with_context(|| format!("cannot read {file}"))?;
        let config: Value = serde_json::from_str(&text).with_context(|| format!("{file} is no JSON"))?;
        let rules = config["rules"].as_array().into_iter().flatten();
        for path in rules.filter_map(|rule| rule["path"].as_str()).filter(|path| path.contains('/')) {
            host.run("test", &["-x", path]).with_context(|| format!("{file} names {path}"))?;
            plugins += 1;
        }
    }
    ensure!(plugins > 5, "only {plugins} plugins are named");
    Ok(())
}

/// Changes the unit as `systemctl edit` does, and starts it anew.
fn edit(host: &Host, settings: &str) -> Result<()> {
    let folder = host.path("/etc/systemd/system/npd.service.d");
    fs::create_dir_all(&folder).context("cannot make a folder for drop-ins")?;
    fs::write(folder.join("override.conf"), format!("[Service]\n{settings}")).context("cannot write a drop-in")?;
    host.run("systemctl", &["daemon-reload"])?;
    host.run("systemctl", &["restart", "npd"])?;
    wait_for_status(host)
}

fn stats(host: &Host) -> Result<()> {
    let flags = "--enable-k8s-exporter=false --config.system-log-monitor=/etc/npd/kernel-monitor.json \
                 --config.system-stats-monitor=/etc/npd/system-stats-monitor.json,/etc/npd/net-cgroup-system-stats-monitor.json";
    fs::write(host.path("/etc/default/npd"), format!("NPD_FLAGS=\"{flags}\"\n")).context("cannot change the flags")?;
    host.run("systemctl", &["restart", "npd"])?;
    wait_for_status(host)?;
    for name in ["host_uptime", "cpu_load_1m", "memory_bytes_used", "disk_bytes_used", "net_rx_bytes"] {
        host.wait_for_metrics(name, |metrics| (!metrics.series(name).is_empty()).then_some(()))?;
    }
    Ok(())
}

fn watchdog(host: &Host) -> Result<()> {
    edit(host, "WatchdogSec=2\nTimeoutAbortSec=1\nRestartSec=100ms\n")?;
    let before = host.agent()?;
    let stopped = rustix::process::Pid::from_raw(i32::try_from(before)?).context("the agent has no pid")?;
    rustix::process::kill_process(stopped, rustix::process::Signal::STOP).context("cannot stop the agent")?;
    poll::wait_for("another agent", SOON, || {
        Ok(host.agent().ok().filter(|agent| *agent != before && host.metrics().is_ok()))
    })?;
    let said = host.run("journalctl", &["--unit=npd", "--no-pager"])?;
    ensure!(said.contains("Watchdog timeout"), "{said}");
    let restarts = host.property("NRestarts")?;
    ensure!(restarts == "1", "it was started again {restarts} times");
    wait_for_status(host)
}

fn again(host: &Host) -> Result<()> {
    let flags = host.path("/etc/default/npd");
    let changed = fs::read_to_string(&flags).context("cannot read the flags")?;
    let before = host.agent()?;
    host.run("dpkg", &["--install", "/npd.deb"])?;
    wait_for_status(host)?;
    ensure!(fs::read_to_string(&flags).context("cannot read the flags")? == changed, "the flags are not as they were");
    ensure!(host.agent()? != before, "the old agent runs still");
    Ok(())
}

fn stop(host: &Host) -> Result<()> {
    host.run("systemctl", &["stop", "npd"])?;
    let (state, result) = (host.property("ActiveState")?, host.property("Result")?);
    let code = host.property("ExecMainStatus")?;
    ensure!((&*state, &*result, &*code) == ("inactive", "success", "0"), "{state}, {result}, {code}");
    Ok(())
}

fn removed(host: &Host) -> Result<()> {
    host.run("dpkg", &["--remove", "npd"])?;
    ensure!(!host.path("/usr/bin/npd-agent").exists(), "the program is there still");
    for path in ["/etc/npd/kernel-monitor.json", "/etc/default/npd", "/var/lib/npd"] {
        ensure!(host.path(path).exists(), "{path} is gone");
    }
    Ok(())
}

fn purged(host: &Host) -> Result<()> {
    // What the tests have made, as an administrator would.
    fs::remove_dir_all(host.path("/etc/systemd/system/npd.service.d")).context("cannot remove the drop-in")?;
    host.run("dpkg", &["--purge", "npd"])?;
    let mut left = Vec::new();
    for folder in ["/etc", "/usr", "/var/lib"] {
        named_after_npd(&host.path(folder), &mut left)?;
    }
    ensure!(left.is_empty(), "left are {left:?}");
    Ok(())
}

fn named_after_npd(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("npd") {
            found.push(entry.path());
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            named_after_npd(&entry.path(), found)?;
        }
    }
    Ok(())
}
