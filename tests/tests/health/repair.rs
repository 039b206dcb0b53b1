//! Repair, on a D-Bus daemon of the test's own.

use std::time::Duration;

use anyhow::{Result, ensure};
use npd_tests::driver::suite::Suite;

use crate::{
    bus::{Bus, Service, Systemd},
    http::{Answer, HttpServer},
    program::{HealthChecker, Outcome},
};

pub(crate) fn add(suite: &mut Suite) {
    suite.test("repair: the main process of an unhealthy service gets SIGTERM once its cooldown is over", due);
    suite.test("repair: a service younger than its cooldown is left alone", young);
    suite.test("repair: a healthy service and one that cannot be asked are left alone", healthy);
    suite.test("repair: is not made when it is switched off", switched_off);
    suite.test("repair: a service that stays unhealthy is not repaired again within its cooldown", once);
    suite.test("repair: where nothing can be remembered the service's age is the limit", no_memory);
    suite.test("repair: docker gets SIGUSR1 before SIGTERM", docker);
    suite.test("repair: a service that was never started or is not known is only told of", never_started);
    suite.test("repair: a bus without systemd is only told of", no_systemd);
}

const SIGUSR1: i32 = 10;
const SIGTERM: i32 = 15;

fn kubelet(uptime: Option<u64>) -> Result<Systemd> {
    let uptime = uptime.map(Duration::from_secs);
    Systemd::start(&[Service { name: "kubelet", uptime, state: "active" }])
}

fn checker(systemd: &Systemd, server: &HttpServer, args: &[&str]) -> Result<HealthChecker> {
    let checker = HealthChecker::new(args)?;
    Ok(checker.env("KUBELET_PORT", server.port()).env("DBUS_SYSTEM_BUS_ADDRESS", systemd.address()))
}

fn expect_kills(systemd: &Systemd, expected: &[(&str, i32)], outcome: &Outcome) -> Result<()> {
    let kills = systemd.kills();
    let expected: Vec<_> =
        expected.iter().map(|(unit, signal)| ((*unit).to_owned(), "main".to_owned(), *signal)).collect();
    ensure!(kills == expected, "{kills:?}, {outcome:?}");
    Ok(())
}

fn due() -> Result<()> {
    let (systemd, server) = (kubelet(Some(61))?, HttpServer::tcp(Answer::Status(500))?);
    let outcome = checker(&systemd, &server, &["--cooldown-time=1m"])?.run()?;
    outcome.expect_unhealthy("kubelet", "kubelet", true)?;
    expect_kills(&systemd, &[("kubelet.service", SIGTERM)], &outcome)
}

fn young() -> Result<()> {
    let (systemd, server) = (kubelet(Some(30))?, HttpServer::tcp(Answer::Status(500))?);
    let outcome = checker(&systemd, &server, &["--cooldown-time=10m"])?.run()?;
    outcome.expect_unhealthy("kubelet", "kubelet", true)?;
    expect_kills(&systemd, &[], &outcome)
}

fn healthy() -> Result<()> {
    let (systemd, server) = (kubelet(Some(1000))?, HttpServer::tcp(Answer::Status(200))?);
    let outcome = checker(&systemd, &server, &[])?.run()?;
    outcome.expect_healthy()?;
    expect_kills(&systemd, &[], &outcome)?;
    let outcome = checker(&systemd, &server, &[])?.env("HOST_ADDRESS", "no.such.host.invalid").run()?;
    outcome.expect_unknown("kubelet", "cannot resolve")?;
    expect_kills(&systemd, &[], &outcome)
}

fn switched_off() -> Result<()> {
    let (systemd, server) = (kubelet(Some(1000))?, HttpServer::tcp(Answer::Status(500))?);
    let outcome = checker(&systemd, &server, &["--enable-repair=false"])?.run()?;
    outcome.expect_unhealthy("kubelet", "kubelet", false)?;
    expect_kills(&systemd, &[], &outcome)
}

fn once() -> Result<()> {
    let (systemd, server) = (kubelet(Some(1000))?, HttpServer::tcp(Answer::Status(500))?);
    // One folder for what is remembered.
    let mut checker = checker(&systemd, &server, &["--cooldown-time=10m"])?;
    for _ in 0..3 {
        let outcome = checker.run()?;
        outcome.expect_unhealthy("kubelet", "kubelet", true)?;
        expect_kills(&systemd, &[("kubelet.service", SIGTERM)], &outcome)?;
    }
    Ok(())
}

fn no_memory() -> Result<()> {
    let (systemd, server) = (kubelet(Some(1000))?, HttpServer::tcp(Answer::Status(500))?);
    let outcome = checker(&systemd, &server, &["--repair-dir=/proc/no/such"])?.run()?;
    outcome.expect_unhealthy("kubelet", "kubelet", true)?;
    ensure!(outcome.stderr.contains("limited only by the uptime of the service"), "{outcome:?}");
    expect_kills(&systemd, &[("kubelet.service", SIGTERM)], &outcome)
}

fn docker() -> Result<()> {
    let uptime = Some(Duration::from_secs(1000));
    let systemd = Systemd::start(&[Service { name: "docker", uptime, state: "active" }])?;
    let checker = HealthChecker::new(&["--component=docker"])?;
    let socket = checker.folder().join("docker.sock");
    let _server = HttpServer::unix(&socket, Answer::Status(500))?;
    let flag = format!("--docker-socket-path={}", socket.display());
    let mut checker =
        HealthChecker::new(&["--component=docker", &flag])?.env("DBUS_SYSTEM_BUS_ADDRESS", systemd.address());
    let outcome = checker.run()?;
    outcome.expect_unhealthy("docker", "docker", true)?;
    expect_kills(&systemd, &[("docker.service", SIGUSR1), ("docker.service", SIGTERM)], &outcome)
}

fn never_started() -> Result<()> {
    let (systemd, server) = (kubelet(None)?, HttpServer::tcp(Answer::Status(500))?);
    for service in ["--service=kubelet", "--service=other"] {
        let outcome = checker(&systemd, &server, &[service])?.run()?;
        ensure!(outcome.code == Some(1) && outcome.stderr.contains("was never started"), "{outcome:?}");
        expect_kills(&systemd, &[], &outcome)?;
    }
    Ok(())
}

fn no_systemd() -> Result<()> {
    let (bus, server) = (Bus::start()?, HttpServer::tcp(Answer::Status(500))?);
    let checker = HealthChecker::new(&[])?.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address());
    let outcome = checker.env("KUBELET_PORT", server.port()).run()?;
    outcome.expect_unhealthy("kubelet", "kubelet", true)?;
    ensure!(outcome.stderr.contains("cannot query the state of kubelet.service"), "{outcome:?}");
    Ok(())
}
