//! A process that something happens to: `npd-victim`, under a name of the test's choice.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::driver::{
    binary,
    poll::{self, SOON},
};

/// A running victim; killed when dropped.
#[derive(Debug)]
pub struct Victim {
    child: Child,
    orders: ChildStdin,
    answers: ChildStdout,
}

// === impl Victim ===

impl Victim {
    /// Starts one under the name `comm`, which waits for its orders. `arguments` say what an order makes it do.
    pub fn start(comm: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(binary::victim()?);
        command.arg(comm).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let orders = child.stdin.take().context("the victim has no stdin")?;
        let answers = child.stdout.take().context("the victim has no stdout")?;
        let mut victim = Self { child, orders, answers };
        victim.wait_for_answer()?;
        Ok(victim)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes it do its work once more.
    pub fn order(&mut self) -> Result<()> {
        self.orders.write_all(b".").context("the victim takes no orders")
    }

    /// Waits until its work is done.
    pub fn wait_for_answer(&mut self) -> Result<()> {
        self.answers.read_exact(&mut [0]).context("the victim gives no answer")
    }

    /// Waits until it sleeps uninterruptibly.
    pub fn wait_until_blocked(&self) -> Result<()> {
        let path = format!("/proc/{}/stat", self.pid());
        poll::wait_until("the victim to be in state D", SOON, || {
            std::fs::read_to_string(&path).is_ok_and(|stat| stat.contains(") D "))
        })
    }

    /// Waits for its end, which it is to meet by a signal.
    pub fn wait_for_death(&mut self) -> Result<ExitStatus> {
        let status = poll::wait_for("the victim's end", SOON, || self.child.try_wait().context("cannot wait"))?;
        ensure!(!status.success(), "the victim survived");
        Ok(status)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // In state D it does not die before it is let go; then it does by itself.
        drop(self.child.kill());
        if poll::wait_for("the victim's end", SOON, || Ok(self.child.try_wait()?)).is_err() {
            drop(writeln!(std::io::stderr(), "process {} cannot be killed", self.pid()));
        }
    }
}
