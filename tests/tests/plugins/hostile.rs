//! Plugins that misbehave: each beside one that behaves, which goes on running meanwhile, and within bounds of memory.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, Setup, sandbox::Sandbox},
        poll::{self, SOON},
        suite::{Suite, need, skip},
    },
    host::fault::hung_task::Freezable,
    nonce,
};
use rustix::process::{Pid, Signal, kill_process};

use super::{Plugins, runs, wait_for_runs};

/// What the agent may take more, whatever a plugin does.
const MEMORY: u64 = 8 << 20;

/// How long a stop may take.
const STOP: Duration = Duration::from_secs(2);

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("hostile: {claim}"), run);
    test("one that leaves a child with its pipes behind", keeps_pipes);
    test("one that leaves a daemon behind", daemon);
    test("one that floods both its pipes", flood);
    test("one that writes binary without end", binary);
    test("one that is stopped and does not take SIGTERM", stopped);
    test("one that multiplies as far as it may", fork_bomb);
    test("one that waits in the kernel for ever", hangs_in_the_kernel);
    test("one that stands still with all places taken", all_places);
    test("a stop ends all that runs within 2 s, and leaves no process behind", stop);
    test("orphans are reaped where the agent is the first process", orphans);
}

/// An agent with a plugin that behaves, and this one.
fn beside(timeout: &str, script: &str) -> Result<Agent> {
    let setup = Setup::new()?;
    let script = script.replace("$FOLDER", &setup.folder().display().to_string());
    let plugins = Plugins::of(&setup).with("timeout", timeout).temporary("Witness", "exit 0")?;
    plugins.temporary("Hostile", &script)?.give(setup)?.start()
}

/// Waits for so many runs of the one that misbehaves, and checks that the other goes on and that memory is bounded.
fn goes_on(agent: &Agent, outcome: &str, more: f64) -> Result<()> {
    wait_for_runs(agent, "Witness", "ok", 1.0)?;
    let (before, began) = (agent.usage()?.resident.anonymous, Instant::now());
    let witness = runs(&agent.metrics()?, "Witness", "ok");
    wait_for_runs(agent, "Hostile", outcome, more)?;
    let took = began.elapsed().as_secs_f64();
    let seen = runs(&agent.metrics()?, "Witness", "ok") - witness;
    // It runs ten times a second; a busy machine may have it wait.
    ensure!(seen + 1.0 >= took * 3.0, "the other has run {seen} times in {took} s");
    let grown = agent.usage()?.resident.anonymous.saturating_sub(before);
    ensure!(grown < MEMORY, "{grown} bytes more");
    let healthy = agent.page("/healthz")?;
    ensure!(healthy.status == 200, "{healthy:?}");
    Ok(())
}

/// The process ids that a plugin has written, one a line.
fn pids(path: &Path) -> Vec<i32> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Running or waiting; a zombie has ended.
fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

fn kill(pids: &[i32]) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // It may have ended.
        let _sent = kill_process(pid, Signal::KILL);
    }
}

fn keeps_pipes() -> Result<()> {
    let agent = beside("5s", "sleep 1000 & echo $! >> $FOLDER/pids; echo there it is; exit 1")?;
    let told = goes_on(&agent, "problem", 5.0);
    kill(&pids(&agent.folder().join("pids")));
    told?;
    let told = agent.reported("Hostile");
    ensure!(told.iter().all(|problem| problem.text == "there it is"), "{told:?}");
    agent.stop()?;
    Ok(())
}

fn daemon() -> Result<()> {
    // It outlives the agent and its folder.
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let file = folder.path().join("pids");
    let sleep = format!("echo $$ >> {}; exec sleep 1000", file.display());
    let agent = beside("5s", &format!("setsid sh -c '{sleep}' < /dev/null > /dev/null 2>&1 &\nexit 1"))?;
    let told = goes_on(&agent, "problem", 5.0);
    // As with node-problem-detector: what a plugin starts to stay, stays.
    let lives = poll::wait_until("a daemon", SOON, || pids(&file).iter().any(|pid| is_alive(*pid)));
    agent.stop()?;
    kill(&pids(&file));
    told.and(lives)
}

fn flood() -> Result<()> {
    let agent = beside("1s", "yes 'a flood' >&2 &\nyes 'another flood'")?;
    goes_on(&agent, "timeout", 2.0)?;
    let before = agent.usage()?;
    poll::pause(Duration::from_secs(2));
    let spent = agent.usage()?.since(&before).cpu;
    ensure!(spent < Duration::from_millis(600), "the flood costs {spent:?} in 2 s");
    agent.stop()?;
    Ok(())
}

fn binary() -> Result<()> {
    let agent = beside("500ms", "cat /dev/urandom")?;
    goes_on(&agent, "timeout", 2.0)?;
    let all_json = agent.log_lines().iter().all(npd_tests::driver::agent::log::Line::is_json);
    ensure!(all_json, "the log is broken");
    agent.stop()?;
    Ok(())
}

fn stopped() -> Result<()> {
    let agent = beside("300ms", "trap '' TERM; echo $$ >> $FOLDER/pids; kill -STOP $$")?;
    goes_on(&agent, "timeout", 2.0)?;
    let ran = pids(&agent.folder().join("pids"));
    ensure!(ran.len() >= 2, "it did not run");
    let still = ran.iter().filter(|pid| is_alive(**pid)).count();
    ensure!(still <= 1, "{still} are alive, and only one can be running");
    agent.stop()?;
    poll::wait_until("its end", SOON, || !ran.iter().any(|pid| is_alive(*pid)))
}

/// A cgroup of the pids controller; removed when dropped.
struct PidsCgroup(PathBuf);

impl PidsCgroup {
    fn new(most: u32) -> Result<Self> {
        let parents = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new);
        for parent in parents {
            let path = parent.join(format!("npd-test-{}", nonce()));
            if fs::create_dir(&path).is_ok() {
                let cgroup = Self(path);
                if fs::write(cgroup.0.join("pids.max"), most.to_string()).is_ok() {
                    return Ok(cgroup);
                }
            }
        }
        Err(skip("needs a pids cgroup controller, v1 or v2"))
    }

    fn processes(&self) -> Vec<i32> {
        pids(&self.0.join("cgroup.procs"))
    }
}

impl Drop for PidsCgroup {
    fn drop(&mut self) {
        let emptied = poll::wait_until("an empty cgroup", SOON, || {
            kill(&self.processes());
            self.processes().is_empty()
        });
        // A group that is not empty stays, and the test has failed anyway.
        drop(emptied.and_then(|()| fs::remove_dir(&self.0).context("cannot remove a cgroup")));
    }
}

fn fork_bomb() -> Result<()> {
    need::root()?;
    let cgroup = PidsCgroup::new(300)?;
    // A shell that cannot fork ends; those that could stay.
    let bomb = "bomb() { bomb & bomb & exec sleep 1000; }\nbomb";
    let bomb = format!("echo $$ > {}/cgroup.procs\n{bomb}", cgroup.0.display());
    let agent = beside("1s", &bomb)?;
    let most = std::cell::Cell::new(0);
    agent.wait_for_metrics("the first end", |metrics| {
        most.set(most.get().max(cgroup.processes().len()));
        (runs(metrics, "Hostile", "timeout") >= 1.0).then_some(())
    })?;
    ensure!(most.get() > 100, "it was no bomb: {} processes", most.get());
    goes_on(&agent, "timeout", 1.0)?;
    agent.stop()?;
    poll::wait_until("the end of all its processes", SOON, || cgroup.processes().is_empty())
}

fn hangs_in_the_kernel() -> Result<()> {
    need::ext4()?;
    let frozen = Freezable::mount()?;
    let script = format!("echo $$ >> $FOLDER/pids; echo x > {}/x", frozen.path().display());
    frozen.freeze()?;
    let agent = beside("300ms", &script)?;
    goes_on(&agent, "stuck", 1.0)?;
    let file = agent.folder().join("pids");
    ensure!(pids(&file).len() == 1 && state(pids(&file)[0]) == Some('D'), "{:?}", pids(&file));
    wait_for_runs(&agent, "Witness", "ok", 20.0)?;
    ensure!(pids(&file).len() == 1, "it was run again: {:?}", pids(&file));
    let told = agent.reported("CheckStuck");
    ensure!(told.len() == 1 && told[0].text.contains("hangs in the kernel"), "{told:?}");
    ensure!(agent.page("/readyz")?.status == 503, "it is ready");
    frozen.thaw()?;
    wait_for_runs(&agent, "Hostile", "ok", 1.0)?;
    ensure!(agent.page("/readyz")?.status == 200, "it is not ready again");
    ensure!(!is_alive(pids(&file)[0]), "the first one is still there");

    frozen.freeze()?;
    wait_for_runs(&agent, "Hostile", "stuck", 1.0)?;
    let ended = agent.stop_with(Signal::TERM)?;
    ensure!(ended.code == 0 && ended.took < STOP, "{} after {:?}", ended.code, ended.took);
    frozen.thaw()
}

/// Only a place can be waited for, and each is free again after the timeout.
fn all_places() -> Result<()> {
    let setup = Setup::new()?;
    let plugins = Plugins::of(&setup).with("timeout", "200ms").with("concurrency", 1).temporary("Witness", "exit 0")?;
    let agent = plugins.temporary("Hostile", "sleep 1000")?.give(setup)?.start()?;
    wait_for_runs(&agent, "Hostile", "timeout", 3.0)?;
    wait_for_runs(&agent, "Witness", "ok", 3.0)?;
    agent.stop()?;
    Ok(())
}

fn stop() -> Result<()> {
    let setup = Setup::new()?;
    let folder = setup.folder().display().to_string();
    let mut plugins = Plugins::of(&setup).with("timeout", "100s").with("concurrency", 10);
    for number in 0..10 {
        // Half of them do not take SIGTERM, and neither do their children.
        let trap = if number % 2 == 0 { "trap '' TERM; " } else { "" };
        let script = format!(
            "{trap}sleep 1000 & echo $! >> {folder}/pids{number}; echo $$ >> {folder}/pids{number}; wait; wait; sleep 1000"
        );
        plugins = plugins.temporary(&format!("R{number}"), &script)?;
    }
    let agent = plugins.give(setup)?.start()?;
    let files: Vec<_> = (0..10).map(|number| agent.folder().join(format!("pids{number}"))).collect();
    poll::wait_until("all to run", SOON, || files.iter().all(|file| pids(file).len() == 2))?;
    let running: Vec<_> = files.iter().flat_map(|file| pids(file)).collect();
    ensure!(running.iter().all(|pid| is_alive(*pid)), "not all run");
    let ended = agent.stop_with(Signal::TERM)?;
    ensure!(ended.code == 0 && ended.took < STOP, "{} after {:?}", ended.code, ended.took);
    // SIGKILL was sent to all; dying takes a moment.
    let gone = poll::wait_until("the end of all", Duration::from_secs(1), || !running.iter().any(|pid| is_alive(*pid)));
    kill(&running);
    gone
}

fn orphans() -> Result<()> {
    need::root()?;
    need::tool("unshare")?;
    let setup = Setup::new()?.sandbox(Sandbox::first_process());
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do (setsid sleep 0.3 &); done > /dev/null 2>&1";
    let plugins = Plugins::of(&setup).with("invoke_interval", "1h").temporary("Orphans", script)?;
    let agent = plugins.give(setup)?.start()?;
    // The process that the test knows is the agent's parent.
    let first = *children(agent.pid())?.first().context("unshare has no child")?;
    let zombies = || {
        let all = children(first.unsigned_abs()).unwrap_or_default();
        all.into_iter().filter(|pid| state(*pid) == Some('Z')).count()
    };
    poll::wait_until("zombies", SOON, || zombies() > 0)?;
    poll::wait_until("no zombies", SOON, || zombies() == 0)?;
    ensure!(is_alive(first), "the agent has ended");
    wait_for_runs(&agent, "Orphans", "ok", 0.0)
}

/// The children of a process.
fn children(parent: u32) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let name = entry.context("cannot list /proc")?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').nth(1).unwrap_or_default().to_owned());
        if fields.is_some_and(|ppid| ppid == parent.to_string()) {
            found.push(pid);
        }
    }
    Ok(found)
}
