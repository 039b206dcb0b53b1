//! Environment variables that are meant for this process and must not reach the programs it starts.

/// Where systemd listens: sd_notify(3).
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// The process that systemd's watchdog watches.
pub const WATCHDOG_PID: &str = "WATCHDOG_PID";
/// The timeout of the watchdog, in microseconds.
pub const WATCHDOG_USEC: &str = "WATCHDOG_USEC";

/// The variables that systemd sets for the main process of a service. A child that inherits them could send notifications in
/// the agent's name.
pub const SYSTEMD: [&str; 3] = [NOTIFY_SOCKET, WATCHDOG_PID, WATCHDOG_USEC];
