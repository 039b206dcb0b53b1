//! systemd over the system D-Bus: how long a service has been running, and signals to its main process.
//!
//! The address of the bus is that of every D-Bus program: $DBUS_SYSTEM_BUS_ADDRESS, or /var/run/dbus/system_bus_socket. Reading
//! needs no privileges; sending a signal needs root, or permission from polkit.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::timeout;
use zbus::{Connection, Message, OwnedObjectPath, OwnedVariant, connection::Builder};

use crate::time::Monotonic;

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const NAME: &str = "org.freedesktop.systemd1";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// node-problem-detector's timeout for systemctl.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to systemd.
#[derive(Clone, Debug)]
pub struct Systemd {
    connection: Connection,
}

/// The state of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Whether the unit exists.
    pub is_loaded: bool,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`.
    pub state: String,
    /// When it last left the inactive state, that is, when it was started; `None` if it never was.
    pub started: Option<Monotonic>,
}

/// Why a request to systemd failed.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// There is no bus, or it refuses the connection.
    #[error("cannot connect to the system D-Bus")]
    Connect(#[source] zbus::Error),
    /// The call failed, or systemd is not on the bus.
    #[error("cannot {what} {unit}")]
    Call {
        /// What the call does.
        what: &'static str,
        /// The unit.
        unit: String,
        /// The bus's or systemd's reason.
        source: zbus::Error,
    },
    /// systemd or the bus does not answer.
    #[error("systemd did not answer within {0:?}")]
    Late(Duration),
    /// The unit was never started, or does not exist.
    #[error("{0} was never started")]
    NeverStarted(String),
}

// === impl Systemd ===

impl Systemd {
    /// Connects to the system bus.
    pub async fn connect() -> Result<Self, SystemdError> {
        let connection = within(Builder::system().build()).await?.map_err(SystemdError::Connect)?;
        Ok(Self { connection })
    }

    /// The state of a unit. `.service` may be omitted from its name.
    pub async fn unit(&self, name: &str) -> Result<Unit, SystemdError> {
        let unit = unit_name(name);
        within(self.read(&unit)).await?.map_err(|source| SystemdError::Call {
            what: "query the state of",
            unit,
            source,
        })
    }

    /// How long ago the service was started.
    pub async fn uptime(&self, name: &str, now: Monotonic) -> Result<Duration, SystemdError> {
        let started = self.unit(name).await?.started;
        started.map(|started| now.since(started)).ok_or_else(|| SystemdError::NeverStarted(unit_name(name)))
    }

    /// Sends a signal to the main process of a service, as `systemctl kill --kill-who=main` does.
    pub async fn kill_main(&self, name: &str, signal: Signal) -> Result<(), SystemdError> {
        let unit = unit_name(name);
        let body = (unit.as_str(), "main", signal.as_raw());
        let call = self.connection.call_method(Some(NAME), MANAGER_PATH, Some(MANAGER), "KillUnit", &body);
        let done = within(call).await?;
        done.map(drop).map_err(|source| SystemdError::Call { what: "send a signal to", unit, source })
    }

    async fn read(&self, unit: &str) -> zbus::Result<Unit> {
        let named = (unit,);
        let call = self.connection.call_method(Some(NAME), MANAGER_PATH, Some(MANAGER), "LoadUnit", &named);
        let path: OwnedObjectPath = call.await?.body().deserialize()?;
        let load_state = self.property(&path, "LoadState").await?;
        let state = self.property(&path, "ActiveState").await?;
        let started = self.property(&path, "InactiveExitTimestampMonotonic").await?;
        let started = u64::try_from(value(&started)?)?;
        Ok(Unit {
            is_loaded: String::try_from(value(&load_state)?)? == "loaded",
            state: String::try_from(value(&state)?)?,
            started: (started > 0).then(|| Monotonic::from_nanos(started.saturating_mul(1000))),
        })
    }

    async fn property(&self, path: &OwnedObjectPath, name: &str) -> zbus::Result<Message> {
        self.connection.call_method(Some(NAME), path, Some(PROPERTIES), "Get", &(UNIT, name)).await
    }
}

fn value(answer: &Message) -> zbus::Result<OwnedVariant> {
    answer.body().deserialize()
}

async fn within<T>(work: impl Future<Output = T>) -> Result<T, SystemdError> {
    timeout(TIMEOUT, work).await.map_err(|_| SystemdError::Late(TIMEOUT))
}

/// The full name of a unit: a name without a dot is a service.
fn unit_name(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("{name}.service") }
}
