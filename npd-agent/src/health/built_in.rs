//! The checks that the agent runs itself, by name: of a component as health-checker does, and of the node's limits.
//!
//! Each takes arguments as a program would, so that a config can go from the one to the other: those of a component are
//! health-checker's flags but `--component`.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use super::{
    Verdict,
    args::{Args, UsageError},
    checker::Check,
    clock::{ClockLimits, clock},
    limits::{self, Percent},
};
use crate::{go::duration::GoDuration, node::Node};

/// A check that needs no program.
#[derive(Clone, Debug)]
pub enum BuiltIn {
    /// A component of the node, with its repair: health-checker.
    Component(Box<Check>),
    /// Tracked connections.
    Conntrack(Percent),
    /// Processes and threads.
    Processes(Percent),
    /// Open files.
    Files(Percent),
    /// The inodes of a file system.
    Inodes {
        /// Something on it.
        path: PathBuf,
        /// From which share on it is a problem.
        threshold: Percent,
    },
    /// Whether the clock is kept.
    Clock(ClockLimits),
}

/// The names of all of them.
pub const NAMES: [&str; 9] =
    ["kubelet", "kube-proxy", "docker", "cri", "conntrack", "processes", "files", "inodes", "clock"];

/// Why there is no such check.
#[derive(Debug, thiserror::Error)]
pub enum BuiltInError {
    /// No such name.
    #[error("there is no check {0:?}; there are {names}", names = NAMES.join(", "))]
    Name(String),
    /// An argument that is none, or has a wrong value.
    #[error("{0}")]
    Argument(String),
    /// Arguments that are wrong as a whole.
    #[error(transparent)]
    Usage(#[from] UsageError),
}

/// The arguments of a limit.
#[derive(Debug, Parser)]
struct LimitArgs {
    /// The share in percent from which on it is a problem.
    #[arg(long, default_value = "90")]
    threshold: Percent,
}

#[derive(Debug, Parser)]
struct InodesArgs {
    #[arg(long, default_value = "90")]
    threshold: Percent,
    /// Something on the file system.
    #[arg(long, default_value = "/")]
    path: PathBuf,
}

#[derive(Debug, Parser)]
struct ClockArgs {
    /// How wrong the clock may be; without it only a clock that nobody keeps is a problem.
    #[arg(long)]
    max_error: Option<GoDuration>,
}

// === impl BuiltIn ===

impl BuiltIn {
    /// The check of this name with these arguments.
    pub fn parse(name: &str, args: &[String]) -> Result<Self, BuiltInError> {
        let limit = || parse::<LimitArgs>(args).map(|limit| limit.threshold);
        Ok(match name {
            "kubelet" | "kube-proxy" | "docker" | "cri" => {
                let component = [format!("--component={name}")];
                let args = parse::<Args>(args.iter().chain(&component))?;
                Self::Component(Box::new(args.check()?))
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

    /// Checks, and repairs as far as that is wanted. What a person reads of a component is what health-checker says.
    pub async fn run(&self, node: &Node, within: Duration) -> Verdict {
        let proc = &node.proc;
        match self {
            Self::Component(check) => match check.run().await {
                Verdict::Healthy => Verdict::Healthy,
                Verdict::Unhealthy(_) => Verdict::Unhealthy(check.unhealthy()),
                Verdict::CannotTell(why) => Verdict::CannotTell(check.cannot_tell(&why)),
            },
            Self::Conntrack(threshold) => limits::conntrack(proc, *threshold),
            Self::Processes(threshold) => limits::processes(proc, *threshold),
            Self::Files(threshold) => limits::files(proc, *threshold),
            Self::Inodes { path, threshold } => limits::inodes(path, *threshold, within).await,
            Self::Clock(limits) => clock(*limits),
        }
    }
}

/// Arguments, or what is wrong with them in one line.
fn parse<A: Parser>(args: impl IntoIterator<Item = impl AsRef<str>>) -> Result<A, BuiltInError> {
    let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
    A::try_parse_from(std::iter::once("check".to_owned()).chain(args)).map_err(|error| {
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
        for name in NAMES {
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
    fn what_is_wrong_is_said_in_one_line() {
        for (name, args, expected) in [
            ("etcd", &[][..], "there is no check \"etcd\"; there are kubelet, kube-proxy, docker"),
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
    async fn a_limit_is_reached_at_its_threshold() {
        let within = Duration::from_secs(20);
        let none = built_in("processes", &["--threshold=0"]).unwrap().run(&Node::default(), within).await;
        assert!(matches!(&none, Verdict::Unhealthy(why) if why.contains("processes and threads")), "{none:?}");
        let all = built_in("processes", &["--threshold=100"]).unwrap().run(&Node::default(), within).await;
        assert_eq!(all, Verdict::Healthy);
    }
}
