//! What the agent does when the kernel, a container runtime or an operator withholds something: the next best way,
//! named truthfully, and still every problem once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        agent::{
            Agent, Setup,
            sandbox::{Sandbox, Withheld},
        },
        monitor::Monitor,
        poll::{self, SOON},
        suite::{Suite, need, skip},
    },
    host::{
        fault::{block::CutDisk, memory_cgroup, setting::Setting},
        journald_namespace::{self, JournaldNamespace},
        kmsg,
    },
    nonce,
};

use super::{expect_count, kernel_monitor};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| {
        suite.test(format!("degrees: {claim}"), move || {
            need::probes()?;
            need::tool("setpriv")?;
            need::tool("unshare")?;
            run()
        });
    };
    test("with everything allowed the mode is probe+kmsg and printk's probe is active", everything);
    test("without CAP_BPF the mode is kmsg and every probe is forbidden", || no_probes(Withheld::Bpf));
    test("without CAP_PERFMON the mode is kmsg and every probe is forbidden", || no_probes(Withheld::Perfmon));
    test("--kernel-source=kmsg loads no probe", kmsg_asked_for);
    test("without tracefs printk's probe works still", no_tracefs);
    test("without BTF the kernel log is seen through the probe still", no_btf);
    test("without block_rq_error block errors are found at the requests' completion, each once", no_block_error);
    test("when /dev/kmsg cannot be read the mode is probe", unreadable_kmsg);
    test("when /dev/kmsg is missing the mode is probe", missing_kmsg);
    test("in mode probe a line that the kernel prints in pieces is whole", pieces_without_kmsg);
    test("with neither probes nor /dev/kmsg the agent ends and says why in one line", nothing);
    test("--kernel-source=ebpf does not start without CAP_BPF", ebpf_or_nothing);
    test("with neither probes nor /dev/kmsg the journal's copy of the kernel log is read", || journal("auto"));
    test("--kernel-source=journald reads the journal's copy of the kernel log", || journal("journald"));
    test("a restart in another mode neither loses nor repeats", another_mode);
}

/// Starts an agent, checks its mode in the log and the metrics, and that a line is reported once.
fn start(sandbox: Sandbox, modes: &[&str]) -> Result<Agent> {
    let word = nonce();
    let monitor = Monitor::kernel("line-monitor").rule("Line", &format!("npd-line {word}"));
    let agent = Setup::new()?.monitor(&monitor)?.sandbox(sandbox).start()?;
    kmsg::write(&format!("npd-line {word}"))?;
    agent.fence()?;
    expect_count("the line", &agent.reported("Line"), 1)?;
    let announced = agent.kernel_log_modes();
    let mode = announced.last().context("the agent does not say how it reads the kernel log")?;
    ensure!(modes.contains(&mode.as_str()), "the mode is {mode}, not one of {modes:?}");
    let metrics = agent.metrics()?;
    for (labels, value) in metrics.series("npd_kernel_log_mode") {
        let expected = f64::from(u8::from(labels == format!("mode=\"{mode}\"")));
        ensure!((value - expected).abs() < 0.5, "npd_kernel_log_mode{{{labels}}} is {value} in mode {mode}");
    }
    ensure!(metrics.value("npd_kernel_log_mode", &[("mode", mode)]) == Some(1.0), "mode {mode} has no series");
    Ok(agent)
}

/// The probes with a state of the wanted kind.
fn probes_with(agent: &Agent, wanted: &[&str]) -> Result<Vec<String>> {
    let mut probes = agent.metrics()?.series("npd_kernel_probe");
    ensure!(!probes.is_empty(), "there is no npd_kernel_probe");
    let fits = |labels: &str| wanted.iter().any(|state| labels.contains(&format!("state=\"{state}\"")));
    probes.retain(|(labels, value)| *value > 0.5 && fits(labels));
    Ok(probes.into_iter().map(|(labels, _)| labels).collect())
}

fn printk_is_active(agent: &Agent) -> Result<()> {
    let active = probes_with(agent, &["active"])?;
    ensure!(active.iter().any(|labels| labels.contains("printk")), "active are only {active:?}");
    Ok(())
}

fn everything() -> Result<()> {
    let agent = start(Sandbox::default(), &["probe+kmsg"])?;
    printk_is_active(&agent)?;
    let broken = probes_with(&agent, &["forbidden", "broken"])?;
    ensure!(broken.is_empty(), "{broken:?}");
    let seen = agent.metrics()?.series("npd_kernel_probe_seen_total");
    ensure!(seen.iter().any(|(labels, seen)| labels.contains("printk") && *seen > 0.5), "nothing seen: {seen:?}");
    // Either stream may be the first with a record.
    poll::wait_for("a record that came through the probe", SOON, || {
        kmsg::write("npd-line")?;
        let by_probe = agent.metrics()?.value("npd_kernel_records_total", &[("origin", "probe")]);
        Ok(by_probe.filter(|count| *count > 0.5).map(drop))
    })
}

fn no_probes(withheld: Withheld) -> Result<()> {
    let agent = start(Sandbox::without([withheld]), &["kmsg"])?;
    let active = probes_with(&agent, &["active"])?;
    ensure!(active.is_empty(), "active are {active:?}");
    let forbidden = probes_with(&agent, &["forbidden"])?;
    ensure!(forbidden.iter().any(|labels| labels.contains("printk")), "forbidden are only {forbidden:?}");
    Ok(())
}

fn kmsg_asked_for() -> Result<()> {
    let word = nonce();
    let monitor = Monitor::kernel("line-monitor").rule("Line", &format!("npd-line {word}"));
    let agent = Setup::new()?.monitor(&monitor)?.arg("--kernel-source=kmsg").start()?;
    kmsg::write(&format!("npd-line {word}"))?;
    agent.fence()?;
    expect_count("the line", &agent.reported("Line"), 1)?;
    ensure!(agent.kernel_log_modes() == ["kmsg"], "the modes were {:?}", agent.kernel_log_modes());
    let by_probe = agent.metrics()?.value("npd_kernel_records_total", &[("origin", "probe")]);
    ensure!(matches!(by_probe, None | Some(0.0)), "{by_probe:?} records came through the probe");
    Ok(())
}

fn no_tracefs() -> Result<()> {
    let agent = start(Sandbox::without([Withheld::Tracefs]), &["probe+kmsg"])?;
    printk_is_active(&agent)?;
    let refused = probes_with(&agent, &["unsupported", "forbidden"])?;
    ensure!(!refused.is_empty(), "no probe says that it lacks tracefs");
    Ok(())
}

fn no_btf() -> Result<()> {
    let agent = start(Sandbox::without([Withheld::Btf]), &["probe+kmsg", "doorbell"])?;
    printk_is_active(&agent)
}

fn no_block_error() -> Result<()> {
    need::loop_devices()?;
    let sandbox = Sandbox::without([Withheld::BlockError]);
    let agent = Setup::new()?.monitor(&kernel_monitor())?.sandbox(sandbox).start()?;
    let through =
        |line: &npd_tests::driver::agent::log::Line| line.text("why") == Some("through block:block_rq_complete");
    ensure!(agent.log_lines().iter().any(through), "the fallback is not in use");
    let disk = CutDisk::new()?;
    disk.fail(0..40)?;
    agent.wait_for_reports("IOError", 40)?;
    agent.fence()?;
    agent.fence()?;
    let mut reports = agent.reported("IOError");
    reports.retain(|problem| problem.field("dev") == Some(disk.name()));
    expect_count("40 errors", &reports, 40)
}

/// Makes `CAP_SYSLOG` matter.
fn restricted() -> Result<Setting> {
    Setting::set("/proc/sys/kernel/dmesg_restrict", "1")
}

fn unreadable_kmsg() -> Result<()> {
    let _restricted = restricted()?;
    let agent = start(Sandbox::without([Withheld::Syslog]), &["probe"])?;
    printk_is_active(&agent)
}

fn missing_kmsg() -> Result<()> {
    let agent = start(Sandbox::without([Withheld::Kmsg]), &["probe"])?;
    printk_is_active(&agent)
}

fn pieces_without_kmsg() -> Result<()> {
    need::memory_cgroup()?;
    let _restricted = restricted()?;
    let pattern = r"oom-kill:constraint=\w+,nodemask=\S+,cpuset=\S+,mems_allowed=\S+,oom_memcg=\S+,task_memcg=\S+,task=npd-oom,pid=\d+,uid=\d+";
    let monitor = Monitor::kernel("kernel-monitor").rule("Constraint", pattern);
    let agent = Setup::new()?.monitor(&monitor)?.sandbox(Sandbox::without([Withheld::Syslog])).start()?;
    let killed = memory_cgroup::kill_one()?;
    agent.wait_for_reports("Constraint", 1)?;
    agent.fence()?;
    let reports = agent.reported("Constraint");
    expect_count("one line", &reports, 1)?;
    let records = kmsg::all()?;
    let end = format!("task=npd-oom,pid={},uid=0", killed.pid);
    let record = records.iter().find(|record| record.text.ends_with(&end)).context("the kernel did not say it")?;
    ensure!(reports[0].text == record.text, "{:?} came as {:?}", record.text, reports[0].text);
    Ok(())
}

/// Runs an agent that cannot work and gives what it says at level ERROR.
fn refusal(setup: Setup) -> Result<Vec<String>> {
    let output = setup.output()?;
    ensure!(!output.status.success(), "the agent is content");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!text.contains("panicked"), "the agent panics:\n{text}");
    let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let errors = lines.filter(|line| line["level"] == "ERROR");
    Ok(errors.map(|line| line["message"].to_string() + &line["error"].to_string()).collect())
}

fn nothing() -> Result<()> {
    // The journal is the last resort, and it may have the kernel's messages.
    if std::path::Path::new("/run/systemd/journal/socket").exists() {
        return Err(skip("a journald runs here, which the agent may fall back to"));
    }
    let _restricted = restricted()?;
    let sandbox = Sandbox::without([Withheld::Bpf, Withheld::Syslog]);
    let errors = refusal(Setup::new()?.monitor(&Monitor::kernel("line-monitor"))?.sandbox(sandbox))?;
    ensure!(errors.len() == 1, "the agent says {errors:?}");
    ensure!(errors[0].contains("kmsg"), "the agent says {errors:?}");
    Ok(())
}

fn ebpf_or_nothing() -> Result<()> {
    let setup = Setup::new()?.monitor(&Monitor::kernel("line-monitor"))?.arg("--kernel-source=ebpf");
    let errors = refusal(setup.sandbox(Sandbox::without([Withheld::Bpf])))?;
    ensure!(errors.len() == 1 && errors[0].contains("CAP_BPF"), "the agent says {errors:?}");
    Ok(())
}

fn journal(source: &str) -> Result<()> {
    if let Some(what) = journald_namespace::missing() {
        return Err(skip(what));
    }
    let journal = JournaldNamespace::start_whole("Storage=volatile\nReadKMsg=yes").context("cannot start journald")?;
    let sandbox = Sandbox::without([Withheld::Bpf, Withheld::Kmsg]).beside(journal.pid());
    let setup = Setup::new()?.monitor(&Monitor::kernel("line-monitor"))?.arg(format!("--kernel-source={source}"));
    let agent = setup.sandbox(sandbox).start()?;
    agent.fence()?;
    let mode = agent.metrics()?.value("npd_kernel_log_mode", &[("mode", "journald")]);
    ensure!(mode == Some(1.0), "the mode journald is {mode:?}");
    Ok(())
}

/// From the probes to the journal, to the journal again, and back, with two monitors.
fn another_mode() -> Result<()> {
    if let Some(what) = journald_namespace::missing() {
        return Err(skip(what));
    }
    let journal = JournaldNamespace::start_whole("Storage=volatile\nReadKMsg=yes").context("cannot start journald")?;
    let word = nonce();
    let line = |number: u32| format!("npd-line {word} {number}");
    let setup = Setup::new()?
        .stateful()
        .monitor(&Monitor::kernel("first").rule("Line", &format!("npd-line {word} .*")))?
        .monitor(&Monitor::kernel("second").rule("Line", &format!("npd-line {word} .*")))?
        .sandbox(Sandbox::default().beside(journal.pid()));
    for (number, source) in (0..).zip(["auto", "journald", "journald", "auto"]) {
        kmsg::write(&line(number * 2))?;
        let agent = setup.clone().arg(format!("--kernel-source={source}")).start()?;
        kmsg::write(&line(number * 2 + 1))?;
        agent.fence()?;
        // The journal has the time at which journald took a record: the newest known one must be older than that.
        poll::pause(Duration::from_millis(200));
        agent.fence()?;
        let mut texts: Vec<_> = agent.reported("Line").into_iter().map(|problem| problem.text).collect();
        texts.sort();
        let new = |number| [line(number), line(number)];
        // The first start looks not back.
        let expected = if number == 0 { new(1).to_vec() } else { [new(number * 2), new(number * 2 + 1)].concat() };
        ensure!(texts == expected, "with {source}: {texts:?}, not {expected:?}");
        agent.stop()?;
    }
    Ok(())
}
