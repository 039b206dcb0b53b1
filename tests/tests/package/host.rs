//! A host of its own: Debian's smallest root with a real systemd as PID 1, in namespaces.
//!
//! It shares the kernel, so its kernel log is the machine's. All its mounts are in a mount namespace that ends with its
//! last process; of the machine's it has nothing but a cgroup. /proc/sys is read-only: no sysctl of the machine changes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        agent::metrics::Metrics,
        poll::{self, SOON},
        process,
        suite::skip,
    },
    host::network_namespace,
    nonce,
};
use tempfile::TempDir;

/// What the root has beside Debian's essential packages.
const PACKAGES: &str = "systemd,systemd-sysv,dbus";

/// From the first process of the namespaces to systemd.
const BOOT: &str = r#"
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tracefs tracefs sys/kernel/tracing
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755,nosuid tmpfs dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
while read -r name mode major minor; do
  mknod -m "$mode" "dev/$name" c "$major" "$minor"
done <<END
null 666 1 3
zero 666 1 5
full 666 1 7
random 666 1 8
urandom 666 1 9
kmsg 644 1 11
tty 666 5 0
END
mkdir -p old
pivot_root . old
umount -l old
exec env -i container=npd-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --log-target=journal --show-status=0 < /dev/null > /dev/null 2>&1
"#;

/// A running host; gone when dropped.
pub(crate) struct Host {
    root: TempDir,
    cgroup: PathBuf,
    unshare: Child,
    /// systemd, as the machine counts processes.
    pid: u32,
}

// === impl Host ===

impl Host {
    /// Makes the root and boots it.
    pub(crate) fn boot() -> Result<Self> {
        let root = tempfile::Builder::new().prefix("npd-host-").tempdir().context("cannot make a folder")?;
        make_root(root.path())?;
        let cgroup = unified_cgroups()?.join(format!("npd-test-{}", nonce()));
        fs::create_dir(&cgroup).with_context(|| format!("cannot make {}", cgroup.display()))?;
        // The namespaces begin in the cgroup, which is then all that systemd sees of cgroups.
        let enter = r#"echo $$ > "$0/cgroup.procs" && exec "$@""#;
        let unshare = Command::new("setpriv")
            .args(["--pdeathsig=KILL", "--", "sh", "-c", enter])
            .arg(&cgroup)
            .args(["unshare", "--cgroup", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child=KILL"])
            .args(["sh", "-c", BOOT, "sh"])
            .arg(root.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let unshare = match unshare {
            Ok(unshare) => unshare,
            Err(error) => {
                drop(fs::remove_dir(&cgroup));
                return Err(error).context("cannot start setpriv");
            }
        };
        let mut host = Self { root, cgroup, unshare, pid: 0 };
        host.pid = host.first_process()?;
        poll::wait_for("systemd to have booted", Duration::from_mins(1), || {
            ensure!(host.unshare.try_wait()?.is_none(), "it has ended");
            let state = host.output("systemctl", &["is-system-running"]);
            Ok(state.is_ok_and(|(_, text)| ["running", "degraded"].contains(&text.trim())).then_some(()))
        })?;
        Ok(host)
    }

    /// A path of the host, as the machine has it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Runs a program in the host and gives whether it is content, and what it prints.
    pub(crate) fn output(&self, program: &str, arguments: &[&str]) -> Result<(bool, String)> {
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &self.pid.to_string(), "env", "-i"]);
        command.args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", program]);
        let output = command.args(arguments).stdin(Stdio::null()).output().context("cannot start nsenter")?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    }

    /// Runs a program in the host that has to be content, and gives what it prints.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let (is_good, text) = self.output(program, arguments)?;
        ensure!(is_good, "{program} {arguments:?} fails in the host: {text}");
        Ok(text)
    }

    /// A property of the unit.
    pub(crate) fn property(&self, name: &str) -> Result<String> {
        let text = self.run("systemctl", &["show", "--value", &format!("--property={name}"), "npd.service"])?;
        Ok(text.trim().to_owned())
    }

    /// The agent's process, as the machine counts processes.
    pub(crate) fn agent(&self) -> Result<u32> {
        let inside = self.property("MainPID")?;
        ensure!(inside != "0", "the unit has no process");
        for id in fs::read_to_string(self.unit_cgroup()?.join("cgroup.procs"))?.lines() {
            let ids = process::status(id, "NSpid").unwrap_or_default();
            if ids.split_whitespace().last() == Some(&inside) {
                return id.parse().context("cgroup.procs has what is no number");
            }
        }
        anyhow::bail!("the machine has no process {inside} of the host")
    }

    /// Its metrics, which only its own loopback interface serves.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        network_namespace::inside(self.pid, || Metrics::read(20257))
    }

    /// Waits until its metrics have something.
    pub(crate) fn wait_for_metrics<T>(&self, what: &str, look: impl Fn(&Metrics) -> Option<T>) -> Result<T> {
        poll::wait_for(what, SOON, || Ok(self.metrics().ok().as_ref().and_then(&look)))
    }

    fn unit_cgroup(&self) -> Result<PathBuf> {
        let path = self.property("ControlGroup")?;
        Ok(self.cgroup.join(path.trim_start_matches('/')))
    }

    /// The process that `unshare` has started, once it is systemd.
    fn first_process(&self) -> Result<u32> {
        let id = self.unshare.id();
        let children = format!("/proc/{id}/task/{id}/children");
        poll::wait_for("the first process of the host", SOON, || {
            let text = fs::read_to_string(&children).context("unshare has ended")?;
            let Some(child) = text.split_whitespace().next() else { return Ok(None) };
            let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
            Ok(if name.trim() == "systemd" { child.parse().ok() } else { None })
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Its child goes with unshare, and with that, the first process of the PID namespace, all others.
        drop(self.unshare.kill());
        drop(self.unshare.wait());
        drop(poll::wait_until("the host's cgroups to be empty", SOON, || remove_cgroups(&self.cgroup).is_ok()));
    }
}

/// Removes a cgroup with all those in it, from the innermost on.
fn remove_cgroups(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroups(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

/// Where the machine has cgroups of version 2.
pub(super) fn unified_cgroups() -> Result<PathBuf> {
    let places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let found = places.into_iter().find(|place| place.join("cgroup.controllers").exists());
    found.ok_or_else(|| skip("needs cgroups of version 2"))
}

/// Makes Debian's smallest root with systemd, of the older of the releases that the package is for.
fn make_root(root: &Path) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--mode=root", "--variant=essential", "--include", PACKAGES, "bookworm"]).arg(root);
    println!("makes a root of Debian in {}", root.display());
    let status = command.status().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(status.success(), "{command:?} ends with {status}");
    Ok(())
}
