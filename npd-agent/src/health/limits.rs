//! The kernel's tables that can be full: connections, processes, open files, inodes.
//!
//! Each check compares a use with its limit and is unhealthy from a share on. The numbers are the whole node's:
//! /proc/loadavg and file-nr count across all containers, the connection table is the network namespace's, and so the
//! node's where the agent has the host's network.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::timeout};

use super::Verdict;
use crate::node::limits::{Usage, open_files, threads};

/// A share of a limit in percent, from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent(f64);

/// A share that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no share: it must be a number from 0 to 100")]
pub struct PercentError(String);

/// Why a usage is not known.
#[derive(Debug, thiserror::Error)]
enum UsageError {
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} says {text:?}, which is no number", .path.display())]
    Number { path: PathBuf, text: String },
}

/// The table of tracked connections, which drops packets when it is full (`nf_conntrack: table full`).
#[must_use]
pub fn conntrack(proc: &Path, threshold: Percent) -> Verdict {
    let folder = proc.join("sys/net/netfilter");
    judge("tracked connections", conntrack_usage(&folder), threshold)
}

/// Processes and threads of the node, of which there can be as many as `pid_max` or `threads-max` says.
#[must_use]
pub fn processes(proc: &Path, threshold: Percent) -> Verdict {
    judge("processes and threads", processes_usage(proc), threshold)
}

/// Open files of the node.
#[must_use]
pub fn files(proc: &Path, threshold: Percent) -> Verdict {
    judge("open files", files_usage(proc), threshold)
}

/// The inodes of the file system at `path`. A file system that hangs is given `within`.
pub async fn inodes(path: &Path, threshold: Percent, within: Duration) -> Verdict {
    let what = format!("inodes of {}", path.display());
    let owned = path.to_owned();
    match timeout(within, spawn_blocking(move || inodes_usage(&owned))).await {
        Ok(Ok(usage)) => judge(&what, usage, threshold),
        Ok(Err(error)) => Verdict::CannotTell(format!("{what}: {error}")),
        Err(_) => Verdict::CannotTell(format!("{what}: the file system did not answer within {within:?}")),
    }
}

fn judge(what: &str, usage: Result<Usage, UsageError>, threshold: Percent) -> Verdict {
    match usage {
        Err(error) => Verdict::CannotTell(format!("{what}: {error}")),
        Ok(usage) if Percent::of(usage) < threshold => Verdict::Healthy,
        Ok(usage @ Usage { used, limit }) => {
            let share = Percent::of(usage);
            Verdict::Unhealthy(format!("{used} of {limit} {what} are in use: {share}, the threshold is {threshold}"))
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
    // btrfs and others make inodes as they need them, and say 0.
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
    /// The share that is in use; without a limit nothing is.
    #[must_use]
    pub fn of(usage: Usage) -> Self {
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
    async fn a_connection_table_is_full_from_its_threshold_on() {
        let count = |count| {
            let names = ["sys/net/netfilter/nf_conntrack_count", "sys/net/netfilter/nf_conntrack_max"];
            proc(&[(names[0], count), (names[1], "1000\n")])
        };
        assert_eq!(conntrack(count("899\n").path(), percent("90")), Verdict::Healthy);
        assert_eq!(
            conntrack(count("900\n").path(), percent("90")),
            Verdict::Unhealthy(
                "900 of 1000 tracked connections are in use: 90.0 %, the threshold is 90.0 %".to_owned()
            )
        );
    }

    #[tokio::test]
    async fn a_kernel_without_connection_tracking_is_not_unhealthy() {
        let Verdict::CannotTell(why) = conntrack(proc(&[]).path(), percent("90")) else { panic!("it told") };
        assert!(why.contains("nf_conntrack_count"), "{why}");
    }

    #[tokio::test]
    async fn the_lower_limit_of_processes_counts() {
        for (pid_max, threads_max, healthy) in
            [("32768", "10000", true), ("100", "10000", false), ("32768", "90", false)]
        {
            let proc = proc(&[
                ("loadavg", "0.20 0.18 0.12 1/80 11206\n"),
                ("sys/kernel/pid_max", pid_max),
                ("sys/kernel/threads-max", threads_max),
            ]);
            assert_eq!(processes(proc.path(), percent("80")) == Verdict::Healthy, healthy, "{pid_max} {threads_max}");
        }
    }

    #[tokio::test]
    async fn open_files_are_compared_with_their_limit() {
        for (text, healthy) in
            [("899\t0\t1000\n", true), ("900\t0\t1000\n", false), ("1184\t0\t9223372036854775807\n", true)]
        {
            let proc = proc(&[("sys/fs/file-nr", text)]);
            assert_eq!(files(proc.path(), percent("90")) == Verdict::Healthy, healthy, "{text}");
        }
        let proc = proc(&[("sys/fs/file-nr", "x")]);
        assert!(matches!(files(proc.path(), percent("90")), Verdict::CannotTell(_)));
    }

    #[tokio::test]
    async fn this_machine_can_be_asked() {
        let proc = Path::new("/proc");
        for verdict in [processes(proc, percent("100")), files(proc, percent("100"))] {
            assert_eq!(verdict, Verdict::Healthy);
        }
        assert!(matches!(processes(proc, percent("0")), Verdict::Unhealthy(_)));
        assert!(matches!(inodes(Path::new("/"), percent("0"), WITHIN).await, Verdict::Unhealthy(_)));
        assert!(matches!(inodes(Path::new("/no/such"), percent("0"), WITHIN).await, Verdict::CannotTell(_)));
    }

    #[test]
    fn where_there_is_no_limit_nothing_is_used_up() {
        assert_eq!(Percent::of(Usage { used: 5, limit: 0 }), Percent(0.0));
    }

    #[test]
    fn a_share_lies_between_0_and_100() {
        for text in ["-1", "101", "NaN", "", "x"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }
}
