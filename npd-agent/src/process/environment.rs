//! Environment variables that are meant for this process and must not reach the programs it starts.

/// Where systemd listens: sd_notify(3).
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// The process that systemd's watchdog expects to hear from.
pub const WATCHDOG_PID: &str = "WATCHDOG_PID";
/// The watchdog's time limit, in microseconds.
pub const WATCHDOG_USEC: &str = "WATCHDOG_USEC";

/// What systemd sets for the service's own process. A child that inherited it could speak in the agent's name.
pub const SYSTEMD: [&str; 3] = [NOTIFY_SOCKET, WATCHDOG_PID, WATCHDOG_USEC];
