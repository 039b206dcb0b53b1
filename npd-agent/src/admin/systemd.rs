//! What systemd is told, as sd_notify(3) has it: that the agent is ready, how its parts are, that it lives, that it ends.
//!
//! Without `$NOTIFY_SOCKET` nobody is told and nothing ticks. The agent is ready when each source was tried once and one can be
//! read or there is other work; what is still waited for stands in the status. So a cluster that is away, or a log that is not
//! there yet, keeps no unit starting until systemd ends it. The watchdog hears of the agent only while no part is stuck, just as
//! `/healthz` has it, and since the runtime must turn for that, it also ends an agent whose runtime hangs.
//!
//! It is a few lines of text in a datagram. They are our own because the crate `sd-notify` knows no abstract socket and, where
//! systemd does not read, would wait with the whole runtime.

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

/// `systemctl status` shows it in one line.
const LONGEST_STATUS: usize = 400;

/// systemd, waiting to be told.
#[derive(Debug)]
pub struct Systemd {
    address: OsString,
    socket: UnixDatagram,
    /// How often it wants to hear that the agent lives, at least.
    watchdog: Option<Duration>,
}

/// Why systemd cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Nothing that can be sent to.
    #[error("NOTIFY_SOCKET is {0:?}: it must be an absolute path, or @ and a name")]
    Address(OsString),
    /// Nobody listens.
    #[error("cannot connect to NOTIFY_SOCKET, {0:?}")]
    Connect(OsString, #[source] io::Error),
}

// === impl Systemd ===

impl Systemd {
    /// Nothing when the environment names no socket.
    pub fn from_env() -> Result<Option<Self>, NotifyError> {
        Self::from_variables(|name| env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>, NotifyError> {
        let Some(address) = variable(SOCKET).filter(|address| !address.is_empty()) else { return Ok(None) };
        let socket = connect(&address)?;
        Ok(Some(Self { address, socket, watchdog: watchdog(variable) }))
    }

    /// Tells that the agent is ready, then whatever changes, until it ends.
    pub async fn tell(mut self, components: Components, stop: CancellationToken) {
        if let Err(error) = self.tell_all(&components, &stop).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "systemd cannot be told any more");
        }
    }

    async fn tell_all(&mut self, components: &Components, stop: &CancellationToken) -> io::Result<()> {
        let mut changes = components.changes();
        let mut watchdog = self.watchdog.map(half);
        let mut status = status(components);
        let mut was_well = true;
        self.send(&format!("READY=1\nSTATUS={status}")).await?;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.send("STOPPING=1\nSTATUS=stopping").await,
                // The sender lives as long as `components`.
                _ = changes.changed() => {}
                () = tick(&mut watchdog) => {
                    let is_well = components.stuck(Now::read().mono).is_empty();
                    if is_well {
                        self.send("WATCHDOG=1").await?;
                    } else if was_well {
                        tracing::error!("a part is stuck: systemd's watchdog does not hear of the agent any more");
                    }
                    was_well = is_well;
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
        // Who listens may have begun anew, on another socket of that name.
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

/// The watchdog's time, if it is this process that it watches.
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

/// `ready; source kmsg: probe+kmsg`, or what is stuck and what is waited for.
fn status(components: &Components) -> String {
    let (mut words, mut ways) = (Vec::new(), Vec::new());
    let stuck = components.stuck(Now::read().mono).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    if !stuck.is_empty() {
        words.push(format!("stuck: {}", stuck.join(", ")));
    }
    let mut waiting = Vec::new();
    for (name, readiness) in components.readiness() {
        match readiness {
            Readiness::Ready("") => {}
            Readiness::Ready(way) => ways.push(format!("{name}: {way}")),
            Readiness::Waiting(why) => waiting.push(format!("{name} ({why})")),
        }
    }
    if !waiting.is_empty() {
        words.push(format!("waiting: {}", waiting.join(", ")));
    } else if stuck.is_empty() {
        words.push("ready".to_owned());
    }
    words.append(&mut ways);
    // A line break would end the status and begin another assignment.
    words.join("; ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_STATUS).collect()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::{task::JoinHandle, time::timeout};

    use super::*;
    use crate::{component::Component, time::Monotonic};

    const WATCHDOG: Duration = Duration::from_mins(1);

    /// An agent that tells somebody who listens.
    struct Told {
        _folder: TempDir,
        path: std::path::PathBuf,
        listener: UnixDatagram,
        components: Components,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    impl Told {
        /// The variables beside NOTIFY_SOCKET.
        fn by(variables: &[(&str, &str)]) -> (Self, Component) {
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
            let task = tokio::spawn(systemd.tell(components.clone(), stop.clone()));
            (Self { _folder: folder, path, listener, components, stop, task }, component)
        }

        /// What comes within a time, if anything does.
        async fn hears(&self, within: Duration) -> Option<String> {
            let mut text = [0; 1024];
            let length = timeout(within, self.listener.recv(&mut text)).await.ok()?.unwrap();
            Some(String::from_utf8(text[..length].to_vec()).unwrap())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ready_then_each_other_status_then_the_end() {
        let (mut told, component) = Told::by(&[]);
        let second = Duration::from_secs(1);
        assert_eq!(told.hears(second).await.unwrap(), "READY=1\nSTATUS=ready; source kmsg: probe+kmsg");
        assert_eq!(told.hears(10 * WATCHDOG).await, None, "nothing ticks");
        let cluster = told.components.add("kubernetes");
        cluster.set_waiting("connection\nREADY=0");
        let status = "STATUS=waiting: kubernetes (connection READY=0); source kmsg: probe+kmsg";
        assert_eq!(told.hears(second).await.unwrap(), status);
        cluster.set_ready();
        drop(told.listener);
        std::fs::remove_file(&told.path).unwrap();
        told.listener = UnixDatagram::bind(&told.path).unwrap();
        component.set_mode("kmsg");
        assert_eq!(told.hears(second).await.unwrap(), "STATUS=ready; source kmsg: kmsg");
        told.stop.cancel();
        assert_eq!(told.hears(second).await.unwrap(), "STOPPING=1\nSTATUS=stopping");
        told.task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_hears_twice_in_its_time_but_never_of_an_agent_with_a_stuck_part() {
        let me = process::id().to_string();
        let (told, component) = Told::by(&[("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", &me)]);
        assert!(told.hears(WATCHDOG).await.unwrap().starts_with("READY=1"));
        let seconds = Duration::from_secs;
        assert_eq!(told.hears(seconds(1)).await.as_deref(), Some("WATCHDOG=1"), "at once");
        for _ in 0..3 {
            assert_eq!(told.hears(seconds(29)).await, None);
            assert_eq!(told.hears(seconds(2)).await.as_deref(), Some("WATCHDOG=1"));
        }
        component.begin_step_at(Monotonic::from_nanos(1));
        assert_eq!(told.hears(WATCHDOG).await.as_deref(), Some("STATUS=stuck: source kmsg; source kmsg: probe+kmsg"));
        assert_eq!(told.hears(10 * WATCHDOG).await, None);
        component.end_step();
        assert_eq!(told.hears(WATCHDOG).await.as_deref(), Some("WATCHDOG=1"));
    }

    #[tokio::test]
    async fn the_watchdog_of_another_process_is_none_of_ours() {
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
    async fn without_a_socket_nobody_is_told_and_one_that_is_none_is_named() {
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
