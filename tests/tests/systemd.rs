//! What systemd asks of a service: the agent tells it how it is, and its unit gives it no more than it needs.
#![allow(clippy::print_stdout, reason = "the unit's score is shown")]

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::Path,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, Setup, free_port},
        binary,
        monitor::Monitor,
        poll::SOON,
        suite::{Suite, need},
    },
    nonce,
};

/// The exposure that `systemd-analyze security` may find in the unit, in tenths. It was 2.9 with systemd 252.
const EXPOSURE: u32 = 29;

fn main() -> ExitCode {
    let mut suite = Suite::default();
    suite.test("sd_notify: ready is told with how the kernel log is read, and the end with its beginning", || {
        whole_life(&Listener::at_path()?)
    });
    suite.test("sd_notify: an abstract socket is told the same", || whole_life(&Listener::abstract_name()?));
    suite.test("sd_notify: an API server that is away does not keep the unit starting", cluster_away);
    suite.test("sd_notify: the watchdog hears of the agent again and again when it asks for that", watchdog);
    suite.test("sd_notify: without a watchdog, or with another process's, nothing is told for it", no_watchdog);
    suite.test("sd_notify: a socket where nobody listens is a warning, and the agent works", nobody_listens);
    suite.test("the unit is one that systemd understands", unit_is_valid);
    suite.test("the unit exposes no more than it must", unit_is_tight);
    suite.run()
}

/// What systemd is to the agent.
struct Listener {
    socket: UnixDatagram,
    address: String,
    _folder: Option<tempfile::TempDir>,
}

// === impl Listener ===

impl Listener {
    fn at_path() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).context("cannot bind a socket")?;
        let address = path.to_str().context("the folder is no UTF-8")?.to_owned();
        Self::new(socket, address, Some(folder))
    }

    fn abstract_name() -> Result<Self> {
        let name = format!("npd-test/{}", nonce());
        let address = SocketAddr::from_abstract_name(&name).context("cannot name a socket")?;
        let socket = UnixDatagram::bind_addr(&address).context("cannot bind a socket")?;
        Self::new(socket, format!("@{name}"), None)
    }

    fn new(socket: UnixDatagram, address: String, folder: Option<tempfile::TempDir>) -> Result<Self> {
        socket.set_read_timeout(Some(SOON)).context("cannot set a time limit")?;
        Ok(Self { socket, address, _folder: folder })
    }

    /// The next message.
    fn next(&self) -> Result<String> {
        let mut text = [0; 4096];
        let length = self.socket.recv(&mut text).context("systemd hears nothing")?;
        Ok(String::from_utf8_lossy(&text[..length]).into_owned())
    }

    /// The messages up to one that this holds for.
    fn until(&self, mut holds: impl FnMut(&str) -> bool) -> Result<Vec<String>> {
        let mut messages = Vec::new();
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            messages.push(self.next().with_context(|| format!("it came no further than {messages:?}"))?);
            if messages.last().is_some_and(|message| holds(message)) {
                return Ok(messages);
            }
        }
        anyhow::bail!("it came no further than {messages:?}")
    }

    fn agent(&self, setup: Setup) -> Result<Agent> {
        setup.monitor(&Monitor::kernel("kernel-monitor"))?.env("NOTIFY_SOCKET", &self.address).spawn()
    }
}

fn whole_life(listener: &Listener) -> Result<()> {
    need::root()?;
    let agent = listener.agent(Setup::new()?)?;
    let first = listener.next()?;
    ensure!(first.starts_with("READY=1\nSTATUS="), "systemd hears {first:?} first");
    let mode = |message: &str| message.contains("source kmsg: probe+kmsg") || message.contains("source kmsg: kmsg");
    if !mode(&first) || !first.contains("STATUS=ready") {
        listener.until(|message| mode(message) && message.contains("STATUS=ready"))?;
    }
    agent.stop()?;
    let last = listener.until(|message| message.starts_with("STOPPING=1"))?;
    ensure!(last.iter().all(|message| !message.contains("READY=1")), "ready was told twice: {last:?}");
    Ok(())
}

fn cluster_away() -> Result<()> {
    need::root()?;
    let listener = Listener::at_path()?;
    let away = format!("--apiserver-override=http://127.0.0.1:{}?inClusterConfig=false", free_port()?);
    let agent = listener.agent(Setup::new()?.arg("--enable-k8s-exporter").arg(away))?;
    let first = listener.next()?;
    ensure!(first.starts_with("READY=1\n"), "systemd hears {first:?} first");
    let waits = |message: &str| message.contains("STATUS=waiting: ") && message.contains("kubernetes (");
    if !waits(&first) {
        listener.until(waits)?;
    }
    agent.stop().map(drop)
}

fn watchdog() -> Result<()> {
    need::root()?;
    let listener = Listener::at_path()?;
    let agent = listener.agent(Setup::new()?.env("WATCHDOG_USEC", "200000"))?;
    let mut count = 0;
    listener.until(|message| {
        count += u32::from(message == "WATCHDOG=1");
        count == 5
    })?;
    agent.stop().map(drop)
}

fn no_watchdog() -> Result<()> {
    need::root()?;
    let listener = Listener::at_path()?;
    for setup in [Setup::new()?, Setup::new()?.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1")] {
        let agent = listener.agent(setup)?;
        listener.until(|message| message.starts_with("READY=1"))?;
        // A thousand times longer than the other process's watchdog would wait.
        agent.fence()?;
        agent.stop()?;
        let messages = listener.until(|message| message.starts_with("STOPPING=1"))?;
        ensure!(messages.iter().all(|message| !message.contains("WATCHDOG")), "systemd hears {messages:?}");
    }
    Ok(())
}

fn nobody_listens() -> Result<()> {
    need::root()?;
    let setup = Setup::new()?.monitor(&Monitor::kernel("kernel-monitor"))?;
    let agent = setup.env("NOTIFY_SOCKET", "/nowhere/notify").start()?;
    let warned = agent.log_lines().into_iter().any(|line| line.raw.contains("/nowhere/notify"));
    ensure!(warned, "it does not say which socket cannot be used");
    agent.stop().map(drop)
}

/// Runs systemd-analyze on the shipped unit and gives what it prints.
fn analyze(arguments: &[&str], unit: &Path) -> Result<(bool, String)> {
    need::tool("systemd-analyze")?;
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    let output = output.context("cannot start systemd-analyze")?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

fn unit_is_valid() -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let unit = folder.path().join("npd.service");
    // It looks whether the program is there.
    let agent = binary::agent()?;
    let text = fs::read_to_string(binary::shipped_manifest("systemd/npd.service")).context("cannot read the unit")?;
    ensure!(text.contains("=/usr/bin/npd-agent "), "the unit does not start /usr/bin/npd-agent");
    fs::write(&unit, text.replace("/usr/bin/npd-agent", &agent.display().to_string())).context("cannot copy it")?;
    let (is_good, said) = analyze(&["verify", "--man=no"], &unit)?;
    let about_it: Vec<_> = said.lines().filter(|line| line.contains("npd.service")).collect();
    ensure!(is_good && about_it.is_empty(), "{said}");
    Ok(())
}

fn unit_is_tight() -> Result<()> {
    let threshold = format!("--threshold={EXPOSURE}");
    let unit = binary::shipped_manifest("systemd/npd.service");
    let (is_good, said) = analyze(&["security", "--offline=yes", "--no-pager", &threshold], &unit)?;
    let score = said.lines().find(|line| line.contains("Overall exposure level")).unwrap_or(&said);
    println!("{score}");
    ensure!(is_good, "{said}");
    Ok(())
}
