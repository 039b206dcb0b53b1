//! log-counter, on a journald of the test's own, on files and on the kernel's log.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::suite::{Suite, need, skip},
    host::journald_namespace::{self, JournaldNamespace},
    nonce,
};

use crate::program::{Outcome, log_counter};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| {
        suite.test(format!("log-counter: {claim}"), move || match journald_namespace::missing() {
            Some(what) => Err(skip(what)),
            None => run(),
        });
    };
    test("as many entries as the threshold are told of, with exit status 1, fewer are not", threshold);
    test("what the revert pattern matches is taken back", revert);
    test("a threshold of 0 is always met", always);
    test("only entries of the identifier count", identifier);
    test("without --lookback nothing in the past counts", no_lookback);
    test("it is done when the journal is read", quick);
    suite.test("log-counter: what cannot be used is said on standard output, with exit status 2", unusable);
    suite.test("log-counter: a duration that is none ends with 255", duration);
    suite.test("log-counter: a journal without files counts as empty", no_files);
    suite.test("log-counter: lines of a file count from --lookback on, by their own times", file);
    suite.test("log-counter: a file that is not there is exit status 2", no_file);
    suite.test("log-counter: records of the kernel's log count", kmsg);
}

const LINES: [&str; 8] = [
    "Started kubelet.",
    "Started kubelet.",
    "Stopping kubelet.",
    "Started kubelet.",
    "noise",
    "Started kubelet.",
    "Started kubelet.",
    "Started kubelet.",
];

fn journal() -> Result<JournaldNamespace> {
    let journal = JournaldNamespace::start("Storage=persistent").context("cannot start journald")?;
    for line in LINES {
        journal.log("systemd", line)?;
    }
    journal.log("other", "Started kubelet.")?;
    journal.sync()?;
    Ok(journal)
}

fn count(journal: &JournaldNamespace, args: &[&str]) -> Result<Outcome> {
    let path = format!("--log-path={}", journal.persistent_folder().display());
    log_counter(&[&["--journald-source=systemd", path.as_str(), "--pattern=Started .*"], args].concat())
}

fn found(count: i64, threshold: i64) -> String {
    format!("Found {count} matching logs, which meets the threshold of {threshold}")
}

fn threshold() -> Result<()> {
    let journal = journal()?;
    count(&journal, &["--lookback=1h", "--count=6"])?.expect(1, &found(6, 6))?;
    count(&journal, &["--lookback=1h", "--count=5"])?.expect(1, &found(6, 5))?;
    count(&journal, &["--lookback=1h", "--count=7"])?.expect(0, "")?;
    count(&journal, &["--lookback=1h"])?.expect(1, &found(6, 1))
}

fn revert() -> Result<()> {
    let journal = journal()?;
    let revert = |threshold: &str| count(&journal, &["--lookback=1h", "--revert-pattern=Stopping .*", threshold]);
    revert("--count=6")?.expect(0, "")?;
    revert("--count=5")?.expect(1, &found(5, 5))?;
    let negative = ["--lookback=1h", "--pattern=none", "--revert-pattern=Stopping .*", "--count=-1"];
    count(&journal, &negative)?.expect(1, &found(-1, -1))
}

fn always() -> Result<()> {
    count(&journal()?, &["--count=0", "--pattern=none"])?.expect(1, &found(0, 0))
}

fn identifier() -> Result<()> {
    let journal = journal()?;
    count(&journal, &["--lookback=1h", "--journald-source=other"])?.expect(1, &found(1, 1))?;
    count(&journal, &["--lookback=1h", "--journald-source=sys"])?.expect(0, "")
}

fn no_lookback() -> Result<()> {
    count(&journal()?, &[])?.expect(0, "")
}

fn quick() -> Result<()> {
    let outcome = count(&journal()?, &["--lookback=1h"])?;
    // node-problem-detector waits for a second of silence.
    ensure!(outcome.took < Duration::from_secs(1), "{outcome:?}");
    Ok(())
}

fn unusable() -> Result<()> {
    for (args, why) in [
        (&["--lookback=1h"][..], "--journald-source is empty"),
        (&["--journald-source=a", "--log-path=/no/such"], "cannot access the journal directory /no/such"),
        (&["--journald-source=a", "--pattern=a(b"], "--pattern: invalid pattern \"a(b\""),
        (&["--journald-source=a", "--revert-pattern=["], "--revert-pattern: invalid pattern \"[\""),
    ] {
        let outcome = log_counter(args)?;
        ensure!(outcome.code == Some(2) && outcome.stdout.starts_with(why), "{why}: {outcome:?}");
    }
    Ok(())
}

fn duration() -> Result<()> {
    for flag in ["--lookback=x", "--delay=5"] {
        log_counter(&["--journald-source=a", flag])?.expect(255, "")?;
    }
    Ok(())
}

fn no_files() -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let path = format!("--log-path={}", folder.path().display());
    let outcome = log_counter(&["--journald-source=a", &path])?;
    outcome.expect(0, "")?;
    ensure!(outcome.stderr.contains("no journal found"), "{outcome:?}");
    Ok(())
}

fn file() -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let path = folder.path().join("log");
    let now = jiff::Timestamp::now();
    let line = |age: i64, message: &str| {
        let at = jiff::Timestamp::from_second(now.as_second() - age)?;
        anyhow::Ok(format!("{at} {message}\n"))
    };
    let lines = [line(300, "bad")?, line(200, "bad")?, "no time\n".to_owned(), line(100, "bad")?, line(10, "fine")?];
    fs::write(&path, lines.concat()).context("cannot write")?;
    let path = format!("--log-path={}", path.display());
    let count = |args: &[&str]| {
        let format = ["--timestamp=^(\\S+) ", "--timestamp-format=2006-01-02T15:04:05Z07:00", "--message= (.*)$"];
        log_counter(&[&["--source=file", path.as_str(), "--pattern=bad"], &format[..], args].concat())
    };
    count(&["--lookback=250s"])?.expect(1, &found(2, 1))?;
    count(&["--lookback=1h"])?.expect(1, &found(3, 1))?;
    count(&["--lookback=50s"])?.expect(0, "")?;
    log_counter(&["--source=file", &path, "--pattern=.* bad"])?.expect(1, &found(3, 1))
}

fn no_file() -> Result<()> {
    let outcome = log_counter(&["--source=file", "--log-path=/no/such"])?;
    outcome.expect(2, "cannot read /no/such: No such file or directory (os error 2)")
}

fn kmsg() -> Result<()> {
    need::root()?;
    let word = nonce();
    for number in 0..3 {
        // One write(2) is one record; of level 7, so that it is nobody's problem.
        fs::write("/dev/kmsg", format!("<7>npd-test {word} {number}\n")).context("cannot write to /dev/kmsg")?;
    }
    let pattern = format!("--pattern=npd-test {word} .*");
    log_counter(&["--source=kmsg", "--lookback=1h", &pattern])?.expect(1, &found(3, 1))?;
    log_counter(&["--source=kmsg", "--lookback=1h", &pattern, "--count=4"])?.expect(0, "")
}
