//! The built agent as a child process, seen as an operator sees it: its log, its metrics, its exit code.

use std::{
    ffi::OsString,
    fs::{self, File},
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

pub mod log;
pub mod metrics;
pub mod problem;
pub mod sandbox;
pub mod usage;

use self::{
    log::{Line, Log},
    metrics::{Answer, Metrics},
    problem::Problem,
    sandbox::Sandbox,
    usage::Usage,
};
use crate::{
    cluster::apiserver::ApiServer,
    driver::{
        binary,
        monitor::{FENCE, Monitor},
        poll::{self, SOON},
    },
    host::kmsg,
    nonce,
};

/// An agent to be started. Clones share the folder with their config files and their state.
#[derive(Clone, Debug)]
pub struct Setup {
    folder: Arc<TempDir>,
    monitors: Vec<PathBuf>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    sandbox: Sandbox,
    working_folder: Option<PathBuf>,
    ports: Option<Ports>,
}

/// Where an agent serves its pages.
#[derive(Clone, Copy, Debug)]
struct Ports {
    metrics: u16,
    health: u16,
}

/// A running agent; killed when dropped.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    /// What it has logged so far.
    pub log: Log,
    ports: Option<Ports>,
    folder: Arc<TempDir>,
}

/// How an agent ended.
#[derive(Debug)]
pub struct Stopped {
    /// Its exit code; 128 + the signal's number when a signal ended it.
    pub code: i32,
    /// From the signal to its end.
    pub took: Duration,
    /// All that it logged.
    pub log: Vec<Line>,
}

// === impl Setup ===

impl Setup {
    /// What every test of a running agent wants: no Kubernetes, logs as JSON, pages on free ports, nothing kept.
    pub fn new() -> Result<Self> {
        let mut setup = Self::bare()?.arg("--enable-k8s-exporter=false").arg("--log-format=json").arg("--state-dir=");
        let [metrics, health] = free_ports()?;
        setup.ports = Some(Ports { metrics, health });
        Ok(setup.arg(format!("--prometheus-port={metrics}")).arg(format!("--port={health}")))
    }

    /// Has the agent report to this API server, without credentials, as the node of this name.
    #[must_use]
    pub fn cluster(self, server: &ApiServer, node: &str) -> Self {
        self.arg("--enable-k8s-exporter")
            .arg(format!("--hostname-override={node}"))
            .arg(format!("--apiserver-override={}?inClusterConfig=false", server.url()))
    }

    /// No argument at all.
    pub fn bare() -> Result<Self> {
        Ok(Self {
            folder: Arc::new(
                tempfile::Builder::new().prefix("npd-test-").tempdir().context("cannot make a temporary folder")?,
            ),
            monitors: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            sandbox: Sandbox::default(),
            working_folder: None,
            ports: None,
        })
    }

    /// Writes a monitor's config file into the agent's folder and adds it.
    pub fn monitor(self, monitor: &Monitor) -> Result<Self> {
        let name = format!("monitor-{}.json", self.monitors.len());
        self.file(&name, &monitor.to_json())
    }

    /// Writes a config file of any content into the agent's folder and adds it.
    pub fn file(self, name: &str, content: &str) -> Result<Self> {
        let path = self.folder.path().join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(self.config(path))
    }

    /// Adds a config file that exists, or does not.
    #[must_use]
    pub fn config(mut self, path: impl Into<PathBuf>) -> Self {
        self.monitors.push(path.into());
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Has the agent keep its state, in its own folder.
    #[must_use]
    pub fn stateful(self) -> Self {
        let mut argument = OsString::from("--state-dir=");
        argument.push(self.folder.path().join("state"));
        self.arg(argument)
    }

    /// Takes something away from the agent.
    #[must_use]
    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = sandbox;
        self
    }

    /// Starts it in another folder than its own.
    #[must_use]
    pub fn working_folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.working_folder = Some(path.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The folder of the config files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the agent and waits until it says that it is ready.
    pub fn start(self) -> Result<Agent> {
        let agent = self.spawn()?;
        agent.log.wait("ready", SOON, |line| (line.message() == "ready").then_some(()))?;
        Ok(agent)
    }

    /// Starts the agent.
    pub fn spawn(self) -> Result<Agent> {
        let mut command = self.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stderr = child.stderr.take().context("the agent has no stderr")?;
        Ok(Agent { child, log: Log::follow(stderr), ports: self.ports, folder: self.folder })
    }

    /// Runs an agent that ends by itself, and fails when it does not within some seconds.
    pub fn output(self) -> Result<Output> {
        let mut command = self.command()?;
        let stdout = self.folder.path().join("stdout");
        let stderr = self.folder.path().join("stderr");
        let create = |path: &Path| File::create(path).with_context(|| format!("cannot make {}", path.display()));
        command.stdin(Stdio::null()).stdout(create(&stdout)?).stderr(create(&stderr)?);
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let status = poll::wait_for("the agent to end", SOON, || child.try_wait().context("cannot wait"));
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        match status {
            Ok(status) => Ok(Output { status, stdout: read(&stdout)?, stderr: read(&stderr)? }),
            Err(error) => {
                child.kill().context("cannot kill the agent")?;
                child.wait().context("cannot wait for the agent")?;
                let said = String::from_utf8_lossy(&read(&stderr)?).into_owned();
                Err(error.context(format!("the agent goes on and says:\n{said}")))
            }
        }
    }

    fn command(&self) -> Result<Command> {
        let mut command = self.sandbox.command(&binary::agent()?, self.folder.path())?;
        if let Some(folder) = &self.working_folder {
            command.current_dir(folder);
        }
        for monitor in &self.monitors {
            command.arg(format!("--config.system-log-monitor={}", monitor.display()));
        }
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }
}

/// A port of the loop-back interface that was free a moment ago.
pub fn free_port() -> Result<u16> {
    free_ports().map(|[port]| port)
}

/// So many different ones.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot bind a port")?;
        *port = listener.local_addr().context("a bound socket has no address")?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

// === impl Agent ===

impl Agent {
    /// An agent with one monitor, started and ready.
    pub fn with(monitor: &Monitor) -> Result<Self> {
        Setup::new()?.monitor(monitor)?.start()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder of its config files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The port of its metrics.
    pub fn port(&self) -> Result<u16> {
        Ok(self.ports.context("this agent was started without pages")?.metrics)
    }

    /// What it answers to a GET of a page beside its metrics, such as `/readyz`.
    pub fn page(&self, path: &str) -> Result<Answer> {
        metrics::get(self.ports.context("this agent was started without pages")?.health, path)
    }

    /// Waits until a page is as it is wanted, and gives it.
    pub fn wait_for_page(&self, path: &str, mut is_so: impl FnMut(&Answer) -> bool) -> Result<Answer> {
        let mut last = None;
        let waited = poll::wait_for(path, SOON, || {
            let answer = self.page(path)?;
            let is_so = is_so(&answer);
            let answer = last.insert(answer);
            Ok(is_so.then(|| answer.clone()))
        });
        waited.with_context(|| format!("the newest answer is {last:?}"))
    }

    /// The problems it has reported so far, without the fences.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.log.problems();
        problems.retain(|problem| problem.reason != FENCE);
        problems
    }

    /// The problems reported so far whose reason is this one.
    #[must_use]
    pub fn reported(&self, reason: &str) -> Vec<Problem> {
        let mut problems = self.log.problems();
        problems.retain(|problem| problem.reason == reason);
        problems
    }

    /// Waits until as many problems of this reason have been reported.
    pub fn wait_for_reports(&self, reason: &str, count: usize) -> Result<Vec<Problem>> {
        let mut problems = Vec::new();
        self.log.wait(&format!("{count} problems {reason}"), SOON, |line| {
            problems.extend(Problem::from_line(line).filter(|problem| problem.reason == reason));
            (problems.len() >= count).then_some(())
        })?;
        Ok(problems)
    }

    /// Writes a line to the kernel log and waits until the agent has reported it: all that was in the kernel log
    /// before has been dealt with then.
    pub fn fence(&self) -> Result<()> {
        self.fence_within(SOON)
    }

    /// As [`Agent::fence`], with another limit.
    pub fn fence_within(&self, limit: Duration) -> Result<()> {
        let text = format!("npd-fence {}", nonce());
        kmsg::write(&text)?;
        self.log.wait("the fence", limit, |line| {
            Problem::from_line(line).filter(|problem| problem.text == text).map(|_| ())
        })
    }

    /// All lines of its log so far.
    #[must_use]
    pub fn log_lines(&self) -> Vec<Line> {
        self.log.lines()
    }

    /// The modes of the kernel log it has announced so far.
    #[must_use]
    pub fn kernel_log_modes(&self) -> Vec<String> {
        let modes = self.log.lines().into_iter().filter(|line| line.message() == "kernel log");
        modes.filter_map(|line| line.text("mode").map(ToOwned::to_owned)).collect()
    }

    /// Reads its metrics.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::read(self.port()?)
    }

    /// Waits until its metrics have something.
    pub fn wait_for_metrics<T>(&self, what: &str, mut look: impl FnMut(&Metrics) -> Option<T>) -> Result<T> {
        poll::wait_for(what, SOON, || Ok(look(&self.metrics()?)))
    }

    /// What it costs up to now.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("the agent has no pid")?;
        rustix::process::kill_process(pid, signal).context("cannot signal the agent")
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("cannot wait for the agent")?.is_none())
    }

    /// Sends a signal and waits for the end.
    pub fn stop_with(self, signal: Signal) -> Result<Stopped> {
        let sent = Instant::now();
        self.signal(signal)?;
        self.ended(sent)
    }

    /// Waits for the end, which a signal at `sent` is to bring.
    pub fn ended(mut self, sent: Instant) -> Result<Stopped> {
        let child = &mut self.child;
        let status =
            poll::wait_for("the agent to end", Duration::from_secs(10), || child.try_wait().context("cannot wait"))?;
        let took = sent.elapsed();
        self.log.wait_for_end(SOON)?;
        let code = match (status.code(), status.signal()) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => bail!("the agent neither exited nor was killed: {status:?}"),
        };
        Ok(Stopped { code, took, log: self.log.lines() })
    }

    /// Stops it as an operator would and checks that it went well.
    pub fn stop(self) -> Result<Vec<Line>> {
        let stopped = self.stop_with(Signal::TERM)?;
        ensure!(stopped.code == 0, "the agent ended with {} after SIGTERM", stopped.code);
        Ok(stopped.log)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to kill.
        if let Ok(None) = self.child.try_wait() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
