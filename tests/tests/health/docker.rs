//! Docker, played by an HTTP server on a Unix socket.

use std::{os::unix::net::UnixListener, time::Duration};

use anyhow::{Context, Result, ensure};
use npd_tests::driver::suite::Suite;
use tempfile::TempDir;

use crate::{
    bus::{Service, Systemd},
    http::{Answer, HttpServer},
    program::HealthChecker,
};

pub(crate) fn add(suite: &mut Suite) {
    suite.test("docker: a daemon that lists its containers is healthy", healthy);
    suite.test("docker: one that fails, hangs or hangs up is unhealthy", unhealthy);
    suite.test("docker: a socket without a listener is unhealthy", dead);
    suite.test("docker: without a socket and without systemd nothing can be told", no_socket);
    suite.test("docker: without a socket it is unhealthy where systemd knows its service", service_without_socket);
}

struct Docker {
    folder: TempDir,
}

impl Docker {
    fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir().context("cannot make a folder")? })
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn check(&self, args: &[&str]) -> Result<HealthChecker> {
        let socket = format!("--docker-socket-path=unix://{}", self.socket().display());
        HealthChecker::new(&[&["--component=docker", "--enable-repair=false", socket.as_str()], args].concat())
    }
}

fn healthy() -> Result<()> {
    let docker = Docker::new()?;
    let server = HttpServer::unix(&docker.socket(), Answer::Status(200))?;
    docker.check(&[])?.run()?.expect_healthy()?;
    ensure!(server.seen()[0].starts_with("GET /containers/json docker "), "{:?}", server.seen());
    Ok(())
}

fn unhealthy() -> Result<()> {
    for answer in [Answer::Status(500), Answer::Silence, Answer::Nothing, Answer::Noise] {
        let docker = Docker::new()?;
        let _server = HttpServer::unix(&docker.socket(), answer)?;
        let outcome = docker.check(&["--health-check-timeout=300ms"])?.run()?;
        outcome.expect_unhealthy("docker", "docker", false).with_context(|| format!("{answer:?}"))?;
    }
    Ok(())
}

fn dead() -> Result<()> {
    let docker = Docker::new()?;
    drop(UnixListener::bind(docker.socket()).context("cannot listen")?);
    docker.check(&[])?.run()?.expect_unhealthy("docker", "docker", false)
}

fn no_socket() -> Result<()> {
    let outcome = Docker::new()?.check(&[])?.run()?;
    outcome.expect_unknown("docker", "docker.sock: No such file or directory")?;
    outcome.expect_unknown("docker", "cannot connect to the system D-Bus")
}

fn service_without_socket() -> Result<()> {
    let uptime = Some(Duration::from_mins(1));
    let systemd = Systemd::start(&[Service { name: "docker", uptime, state: "failed" }])?;
    let docker = Docker::new()?;
    let outcome = docker.check(&[])?.env("DBUS_SYSTEM_BUS_ADDRESS", systemd.address()).run()?;
    outcome.expect_unhealthy("docker", "docker", false)?;
    ensure!(outcome.stderr.contains("the service is failed"), "{outcome:?}");
    let other = docker.check(&["--service=podman"])?.env("DBUS_SYSTEM_BUS_ADDRESS", systemd.address()).run()?;
    other.expect_unknown("docker", "systemd does not know the service podman")
}
