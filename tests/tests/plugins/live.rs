//! What becomes of results.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use anyhow::{Context, Result, ensure};
use npd_tests::driver::{
    agent::{Agent, Setup},
    suite::Suite,
};

use super::{Plugins, runs, wait_for_runs};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("live: {claim}"), run);
    test("a condition follows its plugin as node-problem-detector's does, but for the reason of Unknown", toggle);
    test("what cannot be run or takes too long is not counted as the problem", not_the_problem);
    test("one failing and one passing rule of a condition do not make it flap", no_flapping);
    test("a line of JSON gives reason, message and labels", protocol);
    test("a plugin that others can change is refused, unless that is allowed", insecure);
    test("a restart is no news", restart);
    test("a changed file is used with what was known, and a broken one changes nothing", reload);
    test("readiness says which plugin cannot be run", readiness);
    test("with skip_initial_status nothing is said before it is known", skip_initial_status);
}

/// A rule whose script ends as the file `code` says.
fn toggled(plugins: Plugins) -> Result<Plugins> {
    fs::write(plugins.folder.join("code"), "0").context("cannot write the code")?;
    let script = format!("read code < {}/code\necho \"code $code\"\nexit $code", plugins.folder.display());
    plugins.permanent("IsBad", &script)
}

/// Has the plugin end with another code, of which it never sees half.
fn set_code(agent: &Agent, code: i32) -> Result<()> {
    let folder = agent.folder();
    fs::write(folder.join("next"), format!("{code}\n")).context("cannot write the code")?;
    fs::rename(folder.join("next"), folder.join("code")).context("cannot set the code")
}

fn gauge(agent: &Agent) -> Result<Option<f64>> {
    Ok(agent.metrics()?.value("problem_gauge", &[("reason", "IsBad"), ("type", "Bad")]))
}

fn toggle() -> Result<()> {
    let setup = Setup::new()?;
    let agent = toggled(Plugins::of(&setup))?.give(setup)?.start()?;
    wait_for_runs(&agent, "IsBad", "ok", 2.0)?;
    ensure!(agent.problems().is_empty(), "{:?}", agent.problems());
    ensure!(gauge(&agent)? == Some(0.0), "the gauge");
    let mut told = 0;
    for (code, outcome, reason, severity, status, text) in [
        (1, "problem", "IsBad", "warn", "True", "code 1"),
        (2, "unknown", "CheckUnknown", "info", "Unknown", "code 2"),
        (0, "ok", "Good", "info", "False", "all is well"),
    ] {
        set_code(&agent, code)?;
        wait_for_runs(&agent, "IsBad", outcome, 3.0)?;
        told += 1;
        let problems = agent.problems();
        ensure!(problems.len() == told, "one event each: {problems:?}");
        let last = &problems[told - 1];
        ensure!(last.reason == reason && last.severity == severity && last.source == "test", "{last:?}");
        ensure!(last.status.as_deref() == Some(status) && last.condition.as_deref() == Some("Bad"), "{last:?}");
        let expected = format!("Node condition Bad is now: {status}, reason: {reason}, message: \"{text}\"");
        ensure!(last.text == expected, "{last:?}");
        ensure!(gauge(&agent)? == Some(f64::from(u8::from(code == 1))), "the gauge at {code}");
    }
    let metrics = agent.metrics()?;
    ensure!(metrics.value("problem_counter", &[("reason", "IsBad")]) == Some(1.0), "it is counted once");
    ensure!(metrics.series("problem_counter").len() == 1, "nothing else is: {:?}", metrics.series("problem_counter"));
    let durations = metrics.value("npd_plugin_duration_seconds_count", &[("rule", "test/IsBad")]);
    ensure!(durations.is_some_and(|count| count >= 11.0), "{durations:?} durations");
    agent.stop()?;
    Ok(())
}

fn not_the_problem() -> Result<()> {
    let setup = Setup::new()?;
    let long = "head -c 5000 /dev/zero | tr '\\0' x; exit 1";
    let plugins = Plugins::of(&setup).with("timeout", "200ms").temporary("Long", long)?;
    let plugins = plugins.temporary("Slow", "sleep 100")?.temporary("Odd", "exit 7")?.temporary("NoExec", "exit 1")?;
    fs::set_permissions(setup.folder().join("NoExec.sh"), Permissions::from_mode(0o644))?;
    let agent = plugins.give(setup)?.start()?;
    for (reason, outcome) in [("Long", "problem"), ("Slow", "timeout"), ("Odd", "unknown"), ("NoExec", "error")] {
        wait_for_runs(&agent, reason, outcome, 2.0)?;
    }
    let long = agent.reported("Long");
    ensure!(long.len() >= 2 && long[0].text == "x".repeat(80), "each run is told of, and cut: {long:?}");
    for (reason, text) in [
        ("CheckTimeout", "there is Slow: Timeout when running plugin \""),
        ("CheckUnknown", "there is Odd: "),
        ("CheckError", "there is NoExec: Error in starting plugin: Permission denied"),
    ] {
        let told = agent.reported(reason);
        ensure!(told.len() == 1 && told[0].severity == "info" && told[0].text.contains(text), "{reason}: {told:?}");
    }
    let metrics = agent.metrics()?;
    for reason in ["Slow", "Odd", "NoExec"] {
        ensure!(metrics.value("problem_counter", &[("reason", reason)]) == Some(0.0), "{reason} is counted");
    }
    agent.stop()?;
    Ok(())
}

fn no_flapping() -> Result<()> {
    let setup = Setup::new()?;
    let plugins = Plugins::of(&setup).permanent("IsBad", "echo bad; exit 1")?.permanent("IsAwful", "exit 0")?;
    let agent = plugins.give(setup)?.start()?;
    wait_for_runs(&agent, "IsBad", "problem", 10.0)?;
    wait_for_runs(&agent, "IsAwful", "ok", 10.0)?;
    ensure!(agent.problems().len() == 1, "{:?}", agent.problems());
    let conditions = agent.page("/conditions")?.body;
    ensure!(conditions.contains(r#""status":"True""#) && conditions.contains(r#""reason":"IsBad""#), "{conditions}");
    agent.stop()?;
    Ok(())
}

fn protocol() -> Result<()> {
    let setup = Setup::new()?;
    let line = r#"{"status": "problem", "reason": "DiskGone", "message": "sda is gone", "labels": {"dev": "sda"}}"#;
    let agent =
        Plugins::of(&setup).temporary("IsBad", &format!("echo looking\necho '{line}'"))?.give(setup)?.start()?;
    let told = agent.wait_for_reports("DiskGone", 1)?.remove(0);
    ensure!(told.text == "sda is gone" && told.field("dev") == Some("sda") && told.severity == "warn", "{told:?}");
    agent.stop()?;
    Ok(())
}

fn insecure() -> Result<()> {
    let setup = Setup::new()?;
    let plugins = Plugins::of(&setup).permanent("IsBad", "echo it ran; exit 1")?;
    let script = setup.folder().join("IsBad.sh");
    fs::set_permissions(&script, Permissions::from_mode(0o777))?;
    let setup = plugins.give(setup)?;
    let agent = setup.clone().start()?;
    let told = agent.wait_for_reports("CheckRefused", 1)?.remove(0);
    let why = format!("anybody can write to {}", script.display());
    ensure!(told.status.as_deref() == Some("Unknown") && told.text.contains(&why), "{told:?}");
    let warned = agent.log_lines().into_iter().filter(|line| line.level() == "WARN" && line.message() == "plugin run");
    ensure!(warned.count() == 1, "it is logged once");
    // It is looked at before each run.
    fs::set_permissions(&script, Permissions::from_mode(0o755))?;
    agent.wait_for_reports("IsBad", 1)?;
    agent.stop()?;

    fs::set_permissions(&script, Permissions::from_mode(0o777))?;
    let agent = setup.arg("--allow-insecure-plugins").start()?;
    let told = agent.wait_for_reports("IsBad", 1)?.remove(0);
    ensure!(told.text.contains("it ran"), "{told:?}");
    agent.stop()?;
    Ok(())
}

fn restart() -> Result<()> {
    let setup = Setup::new()?.stateful();
    let setup = toggled(Plugins::of(&setup))?.give(setup)?;
    let agent = setup.clone().start()?;
    set_code(&agent, 1)?;
    agent.wait_for_reports("IsBad", 1)?;
    let before = agent.page("/conditions")?.body;
    ensure!(before.contains(r#""status":"True""#), "{before}");
    agent.stop()?;
    let agent = setup.start()?;
    ensure!(agent.page("/conditions")?.body == before, "the condition is not what it was");
    wait_for_runs(&agent, "IsBad", "problem", 3.0)?;
    ensure!(agent.problems().is_empty(), "{:?}", agent.problems());
    ensure!(gauge(&agent)? == Some(1.0), "the gauge");
    agent.stop()?;
    Ok(())
}

fn reload() -> Result<()> {
    let setup = Setup::new()?;
    let plugins = toggled(Plugins::of(&setup))?;
    let agent = plugins.give(setup)?.start()?;
    set_code(&agent, 1)?;
    agent.wait_for_reports("IsBad", 1)?;
    let file = plugins.write()?;
    plugins.clone().temporary("Other", "echo other; exit 1")?.write()?;
    agent.wait_for_reports("Other", 2)?;
    wait_for_runs(&agent, "IsBad", "problem", 2.0)?;
    ensure!(agent.reported("IsBad").len() == 1, "the condition is known: {:?}", agent.problems());
    fs::write(&file, r#"{"plugin": "custom", "pluginConfig": {"concurrency": 0}}"#)?;
    let told = agent.wait_for_reports("InvalidMonitorConfig", 1)?.remove(0);
    ensure!(told.source == "test" && told.text.contains("a concurrency of 0 is not valid"), "{told:?}");
    wait_for_runs(&agent, "IsBad", "problem", 2.0)?;
    let conditions = agent.page("/conditions")?.body;
    ensure!(conditions.contains(r#""status":"True""#), "{conditions}");
    agent.stop()?;
    Ok(())
}

fn readiness() -> Result<()> {
    let setup = Setup::new()?;
    let agent = toggled(Plugins::of(&setup))?.give(setup)?.start()?;
    wait_for_runs(&agent, "IsBad", "ok", 1.0)?;
    let ready = agent.page("/readyz")?;
    ensure!(
        ready.status == 200 && ready.body.contains("[+] plugins ") && agent.page("/healthz")?.status == 200,
        "{ready:?}"
    );
    let script = agent.folder().join("IsBad.sh");
    fs::rename(&script, agent.folder().join("away"))?;
    wait_for_runs(&agent, "IsBad", "error", 1.0)?;
    let ready = agent.page("/readyz")?;
    ensure!(
        ready.status == 503 && ready.body.contains("test/IsBad: Error in starting plugin: No such file"),
        "{ready:?}"
    );
    fs::rename(agent.folder().join("away"), &script)?;
    wait_for_runs(&agent, "IsBad", "ok", 1.0)?;
    ensure!(agent.page("/readyz")?.status == 200, "{:?}", agent.page("/readyz")?);
    agent.stop()?;
    Ok(())
}

fn skip_initial_status() -> Result<()> {
    let setup = Setup::new()?;
    let wait = format!("until test -e {}/go; do sleep 0.01; done", setup.folder().display());
    let plugins = Plugins::of(&setup).with("skip_initial_status", true).permanent("IsBad", &wait)?;
    let agent = plugins.give(setup)?.start()?;
    ensure!(agent.page("/conditions")?.body == "[]", "{:?}", agent.page("/conditions")?);
    fs::write(agent.folder().join("go"), "")?;
    agent.wait_for_metrics("a run", |metrics| (runs(metrics, "IsBad", "ok") > 0.0).then_some(()))?;
    ensure!(agent.page("/conditions")?.body.contains("\"Good\""), "{:?}", agent.page("/conditions")?);
    agent.stop()?;
    Ok(())
}
