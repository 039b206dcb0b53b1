//! Command lines: what is refused, where that is said, and the exit code.

use anyhow::{Result, ensure};
use npd_tests::driver::suite::Suite;

use crate::program::{HealthChecker, log_counter};

pub(crate) fn add(suite: &mut Suite) {
    suite.test("usage: a health check of nothing known is refused on standard output, with exit status 2", component);
    suite.test("usage: an empty crictl path or socket is refused for cri, on standard output", empty);
    suite.test("usage: what is no flag or value is refused on standard error, with exit status 2", syntax);
    suite.test("usage: help is no error", help);
}

fn component() -> Result<()> {
    HealthChecker::new(&["--component=etcd"])?.run()?.expect(
        2,
        "the component specified is not supported. Supported components are : <kubelet/docker/cri/kube-proxy>",
    )
}

fn empty() -> Result<()> {
    for flag in ["crictl-path", "cri-socket-path"] {
        let outcome = HealthChecker::new(&["--component=cri", &format!("--{flag}=")])?.run()?;
        outcome.expect(2, &format!("the {flag} cannot be empty for cri component"))?;
    }
    HealthChecker::new(&[])?
        .env("KUBELET_PORT", "kubelet")
        .run()?
        .expect(2, "$KUBELET_PORT is \"kubelet\": it must be a port, from 1 to 65535")
}

fn syntax() -> Result<()> {
    for flag in ["--nope", "--cooldown-time=5", "--enable-repair=maybe", "--log-pattern=0:a", "--log-pattern=a"] {
        let outcome = HealthChecker::new(&[flag])?.run()?;
        ensure!(outcome.code == Some(2) && outcome.stdout.is_empty(), "{flag}: {outcome:?}");
        ensure!(outcome.stderr.contains("--"), "{flag}: {outcome:?}");
    }
    for flag in ["--nope", "--count=x", "--source=syslog"] {
        let outcome = log_counter(&[flag])?;
        ensure!(outcome.code == Some(2) && outcome.stdout.is_empty(), "{flag}: {outcome:?}");
    }
    Ok(())
}

fn help() -> Result<()> {
    for outcome in [HealthChecker::new(&["--help"])?.run()?, log_counter(&["--help"])?] {
        ensure!(outcome.code == Some(0) && outcome.stdout.contains("Exit status:"), "{outcome:?}");
    }
    Ok(())
}
