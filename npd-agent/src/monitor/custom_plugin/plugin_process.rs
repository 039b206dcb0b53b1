//! One run of a program, isolated so that it delays nothing else.
//!
//! It has its own process group, which gets SIGTERM at the timeout and SIGKILL a moment later. The run is over when the
//! process itself has ended, even if another process still has its pipes. Its output is read for as long as it runs, a
//! bounded part is kept, and a flood is read slowly. A thread starts it, because exec(2) waits for the file system. A
//! process that not even SIGKILL ends, because it waits in the kernel, is returned as the leftover of the run.
//!
//! A process that leaves the group, as a daemon does, is not ended: node-problem-detector leaves it alone too.

mod output;

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid};
use tokio::{
    io::unix::AsyncFd,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use self::output::Output;
use super::{
    Check, Outcome, Run, RunKind,
    check::{CheckStatus, Pending},
    orphans::Children,
};
use crate::{
    monitor::custom_plugin::permissions::{self, Insecure},
    process::environment,
};

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);

/// How long a process may take to die of SIGKILL. One that waits in the kernel does not die.
const DEATH: Duration = Duration::from_millis(500);

/// How often a process without a pidfd is polled.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Minimum number of bytes of stdout that are kept, however short the message may be: a line of JSON has to fit.
const KEEP: usize = 4096;

/// The search path of a program if npd has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables of systemd for npd, and npd's own, which a program does not get.
const PRIVATE: [&str; 5] = ["INVOCATION_ID", "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "RUST_LOG"];

/// A program as a [`Check`].
pub struct Program {
    options: Arc<ProgramOptions>,
}

/// What to run, and how.
#[derive(Debug)]
pub struct ProgramOptions {
    /// The program; one that is not absolute is looked up in npd's working directory.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// The most bytes of a message.
    pub max_output_length: usize,
    /// Whether it is run although users other than root can change it.
    pub allow_insecure: bool,
    /// The processes that npd has started.
    pub(super) children: Children,
}

/// Why there is no process.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Refused(Insecure),
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A process, and what is needed to follow it.
struct Started {
    child: std::process::Child,
    pid: Pid,
    /// A pidfd: readable once the process has ended, without reaping it. Since Linux 5.3.
    ended: Option<AsyncFd<OwnedFd>>,
    children: Children,
    is_reaped: bool,
}

/// Why waiting for a process ended.
enum Over {
    Ended,
    TimedOut,
    Stopped,
}

// === impl Program ===

impl Program {
    /// A program that has not run yet.
    #[must_use]
    pub fn new(options: ProgramOptions) -> Self {
        Self { options: Arc::new(options) }
    }

    async fn run(&self, within: Duration, stop: &CancellationToken) -> Option<Run> {
        let deadline = Instant::now() + within;
        let options = Arc::clone(&self.options);
        let mut starting = tokio::task::spawn_blocking(move || options.start());
        let stopped = async {
            stop.cancelled().await;
            // A process that is just being started can be ended in a moment.
            sleep(GRACE).await;
        };
        let started = tokio::select! {
            started = &mut starting => Some(started.unwrap_or_else(|error| Err(StartError::System(io::Error::other(error))))),
            () = sleep_until(deadline) => None,
            () = stopped => None,
        };
        match started {
            Some(Ok((started, stdout, stderr))) => self.follow(started, stdout, stderr, deadline, stop).await,
            Some(Err(error)) => Some(self.not_started(&error)),
            None if stop.is_cancelled() => None,
            None => Some(self.stuck(Box::pin(end_late(starting)), "")),
        }
    }

    async fn follow(
        &self,
        mut started: Started,
        mut stdout: Output,
        mut stderr: Output,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> Option<Run> {
        let over = {
            let reading = async {
                tokio::join!(stdout.read(), stderr.read());
                std::future::pending::<std::convert::Infallible>().await
            };
            tokio::select! {
                biased;
                () = started.has_ended() => Over::Ended,
                () = sleep_until(deadline) => Over::TimedOut,
                () = stop.cancelled() => Over::Stopped,
                never = reading => match never {},
            }
        };
        let longest = self.options.max_output_length;
        if matches!(over, Over::Ended) {
            let status = started.reap();
            stdout.read_rest();
            stderr.read_rest();
            return Some(match status {
                Ok(status) => {
                    let outcome = Outcome::of_program(status.code(), &stdout.kept, longest);
                    Run { remarks: remarks(status, &stderr.kept), ..Run::from(outcome) }
                }
                Err(error) => failed(RunKind::Error, &format!("Error in waiting for plugin: {error}")),
            });
        }
        let is_gone = started.kill().await;
        if matches!(over, Over::Stopped) {
            return None;
        }
        stdout.read_rest();
        let said = Outcome::of_program(None, &stdout.kept, longest).message;
        if !is_gone {
            let leftover = async move {
                started.has_ended().await;
                drop(started.reap());
            };
            return Some(self.stuck(Box::pin(leftover), &said));
        }
        let path = self.options.path.display();
        let text = format!("Timeout when running plugin \"{path}\": state - signal: killed. output - \"{said}\"");
        let remarks = String::from_utf8_lossy(&stderr.kept).trim().to_owned();
        Some(Run { remarks, ..failed(RunKind::Timeout, &text) })
    }

    fn not_started(&self, error: &StartError) -> Run {
        match error {
            StartError::Refused(insecure) => {
                let path = self.options.path.display();
                let text = format!("plugin \"{path}\" is not run: {insecure}, --allow-insecure-plugins would run it");
                failed(RunKind::Refused, &text)
            }
            StartError::System(error) => failed(RunKind::Error, &format!("Error in starting plugin: {error}")),
        }
    }

    fn stuck(&self, leftover: Pending<'static, ()>, said: &str) -> Run {
        let path = self.options.path.display();
        let text = format!("plugin \"{path}\" hangs in the kernel and cannot be killed. output - \"{said}\"");
        Run { leftover: Some(leftover), ..failed(RunKind::Stuck, &text) }
    }
}

impl Check for Program {
    fn run<'a>(&'a mut self, within: Duration, stop: &'a CancellationToken) -> Pending<'a, Option<Run>> {
        Box::pin(Self::run(self, within, stop))
    }
}

/// The result of a run that did not complete: status unknown.
fn failed(kind: RunKind, text: &str) -> Run {
    let outcome = Outcome { reason: Some(kind.reason().to_owned()), ..Outcome::new(CheckStatus::Unknown, text) };
    Run { outcome, kind, remarks: String::new(), leftover: None }
}

/// Ends a process whose start completed after its run was given up.
async fn end_late(starting: JoinHandle<Result<(Started, Output, Output), StartError>>) {
    if let Ok(Ok((mut started, ..))) = starting.await
        && !started.kill().await
    {
        started.has_ended().await;
        drop(started.reap());
    }
}

/// What a process wrote to stderr, and the signal that ended it, if any.
fn remarks(status: ExitStatus, stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    match status.signal() {
        Some(signal) => format!("{} (ended by signal {signal})", text.trim()).trim().to_owned(),
        None => text.trim().to_owned(),
    }
}

// === impl ProgramOptions ===

impl ProgramOptions {
    /// Starts the process. This may hang as long as the file system does.
    fn start(&self) -> Result<(Started, Output, Output), StartError> {
        let path = std::path::absolute(&self.path)?;
        if !self.allow_insecure
            && let Some(insecure) = permissions::look(&path, rustix::process::geteuid().as_raw())?
        {
            return Err(StartError::Refused(insecure));
        }
        let mut command = Command::new(path);
        command.args(&self.args).process_group(0);
        // As a service or in a container npd is there already. Then no fork is needed, which would copy the page tables of
        // npd.
        if env::current_dir().is_ok_and(|folder| folder != Path::new("/")) {
            command.current_dir("/");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in PRIVATE.into_iter().chain(environment::SYSTEMD) {
            command.env_remove(name);
        }
        if env::var_os("PATH").is_none_or(|path| path == OsStr::new("")) {
            command.env("PATH", DEFAULT_PATH);
        }
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        self.children.add(pid);
        let mut follow = || {
            #[expect(
                deprecated,
                reason = "an OwnedFd owns its descriptor; the sound constructor is an unsafe function"
            )]
            let ended = pidfd_open(pid, PidfdFlags::empty()).ok().map(AsyncFd::new).transpose()?;
            let stdout = Output::new(child.stdout.take().map(OwnedFd::from), KEEP.max(self.max_output_length))?;
            let stderr = Output::new(child.stderr.take().map(OwnedFd::from), KEEP)?;
            Ok((ended, stdout, stderr))
        };
        match follow() {
            Ok((ended, stdout, stderr)) => {
                let children = self.children.clone();
                Ok((Started { child, pid, ended, children, is_reaped: false }, stdout, stderr))
            }
            Err(error) => {
                signal(pid, Signal::KILL);
                drop(child.wait());
                self.children.remove(pid);
                Err(StartError::System(error))
            }
        }
    }
}

/// Signals the process group of a process that is not reaped yet, so that its id cannot have been reused.
fn signal(group: Pid, signal: Signal) {
    // All processes may have ended, or may run as another user now.
    let _sent = kill_process_group(group, signal);
}

// === impl Started ===

impl Started {
    /// Waits until the process has ended. It stays a zombie and keeps its id.
    async fn has_ended(&self) {
        if let Some(ended) = &self.ended {
            // Only a runtime that is shutting down gives an error.
            drop(ended.readable().await);
            return;
        }
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(self.pid), look), Ok(None)) {
            sleep(LOOK_EVERY).await;
        }
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait();
        self.children.remove(self.pid);
        self.is_reaped = true;
        status
    }

    /// Ends the process and its group; `false` if it does not end.
    async fn kill(&mut self) -> bool {
        signal(self.pid, Signal::TERM);
        // A process that does not end in time is killed, and so is the rest of the group.
        drop(timeout(GRACE, self.has_ended()).await);
        signal(self.pid, Signal::KILL);
        let is_gone = timeout(DEATH, self.has_ended()).await.is_ok();
        if is_gone {
            drop(self.reap());
        }
        is_gone
    }
}

impl Drop for Started {
    /// A dropped process is killed: npd may be about to end.
    fn drop(&mut self) {
        if !self.is_reaped {
            signal(self.pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests;
