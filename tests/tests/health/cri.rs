//! A container runtime, played by a gRPC server; and a crictl.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use npd_tests::driver::{poll::SOON, suite::Suite};
use tempfile::TempDir;
use tonic::Code;

use crate::{
    http::{Answer, HttpServer},
    program::HealthChecker,
    runtime::{Behaviour, Does, Runtime},
};

pub(crate) fn add(suite: &mut Suite) {
    suite.test("cri: a runtime that answers and is ready is healthy, also without a network", healthy);
    suite.test("cri: each call tells the runtime its deadline", deadlines);
    suite.test("cri: a runtime that says that it is not ready is unhealthy, with its reason in the log", not_ready);
    suite.test("cri: a runtime that refuses a call is unhealthy", refusing);
    suite.test("cri: a call that takes longer than --cri-timeout is unhealthy", slow);
    suite.test("cri: all calls together take no longer than --health-check-timeout", slow_as_a_whole);
    suite.test("cri: what speaks no gRPC is unhealthy", no_grpc);
    suite.test("cri: a listener that never accepts is unhealthy in time", never_accepts);
    suite.test("cri: without a socket and without systemd nothing can be told", no_socket);
    suite.test("cri: crictl is asked when its path is given, and its exit status counts", crictl);
    suite.test("cri: a crictl that is missing tells nothing", no_crictl);
    suite.test("cri: a crictl that hangs is unhealthy, and is ended", slow_crictl);
}

const READY: &[(&str, bool)] = &[("RuntimeReady", true), ("NetworkReady", true)];

struct Cri {
    folder: TempDir,
}

impl Cri {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir().context("cannot make a folder")? })
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("containerd.sock")
    }

    fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn check(&self, args: &[&str]) -> Result<HealthChecker> {
        let socket = format!("--cri-socket-path={}", self.endpoint());
        HealthChecker::new(&[&["--component=cri", "--enable-repair=false", socket.as_str()], args].concat())
    }

    /// A crictl of these lines of shell.
    fn crictl(&self, script: &str) -> Result<String> {
        let path = self.folder.path().join("crictl");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).context("cannot write")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context("cannot make it executable")?;
        Ok(format!("--crictl-path={}", path.display()))
    }
}

fn healthy() -> Result<()> {
    for conditions in [READY, &[("RuntimeReady", true), ("NetworkReady", false)]] {
        let cri = Cri::new()?;
        let _runtime = Runtime::start(&cri.socket(), Behaviour::with(conditions))?;
        cri.check(&[])?.run()?.expect_healthy()?;
    }
    Ok(())
}

fn deadlines() -> Result<()> {
    let cri = Cri::new()?;
    let runtime = Runtime::start(&cri.socket(), Behaviour::with(READY))?;
    cri.check(&["--cri-timeout=15s"])?.run()?.expect_healthy()?;
    let expected = ["/runtime.v1.RuntimeService/Version 15000m", "/runtime.v1.RuntimeService/Status 15000m"];
    ensure!(runtime.calls() == expected, "{:?}", runtime.calls());
    Ok(())
}

fn not_ready() -> Result<()> {
    let cri = Cri::new()?;
    let _runtime = Runtime::start(&cri.socket(), Behaviour::with(&[("NetworkReady", true), ("RuntimeReady", false)]))?;
    let outcome = cri.check(&[])?.run()?;
    outcome.expect_unhealthy("cri", "containerd", false)?;
    ensure!(outcome.stderr.contains("not ready: NotYet: not yet"), "{outcome:?}");
    Ok(())
}

fn refusing() -> Result<()> {
    let ready = || Behaviour::with(READY);
    let refused = "the disk is on fire: 100 %";
    for behaviour in [
        Behaviour { version: Does::Fail(Code::Unimplemented, refused), ..ready() },
        Behaviour { status: Does::Fail(Code::Internal, refused), ..ready() },
    ] {
        let cri = Cri::new()?;
        let _runtime = Runtime::start(&cri.socket(), behaviour)?;
        let outcome = cri.check(&[])?.run()?;
        outcome.expect_unhealthy("cri", "containerd", false)?;
        ensure!(outcome.stderr.contains(refused), "{outcome:?}");
    }
    Ok(())
}

fn slow() -> Result<()> {
    for behaviour in [
        Behaviour { version: Does::Hang, ..Behaviour::with(READY) },
        Behaviour { status: Does::Hang, ..Behaviour::with(READY) },
    ] {
        let cri = Cri::new()?;
        let _runtime = Runtime::start(&cri.socket(), behaviour)?;
        let outcome = cri.check(&["--cri-timeout=300ms", "--health-check-timeout=10m"])?.run()?;
        outcome.expect_unhealthy("cri", "containerd", false)?;
        ensure!((Duration::from_millis(300)..SOON).contains(&outcome.took), "{outcome:?}");
    }
    Ok(())
}

fn slow_as_a_whole() -> Result<()> {
    let cri = Cri::new()?;
    let _runtime = Runtime::start(&cri.socket(), Behaviour { status: Does::Hang, ..Behaviour::with(READY) })?;
    let outcome = cri.check(&["--cri-timeout=10m", "--health-check-timeout=300ms"])?.run()?;
    outcome.expect_unhealthy("cri", "containerd", false)?;
    ensure!((Duration::from_millis(300)..SOON).contains(&outcome.took), "{outcome:?}");
    Ok(())
}

fn no_grpc() -> Result<()> {
    for answer in [Answer::Status(200), Answer::Nothing, Answer::Noise] {
        let cri = Cri::new()?;
        let _server = HttpServer::unix(&cri.socket(), answer)?;
        let outcome = cri.check(&["--cri-timeout=1s"])?.run()?;
        outcome.expect_unhealthy("cri", "containerd", false).with_context(|| format!("{answer:?}"))?;
    }
    Ok(())
}

fn never_accepts() -> Result<()> {
    let cri = Cri::new()?;
    let _listener = UnixListener::bind(cri.socket()).context("cannot listen")?;
    let outcome = cri.check(&["--cri-timeout=300ms"])?.run()?;
    outcome.expect_unhealthy("cri", "containerd", false)?;
    ensure!(outcome.took < SOON, "{outcome:?}");
    Ok(())
}

fn no_socket() -> Result<()> {
    Cri::new()?.check(&[])?.run()?.expect_unknown("cri", "containerd.sock: No such file or directory")
}

fn crictl() -> Result<()> {
    let cri = Cri::new()?;
    let seen = cri.folder.path().join("seen");
    let crictl = cri.crictl(&format!("echo \"$@\" > {}; echo noise", seen.display()))?;
    cri.check(&[&crictl, "--cri-timeout=1m30s"])?.run()?.expect_healthy()?;
    let seen = fs::read_to_string(seen).context("it was not started")?;
    let expected = format!("--timeout=1m30s --runtime-endpoint={} pods --latest", cri.endpoint());
    ensure!(seen.trim_end() == expected, "{seen}");
    let crictl = cri.crictl("exit 1")?;
    cri.check(&[&crictl])?.run()?.expect_unhealthy("cri", "containerd", false)
}

fn no_crictl() -> Result<()> {
    let path = "--crictl-path=/no/such/crictl";
    Cri::new()?.check(&[path])?.run()?.expect_unknown("cri", "cannot run /no/such/crictl: No such file or directory")
}

fn slow_crictl() -> Result<()> {
    let cri = Cri::new()?;
    let crictl = cri.crictl("exec sleep 600")?;
    let outcome = cri.check(&[&crictl, "--health-check-timeout=300ms"])?.run()?;
    outcome.expect_unhealthy("cri", "containerd", false)?;
    ensure!(outcome.took < SOON, "{outcome:?}");
    Ok(())
}
