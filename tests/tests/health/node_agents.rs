//! The kubelet and kube-proxy, played by an HTTP server.

use std::{net::TcpListener, time::Duration};

use anyhow::{Context, Result, ensure};
use npd_tests::driver::{
    poll::SOON,
    suite::{Suite, skip},
};

use crate::{
    http::{Answer, HttpServer},
    program::HealthChecker,
};

pub(crate) fn add(suite: &mut Suite) {
    suite.test("kubelet: /healthz that answers 200 is healthy, with nothing to say", healthy);
    suite.test("kubelet: any other status is unhealthy, 204 as well", other_statuses);
    suite.test("kubelet: one that is down, hangs up or speaks no HTTP is unhealthy", down);
    suite.test("kubelet: one that does not answer in time is unhealthy then", silent);
    suite.test("kubelet: a host name that does not resolve tells nothing", no_host);
    suite.test("kubelet: an IPv6 address is a host as well", ipv6);
    suite.test("kube-proxy: /livez is asked, not /healthz", kube_proxy);
    suite.test("kubelet: the repair flag is told", repair_flag);
}

const NO_REPAIR: &str = "--enable-repair=false";

fn kubelet(server: &HttpServer, args: &[&str]) -> Result<HealthChecker> {
    Ok(HealthChecker::new(&[&[NO_REPAIR], args].concat())?.env("KUBELET_PORT", server.port()))
}

fn healthy() -> Result<()> {
    let server = HttpServer::tcp(Answer::Status(200))?;
    kubelet(&server, &[])?.run()?.expect_healthy()?;
    let expected = format!("GET /healthz localhost:{} Go-http-client/1.1", server.port());
    ensure!(server.seen() == [expected.as_str()], "{:?}", server.seen());
    Ok(())
}

fn other_statuses() -> Result<()> {
    for status in [201, 204, 301, 401, 403, 404, 500, 503] {
        let server = HttpServer::tcp(Answer::Status(status))?;
        let outcome = kubelet(&server, &[])?.run()?;
        outcome.expect_unhealthy("kubelet", "kubelet", false)?;
        ensure!(outcome.stderr.contains(&format!("answered {status}")), "{outcome:?}");
    }
    Ok(())
}

fn down() -> Result<()> {
    // A port that was free a moment ago: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").context("no port")?.local_addr()?.port().to_string();
    HealthChecker::new(&[NO_REPAIR])?.env("KUBELET_PORT", port).run()?.expect_unhealthy("kubelet", "kubelet", false)?;
    for answer in [Answer::Nothing, Answer::Noise] {
        let server = HttpServer::tcp(answer)?;
        kubelet(&server, &[])?.run()?.expect_unhealthy("kubelet", "kubelet", false)?;
    }
    Ok(())
}

fn silent() -> Result<()> {
    let server = HttpServer::tcp(Answer::Silence)?;
    let outcome = kubelet(&server, &["--health-check-timeout=300ms"])?.run()?;
    outcome.expect_unhealthy("kubelet", "kubelet", false)?;
    ensure!((Duration::from_millis(300)..SOON).contains(&outcome.took), "{outcome:?}");
    ensure!(server.seen().len() == 1, "{:?}", server.seen());
    Ok(())
}

fn no_host() -> Result<()> {
    let mut check = HealthChecker::new(&[])?.env("HOST_ADDRESS", "no.such.host.invalid");
    check.run()?.expect_unknown("kubelet", "cannot resolve no.such.host.invalid")
}

fn ipv6() -> Result<()> {
    let Ok(server) = HttpServer::tcp_at("[::1]:0", Answer::Status(200)) else { return Err(skip("needs IPv6")) };
    for host in ["::1", "[::1]", "localhost"] {
        kubelet(&server, &[])?.env("HOST_ADDRESS", host).run()?.expect_healthy()?;
    }
    let hosts: Vec<_> = server.seen().iter().filter_map(|seen| seen.split(' ').nth(2).map(str::to_owned)).collect();
    let port = server.port();
    ensure!(hosts == [format!("[::1]:{port}"), format!("[::1]:{port}"), format!("localhost:{port}")], "{hosts:?}");
    Ok(())
}

fn kube_proxy() -> Result<()> {
    let args = ["--component=kube-proxy", NO_REPAIR];
    let server = HttpServer::tcp(Answer::Status(200))?;
    HealthChecker::new(&args)?.env("KUBEPROXY_PORT", server.port()).run()?.expect_healthy()?;
    ensure!(server.seen()[0].starts_with("GET /livez "), "{:?}", server.seen());
    let server = HttpServer::tcp(Answer::Status(503))?;
    let outcome = HealthChecker::new(&args)?.env("KUBEPROXY_PORT", server.port()).run()?;
    outcome.expect_unhealthy("kube-proxy", "kube-proxy", false)
}

fn repair_flag() -> Result<()> {
    let server = HttpServer::tcp(Answer::Status(500))?;
    for (args, flag) in [(&[][..], true), (&["--enable-repair"], true), (&[NO_REPAIR], false)] {
        let outcome = HealthChecker::new(args)?.env("KUBELET_PORT", server.port()).run()?;
        outcome.expect_unhealthy("kubelet", "kubelet", flag)?;
        // There is no systemd here: repair is tried, fails, and is only logged.
        ensure!(outcome.stderr.contains("not repaired") == flag, "{outcome:?}");
    }
    Ok(())
}
