//! The same checks inside the agent: no process, and the same results.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use npd_tests::driver::{
    agent::{Agent, Setup},
    suite::Suite,
};
use serde_json::{Value, json};

use crate::{
    http::{Answer, HttpServer},
    program::HealthChecker,
};

pub(crate) fn add(suite: &mut Suite) {
    suite.test("built-in: a component is what health-checker says it is, and no process is started", same);
    suite.test("built-in: a limit holds its condition from its threshold on", limit);
}

/// A health monitor with one rule for the condition `Bad`, asked ten times a second.
fn monitor(check: &str, args: &[&str]) -> Value {
    json!({
        "plugin": "health", "source": "test",
        "pluginConfig": {"invoke_interval": "100ms", "timeout": "5s", "max_output_length": 500},
        "conditions": [{"type": "Bad", "reason": "Good", "message": "all is well"}],
        "rules": [{"type": "permanent", "condition": "Bad", "reason": "IsBad", "check": check, "args": args}],
    })
}

fn write(path: &Path, monitor: &Value) -> Result<()> {
    fs::write(path, monitor.to_string()).with_context(|| format!("cannot write {}", path.display()))
}

fn start(monitor: &Value) -> Result<Agent> {
    let setup = Setup::new()?;
    let path = setup.folder().join("health.json");
    write(&path, monitor)?;
    setup.arg(format!("--config.custom-plugin-monitor={}", path.display())).start()
}

/// Waits until the check has run with this outcome.
fn wait_for(agent: &Agent, outcome: &str) -> Result<()> {
    agent.wait_for_metrics(outcome, |metrics| {
        metrics.value("npd_plugin_runs_total", &[("outcome", outcome)]).filter(|runs| *runs >= 3.0).map(|_| ())
    })
}

/// The children of all threads of a process.
fn children(pid: u32) -> Result<String> {
    let mut children = String::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("no threads")? {
        // A thread may end while we look.
        children += &fs::read_to_string(task?.path().join("children")).unwrap_or_default();
    }
    Ok(children)
}

fn same() -> Result<()> {
    for (answer, outcome) in
        [(Some(Answer::Status(200)), "ok"), (Some(Answer::Status(500)), "problem"), (None, "unknown")]
    {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let socket = folder.path().join("docker.sock");
        let _server = answer.map(|answer| HttpServer::unix(&socket, answer)).transpose()?;
        let flag = format!("--docker-socket-path=unix://{}", socket.display());
        let args = ["--enable-repair=false", flag.as_str()];
        let program = HealthChecker::new(&[&["--component=docker"], &args[..]].concat())?.run()?;
        let agent = start(&monitor("docker", &args))?;
        wait_for(&agent, outcome)?;
        ensure!(children(agent.pid())?.is_empty(), "the agent has children");
        let problems = agent.problems();
        match outcome {
            "ok" => {
                program.expect_healthy()?;
                ensure!(problems.is_empty(), "{problems:?}");
            }
            "problem" => {
                program.expect_unhealthy("docker", "docker", false)?;
                let text = format!("is now: True, reason: IsBad, message: \"{}\"", program.stdout.trim_end());
                ensure!(problems.len() == 1 && problems[0].text.ends_with(&text), "{program:?} {problems:?}");
            }
            _ => {
                program.expect_unknown("docker", "docker.sock")?;
                let text = "is now: Unknown, reason: CheckUnknown, message: \"error checking docker health: ";
                ensure!(problems.len() == 1 && problems[0].text.contains(text), "{problems:?}");
            }
        }
        agent.stop()?;
    }
    Ok(())
}

fn limit() -> Result<()> {
    let agent = start(&monitor("processes", &["--threshold=0"]))?;
    let reported = agent.wait_for_reports("IsBad", 1)?;
    ensure!(reported[0].text.contains("processes and threads are in use: "), "{reported:?}");
    write(&agent.folder().join("health.json"), &monitor("processes", &["--threshold=100"]))?;
    let good = agent.wait_for_reports("Good", 1)?;
    ensure!(good[0].text.ends_with("is now: False, reason: Good, message: \"all is well\""), "{good:?}");
    agent.stop()?;
    Ok(())
}
