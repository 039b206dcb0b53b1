//! Takes away from an agent what a machine, a container runtime or an operator may withhold.
//!
//! Capabilities go with `setpriv`, files with a private mount namespace (`unshare -m`), both of util-linux: wrapper
//! programs instead of code between fork and exec. Each replaces itself by the next, so that the process that the
//! test knows is the agent in the end.

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Nobody, with nothing but what the program's file gives.
const UNPRIVILEGED: [&str; 5] = ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--"];

/// What an administrator can give the program's file: permitted, and in effect once the program asks for it.
const FILE_CAPABILITIES: &str = "cap_bpf,cap_perfmon,cap_syslog=p";

/// Nobody, with CAP_BPF, CAP_PERFMON and CAP_SYSLOG.
const LEAST_PRIVILEGE: [&str; 8] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=-all,+bpf,+perfmon,+syslog",
    "--ambient-caps=+bpf,+perfmon,+syslog",
    "--bounding-set=-all,+bpf,+perfmon,+syslog",
    "--",
];

/// What is taken away; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    without: Vec<Withheld>,
    least: bool,
    by_file: bool,
    beside: Option<u32>,
    is_first: bool,
    pod: Option<Pod>,
}

/// What the kubelet gives a pod's container.
#[derive(Clone, Debug)]
struct Pod {
    /// The folder with the service account's files.
    secrets: PathBuf,
    /// Where it says that the API server is.
    api_server: SocketAddr,
}

/// Something that an agent may have to do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// `CAP_BPF`. `CAP_SYS_ADMIN` goes as well, since the kernel takes it instead.
    Bpf,
    /// `CAP_PERFMON`. `CAP_SYS_ADMIN` goes as well, since the kernel takes it instead.
    Perfmon,
    /// `CAP_SYSLOG`: `/dev/kmsg` cannot be read where `kernel.dmesg_restrict` is 1. `CAP_SYS_ADMIN` goes as well.
    Syslog,
    /// tracefs in both of its places. `CAP_SYS_ADMIN` goes as well, so that nobody mounts it again.
    Tracefs,
    /// `/sys/kernel/btf`.
    Btf,
    /// The tracepoint `block:block_rq_error`, as on kernels before 5.18.
    BlockError,
    /// The file `/dev/kmsg`, as in a container that was not given it.
    Kmsg,
}

// === impl Sandbox ===

impl Sandbox {
    /// Takes these away.
    #[must_use]
    pub fn without(withheld: impl Into<Vec<Withheld>>) -> Self {
        Self { without: withheld.into(), ..Self::default() }
    }

    /// An agent that is not root and has the three capabilities it lives by, and nothing else.
    #[must_use]
    pub fn least_privilege() -> Self {
        Self { least: true, ..Self::default() }
    }

    /// An agent that is not root and has what the capabilities of its file give it. Needs `setcap`.
    #[must_use]
    pub fn file_capabilities(mut self) -> Self {
        self.by_file = true;
        self
    }

    /// Puts the agent among the mounts of another process.
    #[must_use]
    pub fn beside(mut self, process: u32) -> Self {
        self.beside = Some(process);
        self
    }

    /// Makes the agent the first process of a PID namespace, as in a container. The process that the test knows is then
    /// its parent, which takes it along when it is killed.
    #[must_use]
    pub fn first_process() -> Self {
        Self { is_first: true, ..Self::default() }
    }

    /// Makes the agent one of a pod: `secrets` has the service account's `token`, `ca.crt` and `namespace`, as long as it
    /// runs, and the environment names the API server. The agent sees nothing else of /run.
    #[must_use]
    pub fn in_pod(secrets: impl Into<PathBuf>, api_server: SocketAddr) -> Self {
        Self { pod: Some(Pod { secrets: secrets.into(), api_server }), ..Self::default() }
    }

    /// The command that runs a program inside. `folder` belongs to the test.
    pub fn command(&self, program: &Path, folder: &Path) -> Result<Command> {
        let mut words: Vec<String> = Vec::new();
        if let Some(process) = self.beside {
            words.extend(["nsenter".to_owned(), "--mount".to_owned(), format!("--target={process}"), "--".to_owned()]);
        }
        if self.is_first {
            let unshare = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"];
            words.extend(unshare.map(ToOwned::to_owned));
        }
        let mounts = self.without.iter().filter_map(|withheld| withheld.mounts()).map(ToOwned::to_owned);
        let script: Vec<_> = mounts.chain(self.pod.iter().map(Pod::mounts)).collect();
        if !script.is_empty() {
            // A file system that the test sees as well, such as the agent's own folder, stays where it is.
            let script = format!("set -e; {} exec \"$@\"", script.concat());
            words.extend(["unshare", "-m", "sh", "-c", &script, "sh"].map(ToOwned::to_owned));
        }
        let mut capabilities: Vec<_> =
            self.without.iter().flat_map(|withheld| withheld.capabilities().iter().copied()).collect();
        capabilities.sort_unstable();
        capabilities.dedup();
        if !capabilities.is_empty() {
            words.extend(["setpriv".to_owned(), "--bounding-set".to_owned(), capabilities.join(","), "--".to_owned()]);
        }
        let mut program = program.to_owned();
        if self.least || self.by_file {
            // The build's folders may be closed to anyone but root.
            let copy = folder.join("npd-agent");
            fs::copy(&program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;
            for path in [folder, &copy] {
                fs::set_permissions(path, Permissions::from_mode(0o755))
                    .with_context(|| format!("cannot open {} to all", path.display()))?;
            }
            if self.by_file {
                let given = Command::new("setcap").arg(FILE_CAPABILITIES).arg(&copy).status();
                ensure!(given.context("cannot start setcap")?.success(), "setcap has failed");
                words.extend(UNPRIVILEGED.map(ToOwned::to_owned));
            } else {
                words.extend(LEAST_PRIVILEGE.map(ToOwned::to_owned));
            }
            program = copy;
        }
        words.push(program.to_str().with_context(|| format!("{} is no UTF-8", program.display()))?.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(folder);
        if let Some(Pod { api_server, .. }) = &self.pod {
            command.env("KUBERNETES_SERVICE_HOST", api_server.ip().to_string());
            command.env("KUBERNETES_SERVICE_PORT", api_server.port().to_string());
        }
        Ok(command)
    }
}

// === impl Pod ===

impl Pod {
    fn mounts(&self) -> String {
        // What is behind /run is in its way, for only there a folder can be made that the machine does not get.
        format!(
            "mount -t tmpfs none \"$(readlink -f /var/run)\"; d=/var/run/secrets/kubernetes.io/serviceaccount; \
             mkdir -p $d; mount --bind '{}' $d; ",
            self.secrets.display()
        )
    }
}

// === impl Withheld ===

impl Withheld {
    fn capabilities(self) -> &'static [&'static str] {
        match self {
            Self::Bpf => &["-bpf", "-sys_admin"],
            Self::Perfmon => &["-perfmon", "-sys_admin"],
            Self::Syslog => &["-syslog", "-sys_admin"],
            Self::Tracefs => &["-sys_admin"],
            Self::Btf | Self::BlockError | Self::Kmsg => &[],
        }
    }

    fn mounts(self) -> Option<&'static str> {
        match self {
            Self::Bpf | Self::Perfmon | Self::Syslog => None,
            Self::Tracefs => Some(
                "for d in /sys/kernel/tracing /sys/kernel/debug; do \
                 if [ -d $d ]; then mount -t tmpfs -o ro none $d; fi; done; ",
            ),
            Self::Btf => Some("mount -t tmpfs -o ro none /sys/kernel/btf; "),
            Self::BlockError => Some("mount -t tmpfs -o ro none /sys/kernel/tracing/events/block/block_rq_error; "),
            Self::Kmsg => Some(
                "mount -t tmpfs -o mode=755 none /dev; \
                 mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5; \
                 mknod -m 666 /dev/random c 1 8; mknod -m 666 /dev/urandom c 1 9; ",
            ),
        }
    }
}
