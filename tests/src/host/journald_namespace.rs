//! A journald of our own, with files nobody else writes to: the host's program in a journal namespace, or a whole one
//! among mounts of its own, which alone moves its files from /run to /var and can read /dev/kmsg.
//!
//! Needs root and Debian's packages `systemd` (journald, journalctl) and `systemd-journal-remote`; systemd need not
//! run. Dropping a namespace ends its journald and removes its files, also when a test fails.

use std::{
    fs,
    io::{self, Write},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

const JOURNALD: &str = "/lib/systemd/systemd-journald";
const JOURNAL_REMOTE: &str = "/lib/systemd/systemd-journal-remote";
const DEADLINE: Duration = Duration::from_secs(20);

/// A journald that runs until it is dropped.
#[derive(Debug)]
pub struct JournaldNamespace {
    name: String,
    /// It has mounts of its own instead of a journal namespace.
    is_whole: bool,
    environment: Vec<(String, String)>,
    journald: Child,
    socket: UnixDatagram,
}

/// The fields of one entry in the order of the export format; those that start with `__` come first.
pub type ExportedEntry = Vec<(String, Vec<u8>)>;

/// Why tests with a real journald cannot run here; `None` when they can.
#[must_use]
pub fn missing() -> Option<String> {
    let programs = [JOURNALD, JOURNAL_REMOTE, "/usr/bin/journalctl"];
    if let Some(program) = programs.iter().find(|program| !Path::new(program).exists()) {
        return Some(format!("{program} is not installed (Debian: systemd, systemd-journal-remote)"));
    }
    if !fs::read_to_string("/etc/machine-id").is_ok_and(|id| id.trim().len() == 32) {
        return Some("/etc/machine-id has no id (systemd-machine-id-setup)".to_owned());
    }
    // Root alone can make the sockets below /run/systemd.
    let root = fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t0\t"));
    (!root).then(|| "needs root".to_owned())
}

// === impl JournaldNamespace ===

impl JournaldNamespace {
    /// Starts a journald. `settings` are lines of the section `[Journal]`, such as `Storage=volatile`; nothing is
    /// rate-limited.
    pub fn start(settings: &str) -> io::Result<Self> {
        Self::start_with(settings, &[])
    }

    /// Starts a journald with environment variables such as `SYSTEMD_JOURNAL_COMPACT=0`.
    pub fn start_with(settings: &str, environment: &[(&str, &str)]) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("npd-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let settings = format!("[Journal]\nRateLimitIntervalSec=0\nRateLimitBurst=0\n{settings}\n");
        fs::create_dir_all("/etc/systemd")?;
        fs::write(config_path(&name), settings)?;
        let environment: Vec<_> =
            environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let journald = spawn(&name, false, &environment)?;
        let mut namespace = Self { name, is_whole: false, environment, journald, socket: UnixDatagram::unbound()? };
        namespace.connect()?;
        Ok(namespace)
    }

    /// Starts a journald with a /run, a /var/log and an /etc/systemd of its own, as on a host that boots: it writes
    /// to /run until [`Self::flush`]. It reads no sockets but its own, and /dev/kmsg with `ReadKMsg=yes`.
    pub fn start_whole(settings: &str) -> io::Result<Self> {
        let settings = format!("[Journal]\nRateLimitIntervalSec=0\nRateLimitBurst=0\nAudit=no\n{settings}\n");
        let journald = spawn(&settings, true, &[])?;
        let (name, socket) = (settings, UnixDatagram::unbound()?);
        let mut namespace = Self { name, is_whole: true, environment: Vec::new(), journald, socket };
        namespace.connect()?;
        Ok(namespace)
    }

    /// Ends journald as systemd does, and starts it anew. (A whole one forgets everything.)
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop();
        self.journald = spawn(&self.name, self.is_whole, &self.environment)?;
        self.connect()
    }

    /// Kills journald: its files stay as a crash leaves them. [`Self::restart`] starts it anew.
    pub fn kill(&mut self) -> io::Result<()> {
        self.journald.kill()?;
        self.journald.wait().map(drop)
    }

    /// The process of journald, among whose mounts a whole one's files are.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.journald.id()
    }

    /// The name, as `journalctl --namespace` takes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its files are with `Storage=persistent`.
    #[must_use]
    pub fn persistent_folder(&self) -> PathBuf {
        self.folder("var/log/journal")
    }

    /// Where its files are with `Storage=volatile`.
    #[must_use]
    pub fn runtime_folder(&self) -> PathBuf {
        self.folder("run/log/journal")
    }

    /// Where `logger --socket` can write to.
    #[must_use]
    pub fn syslog_socket(&self) -> PathBuf {
        self.sockets().join("dev-log")
    }

    /// Writes an entry with these fields, in journald's own protocol. Names that start with `_` are dropped by
    /// journald. The whole must fit into a datagram, some 200 KiB.
    pub fn send(&self, fields: &[(&str, &[u8])]) -> io::Result<()> {
        let mut datagram = Vec::new();
        for (name, value) in fields {
            datagram.extend_from_slice(name.as_bytes());
            if value.contains(&b'\n') {
                datagram.push(b'\n');
                datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
            } else {
                datagram.push(b'=');
            }
            datagram.extend_from_slice(value);
            datagram.push(b'\n');
        }
        self.socket.send(&datagram).map(drop)
    }

    /// Writes a message of an identifier.
    pub fn log(&self, identifier: &str, message: &str) -> io::Result<()> {
        self.send(&[("SYSLOG_IDENTIFIER", identifier.as_bytes()), ("MESSAGE", message.as_bytes())])
    }

    /// Runs journalctl in the namespace and gives what it prints.
    pub fn journalctl(&self, arguments: &[&str]) -> io::Result<Vec<u8>> {
        let mut command = Command::new("journalctl");
        if self.is_whole {
            command = Command::new("nsenter");
            command.arg("--mount").arg(format!("--target={}", self.journald.id())).arg("journalctl");
        } else {
            command.arg(format!("--namespace={}", self.name));
        }
        run(command.arg("--quiet").args(arguments))
    }

    /// The entries that journalctl selects, oldest first.
    pub fn export(&self, arguments: &[&str]) -> io::Result<Vec<ExportedEntry>> {
        self.journalctl(&[&["--output=export", "--all"], arguments].concat()).map(|text| parse_export(&text))
    }

    /// Waits until everything that was sent is written.
    pub fn sync(&self) -> io::Result<()> {
        self.journalctl(&["--sync"]).map(drop)
    }

    /// Starts new files.
    pub fn rotate(&self) -> io::Result<()> {
        self.journalctl(&["--rotate"]).map(drop)
    }

    /// Deletes all archived files but so many.
    pub fn vacuum(&self, files: u32) -> io::Result<()> {
        self.journalctl(&[&format!("--vacuum-files={files}")]).map(drop)
    }

    /// Moves everything from /run to /var; later entries go to /var. Only a whole journald does.
    pub fn flush(&self) -> io::Result<()> {
        self.journalctl(&["--flush"]).map(drop)
    }

    fn folder(&self, journal: &str) -> PathBuf {
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        if self.is_whole {
            return self.root().join(journal).join(machine.trim());
        }
        Path::new("/").join(journal).join(format!("{}.{}", machine.trim(), self.name))
    }

    fn sockets(&self) -> PathBuf {
        if self.is_whole {
            return self.root().join("run/systemd/journal");
        }
        Path::new("/run/systemd").join(format!("journal.{}", self.name))
    }

    /// The file system as a whole journald sees it.
    fn root(&self) -> PathBuf {
        Path::new("/proc").join(self.journald.id().to_string()).join("root")
    }

    fn connect(&mut self) -> io::Result<()> {
        self.socket = UnixDatagram::unbound()?;
        let path = self.sockets().join("socket");
        poll_until("journald's socket", || self.socket.connect(&path).is_ok())?;
        // It answers when it has opened its files.
        poll_until("journald", || self.sync().is_ok())
    }

    fn stop(&mut self) {
        let id = self.journald.id().to_string();
        let mut ended = || matches!(self.journald.try_wait(), Ok(Some(_)));
        // Its number may be that of another process by now.
        if ended() {
            return;
        }
        // SIGTERM: journald archives nothing, but closes its files in order.
        let terminated = Command::new("kill").arg(id).status();
        if !terminated.is_ok_and(|status| status.success()) || poll_until("journald's end", ended).is_err() {
            drop(self.kill());
        }
    }
}

impl Drop for JournaldNamespace {
    fn drop(&mut self) {
        drop(self.kill());
        if self.is_whole {
            return;
        }
        for folder in [self.persistent_folder(), self.runtime_folder(), self.sockets()] {
            drop(fs::remove_dir_all(folder));
        }
        drop(fs::remove_file(config_path(&self.name)));
    }
}

fn config_path(name: &str) -> PathBuf {
    Path::new("/etc/systemd").join(format!("journald@{name}.conf"))
}

/// A whole journald takes its settings in place of a name.
fn spawn(name: &str, is_whole: bool, environment: &[(String, String)]) -> io::Result<Child> {
    let mut command = Command::new(JOURNALD);
    if is_whole {
        let mounts = "for folder in /run /var/log /etc/systemd; do mount -t tmpfs none $folder || exit; done; \
                      mkdir /var/log/journal; printf %s \"$1\" > /etc/systemd/journald.conf; exec \"$0\"";
        command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", mounts, JOURNALD]);
    }
    command
        .arg(name)
        // Its own complaints would go to the kernel log.
        .env("SYSTEMD_LOG_TARGET", "null")
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn run(command: &mut Command) -> io::Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(output.stdout)
}

fn poll_until(what: &str, mut state: impl FnMut() -> bool) -> io::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    while !state() {
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{what} did not come")));
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    Ok(())
}

// === files with any field ===

/// Writes a journal file with these entries, trusted fields included; each needs `__REALTIME_TIMESTAMP`,
/// `__MONOTONIC_TIMESTAMP` and `_BOOT_ID`. journald itself drops what starts with `_`.
pub fn write_journal(path: &Path, entries: &[ExportedEntry]) -> io::Result<()> {
    let mut text = Vec::new();
    for entry in entries {
        for (name, value) in entry {
            text.extend_from_slice(name.as_bytes());
            if value.contains(&b'\n') {
                text.push(b'\n');
                text.extend_from_slice(&(value.len() as u64).to_le_bytes());
            } else {
                text.push(b'=');
            }
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        text.push(b'\n');
    }
    let mut remote = Command::new(JOURNAL_REMOTE)
        .arg(format!("--output={}", path.display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = remote.stdin.take();
    let written = stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&text));
    let output = remote.wait_with_output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    written
}

/// The entries that `journalctl` selects in a folder, oldest first.
pub fn export_folder(folder: &Path, arguments: &[&str]) -> io::Result<Vec<ExportedEntry>> {
    let mut command = Command::new("journalctl");
    command.arg("--quiet").arg("--output=export").arg("--all").arg("--directory").arg(folder).args(arguments);
    run(&mut command).map(|text| parse_export(&text))
}

/// Reads systemd's export format.
#[must_use]
pub fn parse_export(mut text: &[u8]) -> Vec<ExportedEntry> {
    let mut entries = Vec::new();
    let mut entry = ExportedEntry::new();
    while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = (&text[..end], &text[end + 1..]);
        text = rest;
        if line.is_empty() {
            entries.push(std::mem::take(&mut entry));
        } else if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
            entry.push((String::from_utf8_lossy(&line[..equals]).into_owned(), line[equals + 1..].to_vec()));
        } else if let Some((size, rest)) = text.split_first_chunk() {
            let size = usize::try_from(u64::from_le_bytes(*size)).unwrap_or(usize::MAX).min(rest.len());
            entry.push((String::from_utf8_lossy(line).into_owned(), rest[..size].to_vec()));
            text = rest.get(size + 1..).unwrap_or_default();
        }
    }
    entries
}

/// The first value of a field.
#[must_use]
pub fn field<'a>(entry: &'a ExportedEntry, name: &str) -> Option<&'a [u8]> {
    entry.iter().find(|(known, _)| known == name).map(|(_, value)| &value[..])
}
