//! A D-Bus daemon of the test's own, and on it what is asked of systemd.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use npd_tests::driver::{
    poll::{SOON, wait_until},
    suite::{need, skip},
};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use zbus::{Connection, OwnedObjectPath, connection::Builder, fdo, interface};

use crate::background::Background;

/// The daemon, until it is dropped.
pub(crate) struct Bus {
    daemon: Child,
    folder: TempDir,
}

/// systemd on a bus, until it is dropped.
pub(crate) struct Systemd {
    kills: Kills,
    _background: Background,
    bus: Bus,
}

/// A service that systemd knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    /// Since its start; `None` when it was never started.
    pub(crate) uptime: Option<Duration>,
    pub(crate) state: &'static str,
}

/// Unit, whom and signal.
type Kills = Arc<Mutex<Vec<(String, String, i32)>>>;

struct Manager {
    units: HashMap<String, OwnedObjectPath>,
    kills: Kills,
}

struct Unit {
    load_state: &'static str,
    state: &'static str,
    started: u64,
}

const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

// === impl Bus ===

impl Bus {
    /// A bus that nobody is on.
    pub(crate) fn start() -> Result<Self> {
        need::tool("dbus-daemon")?;
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let (config, socket) = (folder.path().join("bus.conf"), folder.path().join("bus"));
        fs::write(&config, CONFIG.replace("SOCKET", &socket.display().to_string())).context("cannot configure it")?;
        let daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start dbus-daemon")?;
        let bus = Self { daemon, folder };
        wait_until("the bus", SOON, || bus.socket().exists())?;
        Ok(bus)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("bus")
    }

    /// As programs find it in $DBUS_SYSTEM_BUS_ADDRESS.
    pub(crate) fn address(&self) -> String {
        address(&self.socket())
    }
}

fn address(socket: &Path) -> String {
    format!("unix:path={}", socket.display())
}

impl Drop for Bus {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

// === impl Systemd ===

impl Systemd {
    /// systemd with these services and no others.
    pub(crate) fn start(services: &[Service]) -> Result<Self> {
        let oldest = services.iter().filter_map(|service| service.uptime).max();
        if oldest.is_some_and(|uptime| monotonic() <= uptime) {
            return Err(skip(format!("needs a machine that has been up for {oldest:?}")));
        }
        let bus = Bus::start()?;
        let (address, services) = (bus.address(), services.to_vec());
        let kills = Kills::default();
        let heard = Arc::clone(&kills);
        let background = Background::start(move || serve(address, services, heard))?;
        Ok(Self { kills, _background: background, bus })
    }

    pub(crate) fn address(&self) -> String {
        self.bus.address()
    }

    /// What was to be killed so far.
    pub(crate) fn kills(&self) -> Vec<(String, String, i32)> {
        self.kills.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The clock that systemd counts in.
fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

async fn serve(address: String, services: Vec<Service>, kills: Kills) -> Result<Connection> {
    let connection = Builder::address(address.as_str()).build().await.context("cannot connect to the bus")?;
    let server = connection.object_server();
    let now = monotonic();
    let mut units = HashMap::new();
    for (number, Service { name, uptime, state }) in services.into_iter().enumerate() {
        let path = format!("/org/freedesktop/systemd1/unit/u{number}");
        let started = uptime.map_or(0, |uptime| u64::try_from(now.saturating_sub(uptime).as_micros()).unwrap_or(0));
        server.at(path.as_str(), Unit { load_state: "loaded", state, started }).await?;
        units.insert(format!("{name}.service"), path.as_str().try_into()?);
    }
    let unknown = Unit { load_state: "not-found", state: "inactive", started: 0 };
    server.at("/org/freedesktop/systemd1/unit/unknown", unknown).await?;
    server.at("/org/freedesktop/systemd1", Manager { units, kills }).await?;
    connection.request_name("org.freedesktop.systemd1").await.context("cannot be systemd")?;
    Ok(connection)
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    /// systemd gives an object for a unit that does not exist, too.
    fn load_unit(&self, name: &str) -> fdo::Result<OwnedObjectPath> {
        match self.units.get(name) {
            Some(path) => Ok(path.clone()),
            None => OwnedObjectPath::try_from("/org/freedesktop/systemd1/unit/unknown")
                .map_err(|error| fdo::Error::Failed(error.to_string())),
        }
    }

    fn kill_unit(&self, name: String, whom: String, signal: i32) -> fdo::Result<()> {
        if !self.units.contains_key(&name) {
            return Err(fdo::Error::Failed(format!("Unit {name} not loaded.")));
        }
        self.kills.lock().unwrap_or_else(PoisonError::into_inner).push((name, whom, signal));
        Ok(())
    }
}

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn load_state(&self) -> &str {
        self.load_state
    }

    #[zbus(property)]
    fn active_state(&self) -> &str {
        self.state
    }

    #[zbus(property)]
    fn inactive_exit_timestamp_monotonic(&self) -> u64 {
        self.started
    }
}
