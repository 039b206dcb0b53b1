//! The checks that the agent runs itself, by name: of a component, as health-checker does, and of the node's limits.
//!
//! Each takes arguments as a program would, so that a config can switch between the two: a component takes health-checker's
//! flags other than `--component`.

use std::{iter, path::PathBuf, time::Duration};

use clap::Parser;

use super::{
    Health,
    args::{ComponentArgs, UsageError},
    checker::ComponentCheck,
    clock::{ClockLimits, clock},
    limits::{self, Percent},
};
use crate::{go::duration::GoDuration, node::Node, process::klog::KlogArgs};

/// A check that runs in the agent, without a program.
#[derive(Clone, Debug)]
pub enum BuiltIn {
    /// A component of the node, with its repair: what health-checker does.
    Component(Box<ComponentCheck>),
    /// Tracked connections.
    Conntrack(Percent),
    /// Processes and threads.
    Processes(Percent),
    /// Open files.
    Files(Percent),
    /// The inodes of a file system.
    Inodes {
        /// A path on the file system.
        path: PathBuf,
        /// The share in use at which the check fails.
        threshold: Percent,
    },
    /// Whether the clock is synchronised.
    Clock(ClockLimits),
}

/// All checks by name, each with what it looks at, in Markdown.
pub const CHECKS: [(&str, &str); 9] = [
    ("kubelet", "the kubelet, with the flags of `health-checker`"),
    ("kube-proxy", "kube-proxy, with the flags of `health-checker`"),
    ("docker", "Docker, with the flags of `health-checker`"),
    ("cri", "the container runtime, with the flags of `health-checker`"),
    ("conntrack", "tracked connections, with `--threshold=PERCENT`"),
    ("processes", "processes and threads, with `--threshold=PERCENT`"),
    ("files", "open files, with `--threshold=PERCENT`"),
    ("inodes", "the inodes of a file system, with `--threshold=PERCENT` and `--path=PATH`"),
    ("clock", "whether the clock is synchronized, with `--max-error=DURATION`"),
];

/// A check that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuiltInError {
    /// An unknown name.
    #[error("unknown check {0:?}; the checks are {names}", names = CHECKS.map(|(name, _)| name).join(", "))]
    Name(String),
    /// An unknown argument, or one with an invalid value.
    #[error("{0}")]
    Argument(String),
    /// Arguments that are wrong together.
    #[error(transparent)]
    Usage(#[from] UsageError),
}

/// The arguments of a component. The flags of klog have no effect, but configs that worked with the program have them.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct BuiltInComponentArgs {
    #[command(flatten)]
    component: ComponentArgs,
    #[command(flatten)]
    _klog: KlogArgs,
}

/// The arguments of a limit.
#[derive(Debug, Parser)]
struct LimitArgs {
    /// The share in use, in percent, at which the check fails.
    #[arg(long, default_value = "90")]
    threshold: Percent,
}

#[derive(Debug, Parser)]
struct InodesArgs {
    #[arg(long, default_value = "90")]
    threshold: Percent,
    /// A path on the file system.
    #[arg(long, default_value = "/")]
    path: PathBuf,
}

#[derive(Debug, Parser)]
struct ClockArgs {
    /// Maximum error of the clock; without it, only a clock that is not synchronised fails the check.
    #[arg(long)]
    max_error: Option<GoDuration>,
}

// === impl BuiltIn ===

impl BuiltIn {
    /// The check with this name and these arguments.
    pub fn parse(name: &str, args: &[String]) -> Result<Self, BuiltInError> {
        let limit = || parse::<LimitArgs>(args).map(|limit| limit.threshold);
        Ok(match name {
            "kubelet" | "kube-proxy" | "docker" | "cri" => {
                let component = [format!("--component={name}")];
                let args = parse::<BuiltInComponentArgs>(args.iter().chain(&component))?;
                Self::Component(Box::new(args.component.check()?))
            }
            "conntrack" => Self::Conntrack(limit()?),
            "processes" => Self::Processes(limit()?),
            "files" => Self::Files(limit()?),
            "inodes" => {
                let InodesArgs { threshold, path } = parse(args)?;
                Self::Inodes { path, threshold }
            }
            "clock" => {
                let max_error = parse::<ClockArgs>(args)?.max_error.and_then(GoDuration::to_std);
                Self::Clock(ClockLimits { max_error })
            }
            _ => return Err(BuiltInError::Name(name.to_owned())),
        })
    }

    /// Checks, and repairs if that is enabled. The message about a component is health-checker's.
    pub async fn run(&self, node: &Node, within: Duration) -> Health {
        let proc = &node.proc;
        match self {
            Self::Component(check) => match check.run().await {
                Health::Healthy => Health::Healthy,
                Health::Unhealthy(_) => Health::Unhealthy(check.unhealthy()),
                Health::CannotTell(why) => Health::CannotTell(check.cannot_tell(&why)),
            },
            Self::Conntrack(threshold) => limits::conntrack(proc, *threshold),
            Self::Processes(threshold) => limits::processes(proc, *threshold),
            Self::Files(threshold) => limits::files(proc, *threshold),
            Self::Inodes { path, threshold } => limits::inodes(path, *threshold, within).await,
            Self::Clock(limits) => clock(*limits),
        }
    }
}

/// Parses arguments. An error is a single line.
fn parse<A: Parser>(args: impl IntoIterator<Item = impl AsRef<str>>) -> Result<A, BuiltInError> {
    let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
    A::try_parse_from(iter::once("check".to_owned()).chain(args)).map_err(|error| {
        let text = error.render().to_string();
        let line = text.lines().next().unwrap_or_default();
        BuiltInError::Argument(line.trim_start_matches("error: ").to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in(name: &str, args: &[&str]) -> Result<BuiltIn, String> {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        BuiltIn::parse(name, &args).map_err(|error| error.to_string())
    }

    #[test]
    fn every_name_has_a_check_that_needs_no_arguments() {
        for (name, _) in CHECKS {
            assert!(built_in(name, &[]).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_component_takes_the_flags_of_health_checker() {
        let Ok(BuiltIn::Component(check)) = built_in("cri", &["--service=crio", "--enable-repair=false"]) else {
            panic!("no component")
        };
        assert_eq!((check.component.name(), &*check.service, check.repair), ("cri", "crio", None));
    }

    #[test]
    fn an_error_is_one_line() {
        for (name, args, expected) in [
            ("etcd", &[][..], "unknown check \"etcd\"; the checks are kubelet, kube-proxy, docker"),
            ("conntrack", &["--threshold=200"], "invalid value '200' for '--threshold <THRESHOLD>'"),
            ("clock", &["--max-error=5"], "invalid value '5' for '--max-error <MAX_ERROR>'"),
            ("files", &["--path=/"], "unexpected argument '--path' found"),
            ("cri", &["--cri-socket-path="], "the cri-socket-path cannot be empty for cri component"),
        ] {
            let error = built_in(name, args).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains('\n'), "{error}");
        }
    }

    #[tokio::test]
    async fn a_limit_is_that_of_the_nodes_own_proc() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(proc.path().join("sys/fs")).unwrap();
        std::fs::write(proc.path().join("sys/fs/file-nr"), "95 0 100\n").unwrap();
        let node = Node { proc: proc.path().into(), ..Node::default() };
        let answer = built_in("files", &[]).unwrap().run(&node, Duration::from_secs(20)).await;
        assert!(matches!(&answer, Health::Unhealthy(why) if why.contains("95 of 100 open files")), "{answer:?}");
    }

    #[tokio::test]
    async fn a_check_fails_at_its_threshold() {
        let within = Duration::from_secs(20);
        let none = built_in("processes", &["--threshold=0"]).unwrap().run(&Node::default(), within).await;
        assert!(matches!(&none, Health::Unhealthy(why) if why.contains("processes and threads")), "{none:?}");
        let all = built_in("processes", &["--threshold=100"]).unwrap().run(&Node::default(), within).await;
        assert_eq!(all, Health::Healthy);
    }
}
