//! An agent that is not root: what the capabilities of its file are good for, and what they are not.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        agent::{
            Setup,
            problem::Problem,
            sandbox::{Sandbox, Withheld},
        },
        poll::SOON,
        process,
        suite::{Suite, need},
    },
    host::fault::hung_task::HungTask,
};
use serde_json::json;

use super::kernel_monitor;

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| {
        suite.test(format!("file capabilities: {claim}"), move || {
            need::probes()?;
            need::tool("setpriv")?;
            need::tool("setcap")?;
            run()
        });
    };
    test("any user loads the probe of printk, and sees no tracepoint that only tracefs describes", features);
    test("any user without /dev/kmsg is told of a hung task, in mode probe", || {
        hung_task(Sandbox::without([Withheld::Kmsg]), "probe")
    });
    test("any user with /dev/kmsg, which only root can write, is told of it in mode doorbell", || {
        hung_task(Sandbox::default(), "doorbell")
    });
    test("plugins get none of them", plugin);
    test("where they are not allowed the program starts, and names what is missing", not_allowed);
}

/// The state of a probe in the table of `npd-agent features`.
fn state(table: &str, probe: &str) -> Result<String> {
    let row = table.lines().find(|line| line.starts_with(probe)).with_context(|| format!("no {probe} in\n{table}"))?;
    Ok(row.split_whitespace().nth(2).context("a row without a state")?.to_owned())
}

fn table(sandbox: Sandbox) -> Result<String> {
    let output = Setup::bare()?.arg("features").sandbox(sandbox).output()?;
    let (table, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "it ends with {}: {said}", output.status);
    Ok(table.into_owned())
}

fn features() -> Result<()> {
    let table = table(Sandbox::default().file_capabilities())?;
    ensure!(state(&table, "printk")? == "active", "{table}");
    ensure!(state(&table, "hung_task")? == "forbidden", "{table}");
    Ok(())
}

fn hung_task(sandbox: Sandbox, mode: &str) -> Result<()> {
    need::hung_task_detector()?;
    let agent = Setup::new()?.monitor(&kernel_monitor())?.sandbox(sandbox.file_capabilities()).start()?;
    let modes = agent.kernel_log_modes();
    ensure!(modes == [mode], "the modes were {modes:?}");
    let task = HungTask::start(10)?;
    let line = format!("INFO: task npd-hang:{} blocked for more than 2 seconds.", task.pid());
    agent.log.wait(&line, SOON, |found| Problem::from_line(found).filter(|problem| problem.text == line).map(drop))
}

fn plugin() -> Result<()> {
    let setup = Setup::new()?;
    let path = setup.folder().join("capabilities.sh");
    fs::write(
        &path,
        "#!/bin/sh\ngrep -e ^Cap -e NoNewPrivs /proc/self/status | grep -v CapBnd | tr -d '\\n'; exit 1\n",
    )?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    let config = json!({
        "plugin": "custom", "source": "test",
        "pluginConfig": {"invoke_interval": "1s", "timeout": "5s", "max_output_length": 400},
        "rules": [{"type": "temporary", "reason": "Capabilities", "path": path}],
    });
    let file = setup.folder().join("plugins.json");
    fs::write(&file, config.to_string())?;
    let setup = setup.arg(format!("--config.custom-plugin-monitor={}", file.display())).monitor(&kernel_monitor())?;
    let agent = setup.sandbox(Sandbox::default().file_capabilities()).start()?;
    let reports = agent.wait_for_reports("Capabilities", 1)?;
    ensure!(process::capabilities(agent.pid(), "CapEff")? != 0, "the agent has none itself");
    // No file gives the plugin any either, not even the agent's.
    let (sets, no_new_privileges) = reports[0].text.split_once("NoNewPrivs:").context("no NoNewPrivs")?;
    ensure!(no_new_privileges.trim() == "1", "the plugin says {:?}", reports[0].text);
    let sets: Vec<_> = sets.split("Cap").filter_map(|set| set.split_once(':')).collect();
    ensure!(sets.len() == 4, "the plugin says {:?}", reports[0].text);
    ensure!(sets.iter().all(|(_, set)| set.trim() == "0000000000000000"), "the plugin has {sets:?}");
    Ok(())
}

fn not_allowed() -> Result<()> {
    let withheld = [Withheld::Bpf, Withheld::Perfmon, Withheld::Syslog];
    let table = table(Sandbox::without(withheld).file_capabilities())?;
    ensure!(state(&table, "printk")? == "forbidden" && table.contains("CAP_BPF is missing"), "{table}");
    Ok(())
}
