//! Kernel tables that can fill up: connections, processes, open files, inodes.
//!
//! Each check compares the usage of a table with its limit and fails at a threshold. The numbers are those of the whole node:
//! /proc/loadavg and file-nr count across all containers; the connection table belongs to the network namespace, so it is the
//! node's if the agent uses the host network.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::timeout};

use super::Health;
use crate::node::limits::{Usage, open_files, threads};

/// A share of a limit in percent, from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent(f64);

/// An invalid share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a percentage: it must be a number from 0 to 100")]
pub struct PercentError(String);

/// Why a usage is unknown.
#[derive(Debug, thiserror::Error)]
enum UsageError {
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} contains {text:?}, which is not a number", .path.display())]
    Number { path: PathBuf, text: String },
}

/// The table of tracked connections. When it is full, packets are dropped (`nf_conntrack: table full`).
#[must_use]
pub fn conntrack(proc: &Path, threshold: Percent) -> Health {
    let folder = proc.join("sys/net/netfilter");
    judge("tracked connections", conntrack_usage(&folder), threshold)
}

/// Processes and threads of the node, which `pid_max` and `threads-max` limit.
#[must_use]
pub fn processes(proc: &Path, threshold: Percent) -> Health {
    judge("processes and threads", processes_usage(proc), threshold)
}

/// Open files of the node.
#[must_use]
pub fn files(proc: &Path, threshold: Percent) -> Health {
    judge("open files", files_usage(proc), threshold)
}

/// The inodes of the file system at `path`. A file system that hangs has `within` to answer.
pub async fn inodes(path: &Path, threshold: Percent, within: Duration) -> Health {
    let what = format!("inodes of {}", path.display());
    let owned = path.to_owned();
    match timeout(within, spawn_blocking(move || inodes_usage(&owned))).await {
        Ok(Ok(usage)) => judge(&what, usage, threshold),
        Ok(Err(error)) => Health::CannotTell(format!("{what}: {error}")),
        Err(_) => Health::CannotTell(format!("{what}: the file system did not answer within {within:?}")),
    }
}

fn judge(what: &str, usage: Result<Usage, UsageError>, threshold: Percent) -> Health {
    match usage {
        Err(error) => Health::CannotTell(format!("{what}: {error}")),
        Ok(usage) if Percent::of(usage) < threshold => Health::Healthy,
        Ok(usage @ Usage { used, limit }) => {
            let share = Percent::of(usage);
            Health::Unhealthy(format!("{used} of {limit} {what} are in use: {share}, the threshold is {threshold}"))
        }
    }
}

fn conntrack_usage(folder: &Path) -> Result<Usage, UsageError> {
    let (used, limit) = (number(&folder.join("nf_conntrack_count"))?, number(&folder.join("nf_conntrack_max"))?);
    Ok(Usage { used, limit })
}

fn processes_usage(proc: &Path) -> Result<Usage, UsageError> {
    let path = proc.join("loadavg");
    let text = read(&path)?;
    let used = threads(&text).ok_or(UsageError::Number { path, text })?;
    let pid_max = number(&proc.join("sys/kernel/pid_max"))?;
    let threads_max = number(&proc.join("sys/kernel/threads-max"))?;
    Ok(Usage { used, limit: pid_max.min(threads_max) })
}

fn files_usage(proc: &Path) -> Result<Usage, UsageError> {
    let path = proc.join("sys/fs/file-nr");
    let text = read(&path)?;
    open_files(&text).ok_or(UsageError::Number { path, text })
}

fn inodes_usage(path: &Path) -> Result<Usage, UsageError> {
    let stat =
        rustix::fs::statvfs(path).map_err(|error| UsageError::Read { path: path.to_owned(), source: error.into() })?;
    // btrfs and others allocate inodes as needed, and report 0.
    Ok(Usage { used: stat.f_files.saturating_sub(stat.f_ffree), limit: stat.f_files })
}

fn number(path: &Path) -> Result<u64, UsageError> {
    parse(path, read(path)?.trim())
}

fn read(path: &Path) -> Result<String, UsageError> {
    fs::read_to_string(path).map_err(|source| UsageError::Read { path: path.to_owned(), source })
}

fn parse(path: &Path, text: &str) -> Result<u64, UsageError> {
    text.parse().map_err(|_| UsageError::Number { path: path.to_owned(), text: text.to_owned() })
}

// === impl Percent ===

impl Percent {
    /// The share in use; 0 if there is no limit.
    #[must_use]
    pub(crate) fn of(usage: Usage) -> Self {
        if usage.limit == 0 { Self(0.0) } else { Self(usage.used as f64 / usage.limit as f64 * 100.0) }
    }
}

impl FromStr for Percent {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, PercentError> {
        match text.parse() {
            Ok(share) if (0.0..=100.0).contains(&share) => Ok(Self(share)),
            _ => Err(PercentError(text.to_owned())),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} %", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(20);

    fn percent(share: &str) -> Percent {
        share.parse().unwrap()
    }

    fn proc(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[tokio::test]
    async fn a_connection_table_is_unhealthy_at_its_threshold() {
        let count = |count| {
            let names = ["sys/net/netfilter/nf_conntrack_count", "sys/net/netfilter/nf_conntrack_max"];
            proc(&[(names[0], count), (names[1], "1000\n")])
        };
        assert_eq!(conntrack(count("899\n").path(), percent("90")), Health::Healthy);
        assert_eq!(
            conntrack(count("900\n").path(), percent("90")),
            Health::Unhealthy("900 of 1000 tracked connections are in use: 90.0 %, the threshold is 90.0 %".to_owned())
        );
    }

    #[tokio::test]
    async fn a_kernel_without_connection_tracking_is_not_unhealthy() {
        let Health::CannotTell(why) = conntrack(proc(&[]).path(), percent("90")) else { panic!("there is an answer") };
        assert!(why.contains("nf_conntrack_count"), "{why}");
    }

    #[tokio::test]
    async fn the_lower_limit_of_processes_applies() {
        for (pid_max, threads_max, healthy) in
            [("32768", "10000", true), ("100", "10000", false), ("32768", "90", false)]
        {
            let proc = proc(&[
                ("loadavg", "0.20 0.18 0.12 1/80 11206\n"),
                ("sys/kernel/pid_max", pid_max),
                ("sys/kernel/threads-max", threads_max),
            ]);
            assert_eq!(processes(proc.path(), percent("80")) == Health::Healthy, healthy, "{pid_max} {threads_max}");
        }
    }

    #[tokio::test]
    async fn open_files_are_compared_with_their_limit() {
        for (text, healthy) in
            [("899\t0\t1000\n", true), ("900\t0\t1000\n", false), ("1184\t0\t9223372036854775807\n", true)]
        {
            let proc = proc(&[("sys/fs/file-nr", text)]);
            assert_eq!(files(proc.path(), percent("90")) == Health::Healthy, healthy, "{text}");
        }
        let proc = proc(&[("sys/fs/file-nr", "x")]);
        assert!(matches!(files(proc.path(), percent("90")), Health::CannotTell(_)));
    }

    #[tokio::test]
    async fn the_checks_work_on_this_machine() {
        let proc = Path::new("/proc");
        for health in [processes(proc, percent("100")), files(proc, percent("100"))] {
            assert_eq!(health, Health::Healthy);
        }
        assert!(matches!(processes(proc, percent("0")), Health::Unhealthy(_)));
        assert!(matches!(inodes(Path::new("/"), percent("0"), WITHIN).await, Health::Unhealthy(_)));
        assert!(matches!(inodes(Path::new("/no/such"), percent("0"), WITHIN).await, Health::CannotTell(_)));
    }

    #[test]
    fn without_a_limit_nothing_is_in_use() {
        assert_eq!(Percent::of(Usage { used: 5, limit: 0 }), Percent(0.0));
    }

    #[test]
    fn a_share_is_from_0_to_100() {
        for text in ["-1", "101", "NaN", "", "x"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }
}
