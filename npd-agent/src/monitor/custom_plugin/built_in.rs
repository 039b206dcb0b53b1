//! A check that is a function of the agent instead of a program.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Check, CheckStatus, Outcome, Run, RunKind, check::Pending};
use crate::{
    health::{Health, built_in::BuiltIn},
    node::Node,
};

/// A built-in check as a [`Check`].
pub(super) struct BuiltInCheck {
    pub(super) check: BuiltIn,
    pub(super) node: Node,
}

impl Check for BuiltInCheck {
    fn run<'a>(&'a mut self, within: Duration, stop: &'a CancellationToken) -> Pending<'a, Option<Run>> {
        Box::pin(async move {
            let health = tokio::select! {
                health = timeout(within, self.check.run(&self.node, within)) => health,
                () = stop.cancelled() => return None,
            };
            let (status, message) = match health {
                Ok(Health::Healthy) => (CheckStatus::Ok, String::new()),
                Ok(Health::Unhealthy(why)) => (CheckStatus::Problem, why),
                Ok(Health::CannotTell(why)) => (CheckStatus::Unknown, why),
                Err(_) => {
                    let text = format!("the check did not end within {within:?}");
                    let reason = Some(RunKind::Timeout.reason().to_owned());
                    let outcome = Outcome { reason, ..Outcome::new(CheckStatus::Unknown, text) };
                    return Some(Run { kind: RunKind::Timeout, ..Run::from(outcome) });
                }
            };
            Some(Run::from(Outcome::new(status, message)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome(name: &str, args: &[&str]) -> (CheckStatus, RunKind, String) {
        let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut check = BuiltInCheck { check: BuiltIn::parse(name, &args).unwrap(), node: Node::default() };
        let ran = check.run(Duration::from_secs(20), &CancellationToken::new()).await.unwrap();
        (ran.outcome.status, ran.kind, ran.outcome.message)
    }

    #[tokio::test]
    async fn a_verdict_maps_to_the_status_that_an_exit_code_would_have() {
        assert_eq!(outcome("files", &["--threshold=100"]).await, (CheckStatus::Ok, RunKind::Ok, String::new()));
        let (status, kind, message) = outcome("processes", &["--threshold=0"]).await;
        assert_eq!((status, kind), (CheckStatus::Problem, RunKind::Problem));
        assert!(message.contains("the threshold is 0.0 %"), "{message}");
        let (status, kind, message) =
            outcome("cri", &["--cri-socket-path=unix:///nowhere/at/all.sock", "--enable-repair=false"]).await;
        assert_eq!((status, kind), (CheckStatus::Unknown, RunKind::Unknown));
        assert!(message.starts_with("error checking cri health: "), "{message}");
    }

    #[tokio::test]
    async fn a_stopped_check_has_no_result() {
        let stop = CancellationToken::new();
        stop.cancel();
        let mut check = BuiltInCheck { check: BuiltIn::parse("inodes", &[]).unwrap(), node: Node::default() };
        // Both may be ready at once; what matters is that it ends.
        drop(tokio::time::timeout(Duration::from_secs(20), check.run(Duration::MAX, &stop)).await.unwrap());
    }
}
