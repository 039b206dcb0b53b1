//! `--log-pattern`, on a journald of the test's own.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::suite::{Suite, skip},
    host::journald_namespace::{self, ExportedEntry, JournaldNamespace},
};

use crate::{
    bus::{Service, Systemd},
    http::{Answer, HttpServer},
    program::{HealthChecker, Outcome},
};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| {
        suite.test(format!("log patterns: {claim}"), move || match journald_namespace::missing() {
            Some(what) => Err(skip(what)),
            None => run(),
        });
    };
    test("as many lines as journalctl and grep count are too many, one more is not reached", as_grep);
    test("a negative count is always reached", negative);
    test("lines count since the service was started", since_start);
    test("with --loopback-time lines count for that long only", loopback);
    test("an unhealthy component stays unhealthy whatever is logged", unhealthy);
    test("too many lines are repaired like any other sickness", repaired);
    suite.test("log patterns: without systemd nothing can be told", no_systemd);
    suite.test("log patterns: of a service that was never started nothing can be told", never_started);
    suite.test("log patterns: without a journal nothing can be told", no_journal);
}

/// A kubelet that has been up so long, and its systemd.
struct Node {
    server: HttpServer,
    systemd: Systemd,
}

impl Node {
    fn new(uptime: Option<u64>) -> Result<Self> {
        let uptime = uptime.map(Duration::from_secs);
        let systemd = Systemd::start(&[Service { name: "kubelet", uptime, state: "active" }])?;
        Ok(Self { server: HttpServer::tcp(Answer::Status(200))?, systemd })
    }

    fn check(&self, journal: &Path, args: &[&str]) -> Result<Outcome> {
        let journal = format!("--log-path={}", journal.display());
        let checker = HealthChecker::new(&[&["--enable-repair=false", journal.as_str()], args].concat())?;
        let checker = checker.env("KUBELET_PORT", self.server.port());
        checker.env("DBUS_SYSTEM_BUS_ADDRESS", self.systemd.address()).run()
    }
}

/// What root logs about a unit is shown as that unit's.
fn log(journal: &JournaldNamespace, message: &str) -> Result<()> {
    let fields: [(&str, &[u8]); 3] = [
        ("SYSLOG_IDENTIFIER", b"kubelet"),
        ("OBJECT_SYSTEMD_UNIT", b"kubelet.service"),
        ("MESSAGE", message.as_bytes()),
    ];
    journal.send(&fields).context("cannot log")
}

fn start_journal() -> Result<JournaldNamespace> {
    JournaldNamespace::start("Storage=persistent").context("cannot start journald")
}

/// An entry of the kubelet, so many seconds old.
fn entry(age: u64, message: &str) -> Result<ExportedEntry> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).context("before 1970")?;
    let at = now.saturating_sub(Duration::from_secs(age)).as_micros().to_string();
    let fields = [
        ("__REALTIME_TIMESTAMP", at.as_str()),
        ("__MONOTONIC_TIMESTAMP", at.as_str()),
        ("_BOOT_ID", "0a2e6e5f5a0d4a3fb12f9a33a1b4d8c1"),
        ("_SYSTEMD_UNIT", "kubelet.service"),
        ("SYSLOG_IDENTIFIER", "kubelet"),
        ("MESSAGE", message),
    ];
    Ok(fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into())
}

/// Lines that are 300, 200, 100 and 10 seconds old.
fn old_journal(folder: &Path) -> Result<()> {
    let entries = [300, 200, 100, 10].map(|age| entry(age, "bad thing"));
    let entries = entries.into_iter().collect::<Result<Vec<_>>>()?;
    journald_namespace::write_journal(&folder.join("kubelet.journal"), &entries).context("cannot write a journal")
}

/// How many lines `grep -i` finds in what journalctl shows of the unit.
fn grep(journal: &JournaldNamespace, pattern: &str) -> Result<i64> {
    let shown = journal.journalctl(&["--unit", "kubelet.service"])?;
    let mut grep = Command::new("grep")
        .args(["-i", "-c", "-e", pattern])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start grep")?;
    grep.stdin.take().context("no pipe")?.write_all(&shown)?;
    let counted = grep.wait_with_output().context("grep")?;
    String::from_utf8(counted.stdout)?.trim().parse().context("no count")
}

fn as_grep() -> Result<()> {
    let (journal, node) = (start_journal()?, Node::new(Some(600))?);
    for message in
        ["use of closed network connection", "USE OF CLOSED network connection", "first\nsecond: use", "fine"]
    {
        log(&journal, message)?;
    }
    journal.log("kubelet", "use of another unit")?;
    journal.sync()?;
    for pattern in ["use", "closed.network", r"first\|second", "^use", r"kubelet.*use of", r"conn\(ection\)*$", "fine:"]
    {
        let count = grep(&journal, pattern)?;
        let check =
            |count: i64| node.check(&journal.persistent_folder(), &[&format!("--log-pattern={count}:{pattern}")]);
        if count > 0 {
            check(count)?.expect_unhealthy("kubelet", "kubelet", false).context(pattern)?;
        }
        check(count + 1)?.expect_healthy().context(pattern)?;
    }
    Ok(())
}

fn negative() -> Result<()> {
    let (journal, node) = (start_journal()?, Node::new(Some(600))?);
    log(&journal, "fine")?;
    journal.sync()?;
    node.check(&journal.persistent_folder(), &["--log-pattern=-1:none"])?.expect_unhealthy("kubelet", "kubelet", false)
}

fn since_start() -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    old_journal(folder.path())?;
    let node = Node::new(Some(150))?;
    node.check(folder.path(), &["--log-pattern=2:bad"])?.expect_unhealthy("kubelet", "kubelet", false)?;
    node.check(folder.path(), &["--log-pattern=3:bad"])?.expect_healthy()
}

fn loopback() -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    old_journal(folder.path())?;
    let node = Node::new(Some(250))?;
    for (loopback, count) in [("0", 3), ("50s", 1), ("150s", 2), ("1h", 3)] {
        let check = |count: i32| {
            let args = [format!("--log-pattern={count}:bad"), format!("--loopback-time={loopback}")];
            node.check(folder.path(), &args.each_ref().map(String::as_str))
        };
        check(count)?.expect_unhealthy("kubelet", "kubelet", false).context(loopback)?;
        check(count + 1)?.expect_healthy().context(loopback)?;
    }
    Ok(())
}

fn unhealthy() -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    old_journal(folder.path())?;
    let node = Node { server: HttpServer::tcp(Answer::Status(500))?, ..Node::new(Some(150))? };
    let outcome = node.check(folder.path(), &["--log-pattern=99:bad"])?;
    outcome.expect_unhealthy("kubelet", "kubelet", false)?;
    ensure!(outcome.stderr.contains("answered 500"), "{outcome:?}");
    Ok(())
}

fn repaired() -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    old_journal(folder.path())?;
    let node = Node::new(Some(350))?;
    let outcome = node.check(folder.path(), &["--log-pattern=9:none,4:bad", "--enable-repair=true"])?;
    outcome.expect_unhealthy("kubelet", "kubelet", true)?;
    ensure!(outcome.stderr.contains("kubelet logged 4 lines"), "{outcome:?}");
    ensure!(node.systemd.kills().len() == 1, "{:?}, {outcome:?}", node.systemd.kills());
    Ok(())
}

fn no_systemd() -> Result<()> {
    let server = HttpServer::tcp(Answer::Status(200))?;
    let mut checker = HealthChecker::new(&["--log-pattern=1:a"])?.env("KUBELET_PORT", server.port());
    checker.run()?.expect_unknown("kubelet", "cannot connect to the system D-Bus")
}

fn never_started() -> Result<()> {
    let node = Node::new(None)?;
    let outcome = node.check(Path::new("/nonexistent"), &["--log-pattern=1:a"])?;
    outcome.expect_unknown("kubelet", "kubelet.service was never started")
}

fn no_journal() -> Result<()> {
    let node = Node::new(Some(100))?;
    let outcome = node.check(Path::new("/nonexistent"), &["--log-pattern=-1:a"])?;
    outcome.expect_unknown("kubelet", "no readable journal in [\"/nonexistent\"]")
}
