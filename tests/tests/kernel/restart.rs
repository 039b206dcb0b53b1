//! The agent is killed at any moment, again and again, while problems keep coming from all three kinds of source; or the
//! thread of a source dies and takes the agent with it.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, anyhow, ensure};
use jiff::Timestamp;
use npd_tests::{
    driver::{
        agent::{Agent, Setup, Stopped, problem::Problem},
        monitor::Monitor,
        poll, process,
        suite::{Suite, need, skip},
    },
    host::{
        fault::setting::Setting,
        journald_namespace::{self, JournaldNamespace},
        kmsg,
    },
    nonce,
};
use rustix::process::Signal;

use super::expect_count;

const KILLS: u32 = 50;
/// Between two lines of each stream.
const PACE: Duration = Duration::from_millis(4);
/// Every so-manieth line is a problem.
const EVERY: u32 = 3;
/// The agent lives up to so long; it is ready after some 50 ms.
const LIFE: u64 = 250;

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| {
        suite.test(format!("restart: {claim}"), move || {
            need::root()?;
            run()
        });
    };
    test("killed 50 times amid a steady stream, each problem of all sources is reported exactly once", killed);
    test("a source's thread that dies ends the agent; the next one loses nothing and repeats nothing", aborted);
    test("what was reported before a restart is not reported again, what came meanwhile is", meanwhile);
    test("conditions, their reasons and times survive kill -9", conditions);
    test("records that were overwritten while the agent was away are counted as lost", lost);
    test("a hung task is not news to an agent that was started anew", hung_task);
}

/// Writes numbered lines until it is told to stop, and says how many.
fn stream(stop: &Arc<AtomicBool>, mut write: impl FnMut(u32) -> Result<()> + Send + 'static) -> Stream {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let mut number = 0;
        while !stop.load(Ordering::SeqCst) {
            write(number)?;
            number += 1;
            poll::pause(PACE);
        }
        Ok(number)
    })
}

type Stream = thread::JoinHandle<Result<u32>>;

fn text(word: &str, kind: &str, number: u32) -> String {
    if number.is_multiple_of(EVERY) {
        format!("npd-steady {word} {kind} problem {}", number / EVERY)
    } else {
        format!("npd-steady {word} {kind} all is well {number}")
    }
}

fn append(path: &Path, line: &str) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path).context("cannot open the log")?;
    writeln!(file, "{} node app: {line}", Timestamp::now()).context("cannot write to the log")
}

/// The problems that one life of the agent has reported.
fn harvest(agent: Agent, reported: &mut Vec<Problem>) -> Result<()> {
    reported.extend(steady_problems(&agent.stop_with(Signal::KILL)?));
    Ok(())
}

fn steady_problems(stopped: &Stopped) -> impl Iterator<Item = Problem> {
    stopped.log.iter().filter_map(Problem::from_line).filter(|problem| problem.reason == "Steady")
}

/// Waits for the end of a stopped stream, and adds the problems that it has written, each reported zero times so far.
fn expect_problems(expected: &mut BTreeMap<String, u32>, word: &str, kind: &str, stream: Stream) -> Result<()> {
    let lines = stream.join().map_err(|_| anyhow!("the writer of {kind} panicked"))??;
    expected.extend((0..lines.div_ceil(EVERY)).map(|number| (text(word, kind, number * EVERY), 0)));
    Ok(())
}

/// Some number below `limit`; the seed is in the error of a test that fails.
fn random(state: &mut u64, limit: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % limit
}

fn killed() -> Result<()> {
    if let Some(what) = journald_namespace::missing() {
        return Err(skip(what));
    }
    let _unlimited = Setting::set("/proc/sys/kernel/printk_devkmsg", "on")?;
    let journal = Arc::new(JournaldNamespace::start("Storage=persistent").context("cannot start journald")?);
    let word = nonce();
    let setup = Setup::new()?.stateful();
    let log: PathBuf = setup.folder().join("app.log");
    append(&log, "the first line")?;
    let pattern = format!("npd-steady {word} \\w+ problem \\d+");
    let steady = |monitor: Monitor| monitor.rule("Steady", &pattern);
    let setup = setup
        .monitor(&steady(Monitor::kernel("kernel-monitor")))?
        .monitor(&steady(Monitor::file("file-monitor", &log)))?
        .monitor(&steady(Monitor::journal("journal-monitor", &journal.persistent_folder(), "appd")))?;
    // The first start says from where on problems count.
    setup.clone().start()?.stop()?;

    let stop = Arc::new(AtomicBool::new(false));
    let mut writer = kmsg::writer()?;
    let kernel_word = word.clone();
    let kernel =
        stream(&stop, move |n| kmsg::write_line(&mut writer, &format!("<6>{}\n", text(&kernel_word, "kmsg", n))));
    let (file_word, file_log) = (word.clone(), log.clone());
    let file = stream(&stop, move |number| {
        // Rotated now and then, as logrotate does it.
        if number % 97 == 96 {
            std::fs::rename(&file_log, file_log.with_extension(format!("log.{number}"))).context("cannot rotate")?;
        }
        append(&file_log, &text(&file_word, "file", number))
    });
    let (journal_word, namespace) = (word.clone(), Arc::clone(&journal));
    let socket = stream(&stop, move |number| {
        if number % 211 == 210 {
            namespace.journalctl(&["--rotate"])?;
        }
        Ok(namespace.log("appd", &text(&journal_word, "journal", number))?)
    });

    let mut reported = Vec::new();
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut state = seed;
    for _ in 0..KILLS {
        let agent = setup.clone().spawn()?;
        poll::pause(Duration::from_millis(random(&mut state, LIFE)));
        harvest(agent, &mut reported)?;
    }
    stop.store(true, Ordering::SeqCst);
    let mut expected = BTreeMap::new();
    for (kind, stream) in [("kmsg", kernel), ("file", file), ("journal", socket)] {
        expect_problems(&mut expected, &word, kind, stream)?;
    }
    reported_exactly_once(setup, reported, expected, KILLS).with_context(|| format!("seed {seed}"))
}

/// Starts the agent a last time, and checks that `reported` together with what it reports is `expected`, each once.
/// Before that it was killed `kills` times.
fn reported_exactly_once(
    setup: Setup,
    mut reported: Vec<Problem>,
    expected: BTreeMap<String, u32>,
    kills: u32,
) -> Result<()> {
    let last = setup.start()?;
    let missing = |reported: &[Problem]| {
        let texts: std::collections::BTreeSet<_> = reported.iter().map(|problem| problem.text.as_str()).collect();
        expected.keys().filter(|text| !texts.contains(text.as_str())).cloned().collect::<Vec<_>>()
    };
    let all_there = poll::wait_until("all problems", poll::SOON, || {
        missing(&[reported.clone(), last.reported("Steady")].concat()).is_empty()
    });
    harvest(last, &mut reported)?;
    let never = missing(&reported);
    all_there.with_context(|| format!("{} of {} lost: {never:?}", never.len(), expected.len()))?;

    // What was under way when the agent was killed may come again, and says so; at most one for each source and kill.
    let again = reported.iter().filter(|problem| problem.again).count();
    ensure!(again <= 3 * kills as usize, "{again} reports say that they come again");
    let mut counts = expected;
    for problem in reported.iter().filter(|problem| !problem.again) {
        *counts.entry(problem.text.clone()).or_default() += 1;
    }
    for problem in reported.iter().filter(|problem| problem.again) {
        let count = counts.entry(problem.text.clone()).or_default();
        *count = (*count).max(1);
    }
    let wrong: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
    ensure!(wrong.is_empty(), "of {} not reported exactly once: {wrong:?}", counts.len());
    Ok(())
}

/// What a panic does to a source in a release build, whose profile aborts on panic: the panicking thread raises SIGABRT
/// for itself. Here the test sends it to the thread, so that the claim holds for the agent of a debug build, too.
fn aborted() -> Result<()> {
    let _unlimited = Setting::set("/proc/sys/kernel/printk_devkmsg", "on")?;
    let word = nonce();
    let setup = Setup::new()?.stateful();
    let log: PathBuf = setup.folder().join("app.log");
    append(&log, "the first line")?;
    let pattern = format!("npd-steady {word} \\w+ problem \\d+");
    let steady = |monitor: Monitor| monitor.rule("Steady", &pattern);
    let setup = setup
        .monitor(&steady(Monitor::kernel("kernel-monitor")))?
        .monitor(&steady(Monitor::file("file-monitor", &log)))?;
    // Records from before the first start do not count.
    setup.clone().start()?.stop()?;

    let stop = Arc::new(AtomicBool::new(false));
    let mut writer = kmsg::writer()?;
    let kernel_word = word.clone();
    let kernel =
        stream(&stop, move |n| kmsg::write_line(&mut writer, &format!("<6>{}\n", text(&kernel_word, "kmsg", n))));
    let file_word = word.clone();
    let file = stream(&stop, move |number| append(&log, &text(&file_word, "file", number)));

    let mut reported = Vec::new();
    for source in ["kmsg", "filelog"] {
        let agent = setup.clone().start()?;
        agent.wait_for_reports("Steady", 10)?;
        let sent = Instant::now();
        process::signal_thread(agent.pid(), source, Signal::ABORT)?;
        let stopped = agent.ended(sent)?;
        ensure!(stopped.code == 128 + Signal::ABORT.as_raw(), "without {source} it ended with {}", stopped.code);
        reported.extend(steady_problems(&stopped));
    }
    stop.store(true, Ordering::SeqCst);
    let mut expected = BTreeMap::new();
    for (kind, stream) in [("kmsg", kernel), ("file", file)] {
        expect_problems(&mut expected, &word, kind, stream)?;
    }
    reported_exactly_once(setup, reported, expected, 2)
}

fn meanwhile() -> Result<()> {
    let word = nonce();
    let monitor = Monitor::kernel("line-monitor").with("lookback", "5m").rule("Line", &format!("npd-line {word} .*"));
    let setup = Setup::new()?.stateful().monitor(&monitor)?;
    let agent = setup.clone().start()?;
    kmsg::write(&format!("npd-line {word} 1"))?;
    agent.fence()?;
    expect_count("before", &agent.reported("Line"), 1)?;
    agent.stop()?;
    kmsg::write(&format!("npd-line {word} 2"))?;
    let agent = setup.start()?;
    agent.fence()?;
    let reported = agent.reported("Line");
    expect_count("meanwhile", &reported, 1)?;
    ensure!(reported[0].text.ends_with(" 2"), "{reported:?}");
    Ok(())
}

fn conditions() -> Result<()> {
    let word = nonce();
    let monitor = Monitor::kernel("kernel-monitor")
        .condition("KernelDeadlock", "KernelHasNoDeadlock", "kernel has no deadlock")
        .permanent("KernelDeadlock", "DockerHung", &format!("{word} docker hung"));
    let setup = Setup::new()?.stateful().monitor(&monitor)?;
    let agent = setup.clone().start()?;
    kmsg::write(&format!("{word} docker hung"))?;
    agent.fence()?;
    expect_count("the condition", &agent.reported("DockerHung"), 1)?;
    agent.stop_with(Signal::KILL)?;
    let agent = setup.start()?;
    kmsg::write(&format!("{word} docker hung"))?;
    agent.fence()?;
    let mut again = agent.reported("DockerHung");
    again.retain(|problem| !problem.again);
    expect_count("it is known", &again, 0)?;
    let gauge = agent.metrics()?.value("problem_gauge", &[("reason", "DockerHung"), ("type", "KernelDeadlock")]);
    ensure!(gauge == Some(1.0), "the gauge is {gauge:?}");
    Ok(())
}

fn lost() -> Result<()> {
    let setup = Setup::new()?.stateful().monitor(&Monitor::kernel("line-monitor"))?;
    let agent = setup.clone().start()?;
    agent.fence()?;
    agent.stop()?;
    let before = kmsg::mark()?;
    kmsg::Flood { lines: 6000, every: 6001, tag: nonce() }.write()?;
    let oldest = kmsg::all()?.first().map_or(0, |record| record.sequence);
    ensure!(oldest > before, "the kernel's buffer is too large for this test");
    let agent = setup.start()?;
    agent.fence()?;
    let lost = agent.metrics()?.value("npd_kernel_records_lost_total", &[]).unwrap_or_default();
    // All after the mark, the mark itself, and what others wrote; the oldest may have moved on meanwhile.
    let least = (oldest - before) as f64;
    ensure!(lost >= least && lost < least + 3000.0, "{lost} records lost, at least {least} were overwritten");
    Ok(())
}

fn hung_task() -> Result<()> {
    need::hung_task_detector()?;
    let setup = Setup::new()?.stateful().monitor(&super::kernel_monitor())?;
    let agent = setup.clone().start()?;
    let task = npd_tests::host::fault::hung_task::HungTask::start(100)?;
    agent.wait_for_reports("TaskHung", 1)?;
    agent.stop()?;
    let agent = setup.start()?;
    // The kernel goes on to report it every second.
    let seen = |agent: &Agent| {
        Ok::<_, anyhow::Error>(agent.metrics()?.value("npd_kernel_probe_seen_total", &[("probe", "hung_task")]))
    };
    poll::wait_for("three more looks of the kernel", poll::SOON, || Ok(seen(&agent)?.filter(|seen| *seen >= 3.0)))?;
    agent.fence()?;
    expect_count("the hang is known", &agent.reported("TaskHung"), 0)?;
    drop(task);
    Ok(())
}
