//! A container that runs: its log, its pages, its end.

use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::{
    fs::Mode,
    mount::{MountFlags, UnmountFlags},
};
use tempfile::TempDir;

use super::{Image, Pod, bundle};
use crate::{
    driver::{
        agent::{
            log::Log,
            metrics::{self, Answer, Metrics},
        },
        poll::{self, SOON},
        program::output,
        suite::{need, skip},
    },
    host::network_namespace,
    nonce,
};

/// A running container; killed when dropped, with its cgroup and mounts.
#[derive(Debug)]
pub struct Container {
    /// What it has said on standard error so far.
    pub log: Log,
    child: Child,
    runtime: Runtime,
    // After the runtime: what the container used goes last.
    _root: Root,
    folder: TempDir,
    _image: Image,
}

/// runc or crun, and one container of it.
#[derive(Debug)]
struct Runtime {
    program: &'static str,
    state: PathBuf,
    id: String,
}

/// The image's files and above them a folder that takes what the container writes, as containerd's overlayfs snapshotter has it.
#[derive(Debug)]
struct Root(PathBuf);

// === impl Container ===

impl Container {
    pub(super) fn start(pod: &Pod, image: &Image) -> Result<Self> {
        need::root()?;
        // crun does not want a machine with controllers in both versions of cgroups.
        let program = ["runc", "crun"].into_iter().find(|program| need::tool(program).is_ok());
        let program = program.ok_or_else(|| skip("needs runc or crun"))?;
        let id = format!("npd-{}", nonce());
        let folder = tempfile::Builder::new().prefix("npd-container-").tempdir().context("cannot make a folder")?;
        let root = Root::mount(image, folder.path())?;
        bundle::write(pod, image, folder.path(), &root.0, &format!("/{id}"))?;

        let runtime = Runtime { program, state: folder.path().join("state"), id };
        let mut command = runtime.command();
        command.args(["run", "--bundle"]).arg(folder.path()).arg("--pid-file").arg(folder.path().join("pid"));
        command.arg(&runtime.id).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let log = Log::follow(child.stderr.take().context("the container has no stderr")?);
        Ok(Self { log, child, runtime, _root: root, folder, _image: image.clone() })
    }

    /// The process id of its first process, on this machine.
    pub fn pid(&self) -> Result<u32> {
        let path = self.folder.path().join("pid");
        let pid = poll::wait_for("the container's process", SOON, || {
            Ok(fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()))
        });
        pid.with_context(|| format!("the log is:\n{}", self.said()))
    }

    /// Runs something in the container's network namespace.
    pub fn in_network<T: Send>(&self, run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        network_namespace::inside(self.pid()?, run)
    }

    /// What it answers to a GET on its own loop-back interface.
    pub fn page(&self, port: u16, path: &str) -> Result<Answer> {
        self.in_network(|| metrics::get(port, path))
    }

    /// Waits until its metrics on this port have something.
    pub fn wait_for_metrics<T>(&self, port: u16, what: &str, look: impl Fn(&Metrics) -> Option<T>) -> Result<T> {
        let mut last = String::new();
        let seen = poll::wait_for(what, SOON, || {
            // It takes a moment to listen.
            let Ok(answer) = self.page(port, "/metrics") else { return Ok(None) };
            let metrics = Metrics { head: answer.head, text: answer.body };
            last.clone_from(&metrics.text);
            Ok(look(&metrics))
        });
        seen.with_context(|| format!("the log is:\n{}\nthe metrics are:\n{last}", self.said()))
    }

    /// All of its log so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.log.lines().iter().map(|line| line.raw.clone() + "\n").collect()
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        poll::wait_for("the container to end", limit, || child.try_wait().context("cannot wait for the container"))
    }

    /// Sends SIGTERM, as the kubelet does, and waits for the end.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.runtime.run(&["kill", &self.runtime.id, "TERM"])?;
        self.wait(Duration::from_secs(10))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // When it has ended, there is nothing to delete and that is an error.
        drop(self.runtime.run(&["delete", "--force", &self.runtime.id]));
        if let Ok(None) = self.child.try_wait() {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

// === impl Runtime ===

impl Runtime {
    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.arg("--root").arg(&self.state);
        if self.program == "crun" {
            // This need not be a machine of systemd's.
            command.arg("--cgroup-manager=cgroupfs");
        }
        command
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        output(self.command().args(words)).map(drop)
    }
}

// === impl Root ===

impl Root {
    fn mount(image: &Image, folder: &Path) -> Result<Self> {
        let [root, upper, work] = ["root", "upper", "work"].map(|name| folder.join(name));
        for path in [&root, &upper, &work] {
            fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        // Any user of the container has to get in.
        for path in [folder, &root, &upper] {
            rustix::fs::chmod(path, Mode::from_raw_mode(0o755)).context("cannot open a folder to all")?;
        }
        let options =
            format!("lowerdir={},upperdir={},workdir={}", image.root().display(), upper.display(), work.display());
        let options = CString::new(options).context("a path with a zero byte")?;
        rustix::mount::mount("overlay", &root, "overlay", MountFlags::empty(), Some(options.as_c_str()))
            .context("cannot mount the container's root")?;
        Ok(Self(root))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // If it fails, the mount stays until the machine starts anew.
        let _best_effort = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}
