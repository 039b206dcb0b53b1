//! Hung tasks: one report an episode, whether printk speaks of them or not.

use anyhow::{Result, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, problem::Problem},
        suite::{Suite, need},
    },
    host::fault::hung_task::{self, HungTask},
};

use super::{expect_count, kernel_monitor};

const COUNTER: &str = "/proc/sys/kernel/hung_task_detect_count";

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| {
        suite.test(format!("hung task: {claim}"), move || {
            need::hung_task_detector()?;
            need::probes()?;
            need::file(COUNTER)?;
            run()
        });
    };
    test("reported once, although the kernel speaks at each check", || once(10));
    test("reported once when hung_task_warnings=0 makes the kernel silent", || once(0));
    test("reported once when the kernel falls silent in between", || once(1));
    test("reported anew when it recovered and hangs again", anew);
    test("two tasks are two reports", two);
}

fn reports_of(agent: &Agent, pid: u32) -> Vec<Problem> {
    let name = format!("npd-hang:{pid} ");
    let mut reports = agent.reported("TaskHung");
    reports.retain(|problem| problem.text.contains(&name));
    reports
}

/// How many hung tasks the agent knows.
fn wait_for_gauge(agent: &Agent, value: f64) -> Result<()> {
    agent.wait_for_metrics(&format!("npd_hung_tasks {value}"), |metrics| {
        (metrics.value("npd_hung_tasks", &[]) == Some(value)).then_some(())
    })
}

fn once(warnings: u32) -> Result<()> {
    let agent = Agent::with(&kernel_monitor())?;
    let before = hung_task::detections()?;
    let mut task = HungTask::start(warnings)?;
    agent.wait_for_reports("TaskHung", 1)?;
    task.wait_for_detections(before, 4)?;
    agent.fence()?;
    let reports = reports_of(&agent, task.pid());
    expect_count("after four detections", &reports, 1)?;
    let line = format!("INFO: task npd-hang:{} blocked for more than 2 seconds.", task.pid());
    ensure!(reports[0].text == line, "reported as {:?}", reports[0].text);
    ensure!(reports[0].field("pid") == Some(&task.pid().to_string()), "the field pid is {:?}", reports[0].field("pid"));
    ensure!(reports[0].field("comm") == Some(hung_task::COMM), "the field comm is {:?}", reports[0].field("comm"));
    wait_for_gauge(&agent, 1.0)?;
    task.recover()?;
    wait_for_gauge(&agent, 0.0)?;
    agent.fence()?;
    expect_count("after the recovery", &reports_of(&agent, task.pid()), 1)
}

fn anew() -> Result<()> {
    let agent = Agent::with(&kernel_monitor())?;
    let mut task = HungTask::start(10)?;
    agent.wait_for_reports("TaskHung", 1)?;
    task.recover()?;
    wait_for_gauge(&agent, 0.0)?;
    let before = hung_task::detections()?;
    task.hang()?;
    task.wait_for_detections(before, 3)?;
    agent.wait_for_reports("TaskHung", 2)?;
    agent.fence()?;
    expect_count("two episodes of one task", &reports_of(&agent, task.pid()), 2)
}

fn two() -> Result<()> {
    let agent = Agent::with(&kernel_monitor())?;
    let before = hung_task::detections()?;
    let first = HungTask::start(10)?;
    let second = HungTask::start(10)?;
    // Each check finds both.
    second.wait_for_detections(before, 6)?;
    agent.wait_for_reports("TaskHung", 2)?;
    agent.fence()?;
    expect_count("the first", &reports_of(&agent, first.pid()), 1)?;
    expect_count("the second", &reports_of(&agent, second.pid()), 1)
}
