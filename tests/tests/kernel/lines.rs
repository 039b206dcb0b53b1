//! Plain lines of the kernel log: each is reported once, whole, in order, at its own time.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use npd_tests::{
    driver::{
        agent::{Agent, Setup},
        monitor::Monitor,
        suite::{Suite, need, skip},
    },
    host::{fault::driver_message, kmsg},
    nonce,
};

use super::{SOURCES, expect_count};

pub(crate) fn add(suite: &mut Suite) {
    for source in SOURCES {
        let mut test = |claim: &str, run: fn(&'static str) -> Result<()>| {
            suite.test(format!("lines, {source}: {claim}"), move || {
                need::root()?;
                run(source)
            });
        };
        test("a line is reported once, and again when it is written again", once_each);
        test("an event has the time of its record", time_of_record);
        test("lines are reported in the order in which they were written", in_order);
        test("a line of any level is reported", every_level);
        test("a pattern over two lines is one report with both lines", two_lines);
        test("a line that two rules fit is reported by both", two_rules);
        test("the pattern must reach the end of the line", anchored_at_the_end);
        test("a line without a newline is reported once, when the next one has ended it", unended);
        test("a control character arrives as it was written", unescaped);
        test("what stands behind a newline of a record is not the start of a line", one_line);
        test("two monitors on one kernel log both see every line", two_monitors);
        test("the dictionary of a driver's record is not in its text", without_dictionary);
    }
}

fn start(source: &str, monitor: &Monitor) -> Result<Agent> {
    Setup::new()?.monitor(monitor)?.arg(format!("--kernel-source={source}")).start()
}

/// A monitor for lines `npd-line WORD …`.
fn line_monitor(word: &str) -> Monitor {
    Monitor::kernel("line-monitor").rule("Line", &format!("npd-line {word}.*"))
}

fn once_each(source: &'static str) -> Result<()> {
    let word = nonce();
    let agent = start(source, &line_monitor(&word))?;
    let text = format!("npd-line {word}");
    kmsg::write(&text)?;
    agent.fence()?;
    let reported = agent.reported("Line");
    expect_count("one line", &reported, 1)?;
    ensure!(reported[0].text == text, "reported as {:?}", reported[0].text);
    ensure!(reported[0].source == "line-monitor", "the source is {}", reported[0].source);
    ensure!(reported[0].severity == "warn", "the severity is {}", reported[0].severity);
    kmsg::write(&text)?;
    agent.fence()?;
    expect_count("the same line again", &agent.reported("Line"), 2)?;
    let counted = agent.metrics()?.value("problem_counter", &[("reason", "Line")]);
    ensure!(counted == Some(2.0), "problem_counter is {counted:?}");
    agent.stop()?;
    Ok(())
}

fn time_of_record(source: &'static str) -> Result<()> {
    let word = nonce();
    let agent = start(source, &line_monitor(&word))?;
    let before = Timestamp::now();
    kmsg::write(&format!("npd-line {word}"))?;
    let after = Timestamp::now();
    let reported = agent.wait_for_reports("Line", 1)?;
    let at = reported[0].at.context("the report has no time")?;
    // The kernel's log clock is not the wall clock; it drifts by some parts in a million.
    let slack = SignedDuration::from_millis(200);
    ensure!(at >= before - slack && at <= after + slack, "written {before} to {after}, reported as {at}");
    Ok(())
}

fn in_order(source: &'static str) -> Result<()> {
    let word = nonce();
    let agent = start(source, &line_monitor(&word))?;
    let texts: Vec<_> = (0..300).map(|number| format!("npd-line {word} {number}")).collect();
    for text in &texts {
        kmsg::write(text)?;
    }
    agent.fence()?;
    let reported = agent.reported("Line");
    expect_count("numbered lines", &reported, texts.len())?;
    for (written, reported) in texts.iter().zip(&reported) {
        ensure!(*written == reported.text, "{written:?} came as {:?}", reported.text);
    }
    ensure!(reported.is_sorted_by_key(|problem| problem.at), "the times go back");
    Ok(())
}

fn every_level(source: &'static str) -> Result<()> {
    let word = nonce();
    let agent = start(source, &line_monitor(&word))?;
    for level in 1..=7 {
        kmsg::write_at(level, &format!("npd-line {word} {level}"))?;
    }
    agent.fence()?;
    expect_count("one line of each level", &agent.reported("Line"), 7)
}

fn two_lines(source: &'static str) -> Result<()> {
    let word = nonce();
    let monitor = Monitor::kernel("line-monitor").rule("Pair", &format!("npd-first {word}\nnpd-second {word}"));
    let agent = start(source, &monitor)?;
    kmsg::write(&format!("npd-first {word}"))?;
    kmsg::write(&format!("npd-second {word}"))?;
    agent.fence()?;
    // Others may write between the two on a busy machine, but hardly ten times in a row.
    for _ in 0..10 {
        if !agent.reported("Pair").is_empty() {
            break;
        }
        kmsg::write(&format!("npd-first {word}"))?;
        kmsg::write(&format!("npd-second {word}"))?;
        agent.fence()?;
    }
    let reported = agent.reported("Pair");
    expect_count("a pair of lines", &reported, 1)?;
    let whole = format!("npd-first {word}\nnpd-second {word}");
    ensure!(reported[0].text == whole, "reported as {:?}", reported[0].text);
    Ok(())
}

fn two_rules(source: &'static str) -> Result<()> {
    let word = nonce();
    let monitor = line_monitor(&word).rule("Other", &format!("{word} .*"));
    let agent = start(source, &monitor)?;
    kmsg::write(&format!("npd-line {word} here"))?;
    agent.fence()?;
    expect_count("the first rule", &agent.reported("Line"), 1)?;
    expect_count("the second rule", &agent.reported("Other"), 1)
}

fn anchored_at_the_end(source: &'static str) -> Result<()> {
    let word = nonce();
    let monitor = Monitor::kernel("line-monitor")
        .rule("Whole", &format!("{word} end"))
        .rule("Alternative", &format!("{word} one|{word} two"));
    let agent = start(source, &monitor)?;
    for text in ["end", "end of it", "one", "one and more", "two"] {
        kmsg::write(&format!("npd-line {word} {text}"))?;
    }
    agent.fence()?;
    expect_count("a pattern in the middle of a line does not count", &agent.reported("Whole"), 1)?;
    expect_count("each alternative is anchored", &agent.reported("Alternative"), 2)
}

/// The kernel keeps such a record open for more, and `/dev/kmsg` does not show it yet.
fn unended(source: &'static str) -> Result<()> {
    let word = nonce();
    let agent = start(source, &line_monitor(&word))?;
    let text = format!("npd-line {word} without an end");
    kmsg::write_unended(&text)?;
    agent.fence()?;
    let reported = agent.reported("Line");
    expect_count("the line", &reported, 1)?;
    ensure!(reported[0].text == text, "reported as {:?}", reported[0].text);
    Ok(())
}

fn unescaped(source: &'static str) -> Result<()> {
    let word = nonce();
    let agent = start(source, &line_monitor(&word))?;
    let text = format!("npd-line {word} tab\there and \u{fc}ber");
    kmsg::write(&text)?;
    agent.fence()?;
    let reported = agent.reported("Line");
    expect_count("the line", &reported, 1)?;
    ensure!(reported[0].text == text, "reported as {:?}", reported[0].text);
    Ok(())
}

/// As a process does that has a newline in its name, and crashes.
fn one_line(source: &'static str) -> Result<()> {
    let word = nonce();
    let monitor = Monitor::kernel("line-monitor")
        .rule("Forged", &format!("(?m)^npd-line {word}.*"))
        .rule("Line", &format!("(?m)^npd-name {word}.*"));
    let agent = start(source, &monitor)?;
    kmsg::write(&format!("npd-name {word}\nnpd-line {word}"))?;
    agent.fence()?;
    expect_count("the record", &agent.reported("Line"), 1)?;
    let text = agent.reported("Line").swap_remove(0).text;
    ensure!(text == format!("npd-name {word}\\x0anpd-line {word}"), "reported as {text:?}");
    expect_count("what is behind the newline", &agent.reported("Forged"), 0)?;
    agent.stop()?;
    Ok(())
}

fn two_monitors(source: &'static str) -> Result<()> {
    let word = nonce();
    let one = Monitor::kernel("monitor-one").rule("One", &format!("npd-line {word}"));
    let two = Monitor::kernel("monitor-two").rule("Two", &format!("npd-line {word}"));
    let agent = Setup::new()?.monitor(&one)?.monitor(&two)?.arg(format!("--kernel-source={source}")).start()?;
    kmsg::write(&format!("npd-line {word}"))?;
    let (one, two) = (agent.wait_for_reports("One", 1)?, agent.wait_for_reports("Two", 1)?);
    ensure!(one[0].source == "monitor-one" && two[0].source == "monitor-two");
    agent.fence()?;
    expect_count("both", &agent.problems(), 2)
}

fn without_dictionary(source: &'static str) -> Result<()> {
    if !driver_message::speak()? {
        return Err(skip("this kernel has no message with a dictionary on demand"));
    }
    let word = nonce();
    kmsg::write(&format!("npd-line {word}"))?;
    // The end of the text has to be the end of the pattern.
    let pair = format!("{}\nnpd-line {word}", driver_message::TEXT);
    let monitor = Monitor::kernel("line-monitor")
        .with("lookback", "10s")
        .rule("Before", &pair)
        .rule("Driver", driver_message::TEXT);
    let agent = start(source, &monitor)?;
    agent.fence()?;
    expect_count("the record before the start, and the line after it", &agent.reported("Before"), 1)?;
    let before = agent.reported("Driver").len();
    ensure!(before >= 1, "the record before the start is not reported");
    driver_message::speak()?;
    agent.fence()?;
    let reported = agent.reported("Driver");
    expect_count("one more", &reported, before + 1)?;
    ensure!(reported.iter().all(|problem| problem.text == driver_message::TEXT), "reported as {:?}", reported[0].text);
    Ok(())
}
