//! `"plugin": "journald"`, on a journald of the test's own.

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        agent::Setup,
        monitor::Monitor,
        suite::{Suite, skip},
    },
    host::journald_namespace::{self, JournaldNamespace},
};

use super::expect_texts;

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| {
        suite.test(format!("journald: {claim}"), move || match journald_namespace::missing() {
            Some(what) => Err(skip(what)),
            None => run(),
        });
    };
    test("problems of one identifier are reported, past and live, those of others are not", reported);
    test("nothing is lost or repeated over rotation, vacuum and a restart of the agent", rotation);
    test("a journal that is not there yet is waited for", appears_later);
}

fn reported() -> Result<()> {
    let journal = JournaldNamespace::start("Storage=persistent").context("cannot start journald")?;
    journal.log("appd", "bad before")?;
    journal.log("other", "bad of another")?;
    journal.journalctl(&["--sync"])?;
    let monitor = Monitor::journal("app-monitor", &journal.persistent_folder(), "appd").rule("Bad", "bad .*");
    let agent = Setup::new()?.monitor(&monitor)?.start()?;
    journal.log("other", "bad of another")?;
    journal.send(&[("SYSLOG_IDENTIFIER", b"appd"), ("MESSAGE", b"  bad live\n"), ("PRIORITY", b"3")])?;
    let problems = agent.wait_for_reports("Bad", 2)?;
    ensure!(problems[1].field("identifier") == Some("appd"), "{problems:?}");
    expect_texts(&agent.problems(), &["bad before", "bad live"])
}

fn rotation() -> Result<()> {
    let journal = JournaldNamespace::start("Storage=persistent").context("cannot start journald")?;
    journal.log("appd", "bad 0")?;
    let monitor = Monitor::journal("app-monitor", &journal.persistent_folder(), "appd").rule("Bad", "bad .*");
    let setup = Setup::new()?.stateful().monitor(&monitor)?;
    let agent = setup.clone().start()?;
    agent.wait_for_reports("Bad", 1)?;
    journal.journalctl(&["--rotate"])?;
    journal.log("appd", "bad 1")?;
    agent.wait_for_reports("Bad", 2)?;
    agent.stop()?;
    journal.log("appd", "bad 2")?;
    journal.journalctl(&["--rotate"])?;
    journal.log("appd", "bad 3")?;
    let agent = setup.start()?;
    agent.wait_for_reports("Bad", 2)?;
    journal.journalctl(&["--rotate"])?;
    journal.journalctl(&["--vacuum-files=1"])?;
    journal.log("appd", "bad 4")?;
    agent.wait_for_reports("Bad", 3)?;
    expect_texts(&agent.problems(), &["bad 2", "bad 3", "bad 4"])
}

fn appears_later() -> Result<()> {
    let setup = Setup::new()?;
    let folder = setup.folder().join("journal");
    let monitor = Monitor::journal("app-monitor", &folder, "appd").rule("Bad", "bad .*");
    let agent = setup.monitor(&monitor)?.start()?;
    let up = agent.metrics()?.value("npd_source_up", &[("source", "journald:appd")]);
    ensure!(up == Some(0.0), "npd_source_up is {up:?}");
    let journal = JournaldNamespace::start("Storage=persistent").context("cannot start journald")?;
    journal.log("appd", "bad thing")?;
    journal.journalctl(&["--sync"])?;
    std::os::unix::fs::symlink(journal.persistent_folder(), &folder).context("cannot link")?;
    agent.wait_for_reports("Bad", 1)?;
    Ok(())
}
