//! Notifications to systemd, as in sd_notify(3): readiness, the status of the components, the watchdog, the end.
//!
//! Without `$NOTIFY_SOCKET` nothing is sent and no timer runs. The agent is ready when each source has been tried once, and one of
//! them can be read or there is other work; what it is still waiting for is in the status. So an unreachable cluster, or a log
//! that does not exist yet, does not keep the unit starting until systemd kills it. The watchdog is notified only while no
//! component is stuck, the same condition as for `/healthz`; and since that takes a running runtime, the watchdog also ends an
//! agent whose runtime hangs.
//!
//! A notification is a few lines of text in a datagram. The code is our own because the crate `sd-notify` does not support abstract
//! sockets and, if systemd does not read, would block the whole runtime.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{ffi::OsStrExt as _, net},
    },
    process,
    time::Duration,
};

use tokio::{
    net::UnixDatagram,
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    component::{Components, Readiness},
    process::environment::{NOTIFY_SOCKET as SOCKET, WATCHDOG_PID, WATCHDOG_USEC},
    time::Now,
};

/// Maximum length of the status, which `systemctl status` shows on one line.
const STATUS_MAX: usize = 400;

/// A connection to systemd's notification socket.
#[derive(Debug)]
pub(crate) struct Systemd {
    address: OsString,
    socket: UnixDatagram,
    /// The maximum time between two notifications of the watchdog.
    watchdog: Option<Duration>,
}

/// Why systemd cannot be notified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotifyError {
    /// An invalid address.
    #[error("NOTIFY_SOCKET is {0:?}: it must be an absolute path, or @ followed by a name")]
    Address(OsString),
    /// Nothing listens on the socket.
    #[error("cannot connect to NOTIFY_SOCKET {0:?}")]
    Connect(OsString, #[source] io::Error),
}

// === impl Systemd ===

impl Systemd {
    /// Connects to the socket in the environment; `None` if there is none.
    pub(crate) fn from_env() -> Result<Option<Self>, NotifyError> {
        Self::from_variables(|name| env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>, NotifyError> {
        let Some(address) = variable(SOCKET).filter(|address| !address.is_empty()) else { return Ok(None) };
        let socket = connect(&address)?;
        Ok(Some(Self { address, socket, watchdog: watchdog(variable) }))
    }

    /// Notifies systemd that the agent is ready, then of every change, until `stop`.
    pub(crate) async fn notify(mut self, components: Components, stop: CancellationToken) {
        if let Err(error) = self.send_all(&components, &stop).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot notify systemd any more");
        }
    }

    async fn send_all(&mut self, components: &Components, stop: &CancellationToken) -> io::Result<()> {
        let mut changes = components.changes();
        let mut watchdog = self.watchdog.map(half);
        let mut status = status(components);
        let mut was_alive = true;
        self.send(&format!("READY=1\nSTATUS={status}")).await?;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.send("STOPPING=1\nSTATUS=stopping").await,
                // The sender lives as long as `components`.
                _ = changes.changed() => {}
                () = tick(&mut watchdog) => {
                    let is_alive = components.stuck(Now::read().mono).is_empty();
                    if is_alive {
                        self.send("WATCHDOG=1").await?;
                    } else if was_alive {
                        tracing::error!("a component is stuck: no longer notifying systemd's watchdog");
                    }
                    was_alive = is_alive;
                }
            }
            let now = self::status(components);
            if now != status {
                self.send(&format!("STATUS={now}")).await?;
                status = now;
            }
        }
    }

    async fn send(&mut self, lines: &str) -> io::Result<()> {
        if self.socket.send(lines.as_bytes()).await.is_ok() {
            return Ok(());
        }
        // systemd may have restarted, with another socket of the same name.
        self.socket = connect(&self.address).map_err(io::Error::other)?;
        self.socket.send(lines.as_bytes()).await.map(drop)
    }
}

fn connect(address: &OsStr) -> Result<UnixDatagram, NotifyError> {
    let target = match address.as_bytes() {
        [b'@', name @ ..] => net::SocketAddr::from_abstract_name(name),
        [b'/', ..] => net::SocketAddr::from_pathname(address),
        _ => return Err(NotifyError::Address(address.to_owned())),
    };
    let connected = target.and_then(|target| {
        let socket = net::UnixDatagram::unbound()?;
        socket.connect_addr(&target)?;
        socket.set_nonblocking(true)?;
        UnixDatagram::from_std(socket)
    });
    connected.map_err(|error| NotifyError::Connect(address.to_owned(), error))
}

/// The timeout of the watchdog, if it watches this process.
fn watchdog(variable: impl Fn(&str) -> Option<OsString>) -> Option<Duration> {
    let number = |name| variable(name).and_then(|text| text.to_str()?.parse::<u64>().ok());
    let is_ours = variable(WATCHDOG_PID).is_none() || number(WATCHDOG_PID) == Some(process::id().into());
    number(WATCHDOG_USEC).filter(|time| is_ours && *time > 1).map(Duration::from_micros)
}

fn half(time: Duration) -> Interval {
    let mut interval = interval(time / 2);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn tick(watchdog: &mut Option<Interval>) {
    match watchdog {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// `ready; source kmsg: probe+kmsg`, or what is stuck and what the agent is waiting for.
fn status(components: &Components) -> String {
    let (mut words, mut modes) = (Vec::new(), Vec::new());
    let stuck = components.stuck(Now::read().mono).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    if !stuck.is_empty() {
        words.push(format!("stuck: {}", stuck.join(", ")));
    }
    let mut waiting = Vec::new();
    for (name, readiness) in components.readiness() {
        match readiness {
            Readiness::Ready("") => {}
            Readiness::Ready(mode) => modes.push(format!("{name}: {mode}")),
            Readiness::Waiting(why) => waiting.push(format!("{name} ({why})")),
        }
    }
    if !waiting.is_empty() {
        words.push(format!("waiting: {}", waiting.join(", ")));
    } else if stuck.is_empty() {
        words.push("ready".to_owned());
    }
    words.append(&mut modes);
    // A line break would end the status and start another assignment.
    words.join("; ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(STATUS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::{task::JoinHandle, time::timeout};

    use super::*;
    use crate::{component::Component, time::Monotonic};

    const WATCHDOG: Duration = Duration::from_mins(1);

    /// An agent, and the socket that it notifies.
    struct Notified {
        _folder: TempDir,
        path: std::path::PathBuf,
        listener: UnixDatagram,
        components: Components,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    impl Notified {
        /// With these variables besides NOTIFY_SOCKET.
        fn with(variables: &[(&str, &str)]) -> (Self, Component) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notify");
            let listener = UnixDatagram::bind(&path).unwrap();
            let variable = |name: &str| match name {
                SOCKET => Some(path.clone().into_os_string()),
                _ => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()),
            };
            let systemd = Systemd::from_variables(variable).unwrap().unwrap();
            let (components, stop) = (Components::default(), CancellationToken::new());
            let component = components.add("source kmsg");
            component.set_mode("probe+kmsg");
            component.set_ready();
            let task = tokio::spawn(systemd.notify(components.clone(), stop.clone()));
            (Self { _folder: folder, path, listener, components, stop, task }, component)
        }

        /// The next notification, if there is one in time.
        async fn next(&self, within: Duration) -> Option<String> {
            let mut text = [0; 1024];
            let length = timeout(within, self.listener.recv(&mut text)).await.ok()?.unwrap();
            Some(String::from_utf8(text[..length].to_vec()).unwrap())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ready_then_each_change_of_status_then_the_end() {
        let (mut agent, component) = Notified::with(&[]);
        let second = Duration::from_secs(1);
        assert_eq!(agent.next(second).await.unwrap(), "READY=1\nSTATUS=ready; source kmsg: probe+kmsg");
        assert_eq!(agent.next(10 * WATCHDOG).await, None, "no timer runs");
        let cluster = agent.components.add("kubernetes");
        cluster.set_waiting("connection\nREADY=0");
        let status = "STATUS=waiting: kubernetes (connection READY=0); source kmsg: probe+kmsg";
        assert_eq!(agent.next(second).await.unwrap(), status);
        cluster.set_ready();
        drop(agent.listener);
        std::fs::remove_file(&agent.path).unwrap();
        agent.listener = UnixDatagram::bind(&agent.path).unwrap();
        component.set_mode("kmsg");
        assert_eq!(agent.next(second).await.unwrap(), "STATUS=ready; source kmsg: kmsg");
        agent.stop.cancel();
        assert_eq!(agent.next(second).await.unwrap(), "STOPPING=1\nSTATUS=stopping");
        agent.task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_is_notified_twice_in_its_timeout_but_never_while_a_component_is_stuck() {
        let me = process::id().to_string();
        let (agent, component) = Notified::with(&[("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", &me)]);
        assert!(agent.next(WATCHDOG).await.unwrap().starts_with("READY=1"));
        let seconds = Duration::from_secs;
        assert_eq!(agent.next(seconds(1)).await.as_deref(), Some("WATCHDOG=1"), "at once");
        for _ in 0..3 {
            assert_eq!(agent.next(seconds(29)).await, None);
            assert_eq!(agent.next(seconds(2)).await.as_deref(), Some("WATCHDOG=1"));
        }
        component.begin_step_at(Monotonic::from_nanos(1));
        assert_eq!(agent.next(WATCHDOG).await.as_deref(), Some("STATUS=stuck: source kmsg; source kmsg: probe+kmsg"));
        assert_eq!(agent.next(10 * WATCHDOG).await, None);
        component.end_step();
        assert_eq!(agent.next(WATCHDOG).await.as_deref(), Some("WATCHDOG=1"));
    }

    #[tokio::test]
    async fn the_watchdog_of_another_process_is_ignored() {
        let of = |variables: &'static [(&str, &str)]| {
            watchdog(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        assert_eq!(of(&[("WATCHDOG_USEC", "60000000")]), Some(WATCHDOG));
        assert_eq!(of(&[("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", "1")]), None);
        assert_eq!(of(&[("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", "me")]), None);
        assert_eq!(of(&[("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(of(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(of(&[]), None);
    }

    #[tokio::test]
    async fn without_a_socket_nothing_is_sent_and_an_invalid_one_is_named() {
        let with = |address: Option<&'static str>| {
            Systemd::from_variables(move |name| address.filter(|_| name == "NOTIFY_SOCKET").map(Into::into))
        };
        assert!(with(None).unwrap().is_none());
        assert!(with(Some("")).unwrap().is_none());
        for address in ["run/notify", "vsock:2:1234"] {
            let error = with(Some(address)).unwrap_err().to_string();
            assert!(error.contains(address) && error.contains("absolute path"), "{error}");
        }
        let error = with(Some("/nowhere/notify")).unwrap_err();
        assert!(matches!(&error, NotifyError::Connect(address, _) if address == "/nowhere/notify"), "{error}");
    }
}
