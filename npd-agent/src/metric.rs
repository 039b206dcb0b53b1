//! The table of all metrics: the single source of truth.
//!
//! What is exported, the config files' keys, `docs/metrics.md`, the dashboard and the alert rules all come from it.
//! The first part is node-problem-detector's and keeps its names, types and labels; only `cpu/usage_time` really is in
//! seconds now, as its description always said. The second part is npd's own and follows Prometheus' conventions.

pub mod own;

use std::fmt;

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name in a config file; also the usual `displayName`.
    pub id: &'static str,
    /// The collector that measures it.
    pub section: Section,
    /// Whether it only grows.
    pub kind: Kind,
    /// The unit of its value, as in `docs/metrics.md`.
    pub unit: &'static str,
    /// The names of its labels, in their alphabetical order.
    pub labels: &'static [&'static str],
    /// What it is, in one sentence without its full stop.
    pub help: &'static str,
}

/// The type of a metric in Prometheus' sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It grows from the node's boot on.
    Counter,
}

/// A part of a config file, and the collector that measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Load, time by state, interrupts.
    Cpu,
    /// I/O of block devices, use of the file systems on them.
    Disk,
    /// Uptime and versions.
    Host,
    /// /proc/meminfo.
    Memory,
    /// Kernel modules and boot options.
    OsFeature,
    /// Network interfaces.
    Net,
    /// Pressure stall information.
    Pressure,
    /// Usage of the resources that the kernel limits.
    Limits,
    /// States of all tasks.
    Tasks,
    /// Reclaim and the OOM killer.
    Vm,
    /// Memory errors that the hardware detected.
    Hardware,
    /// The offset of the clock.
    Clock,
}

macro_rules! metrics {
    ($($name:ident: $section:ident $kind:ident $id:literal, $unit:literal, [$($label:literal),*], $help:literal;)*) => {
        /// The name of a metric in the code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is described by its row of the table")]
        pub enum MetricId { $($name),* }

        impl MetricId {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its row.
            #[must_use]
            pub fn metric(self) -> &'static Metric {
                match self {
                    $(Self::$name => const { &Metric {
                        id: $id,
                        section: Section::$section,
                        kind: Kind::$kind,
                        unit: $unit,
                        labels: &[$($label),*],
                        help: $help,
                    } }),*
                }
            }
        }
    };
}

// Collector, type, id, unit, labels; and what it is.
metrics! {
    CpuRunnableTasks: Cpu Gauge "cpu/runnable_task_count", "tasks", [],
        "The average number of runnable tasks in the last minute, as the load average counts them";
    CpuUsageTime: Cpu Counter "cpu/usage_time", "s", ["state"],
        "CPU time of all CPUs by state since boot, in seconds";
    CpuLoad1: Cpu Gauge "cpu/load_1m", "tasks", [],
        "The load average of the last minute";
    CpuLoad5: Cpu Gauge "cpu/load_5m", "tasks", [],
        "The load average of the last 5 minutes";
    CpuLoad15: Cpu Gauge "cpu/load_15m", "tasks", [],
        "The load average of the last 15 minutes";
    SystemProcesses: Cpu Counter "system/processes_total", "processes", [],
        "Forks since boot";
    SystemProcsRunning: Cpu Gauge "system/procs_running", "tasks", [],
        "Tasks that run or wait for a CPU";
    SystemProcsBlocked: Cpu Gauge "system/procs_blocked", "tasks", [],
        "Tasks that wait for I/O";
    SystemInterrupts: Cpu Counter "system/interrupts_total", "interrupts", [],
        "Interrupts served since boot";
    SystemCpuStat: Cpu Counter "system/cpu_stat", "s", ["cpu", "stage"],
        "CPU time of each CPU by state since boot, in seconds";
    DiskIoTime: Disk Counter "disk/io_time", "ms", ["device_name"],
        "Milliseconds during which the device had I/O in flight";
    DiskWeightedIo: Disk Counter "disk/weighted_io", "ms", ["device_name"],
        "Milliseconds of I/O, weighted by the number of requests in flight";
    DiskAvgQueueLen: Disk Gauge "disk/avg_queue_len", "requests", ["device_name"],
        "The average number of requests in flight since the previous collection";
    DiskOperationCount: Disk Counter "disk/operation_count", "requests", ["device_name", "direction"],
        "Completed requests";
    DiskMergedOperationCount: Disk Counter "disk/merged_operation_count", "requests", ["device_name", "direction"],
        "Requests that were merged into another";
    DiskOperationBytes: Disk Counter "disk/operation_bytes_count", "B", ["device_name", "direction"],
        "Bytes read and written";
    DiskOperationTime: Disk Counter "disk/operation_time", "ms", ["device_name", "direction"],
        "Total milliseconds spent on requests";
    DiskBytesUsed: Disk Gauge "disk/bytes_used", "B", ["device_name", "fs_type", "mount_option", "state"],
        "Bytes of the file system on the device; free counts what an unprivileged user can use";
    DiskPercentUsed: Disk Gauge "disk/percent_used", "%", ["device_name"],
        "The used share of the file system on the device, in percent";
    HostUptime: Host Gauge "host/uptime", "s", ["kernel_version", "os_version"],
        "Seconds since boot";
    MemoryBytesUsed: Memory Gauge "memory/bytes_used", "B", ["state"],
        "Memory by use; used is everything that is not free, buffered, cached or slab";
    MemoryPercentUsed: Memory Gauge "memory/percent_used", "%", ["state"],
        "The used share of the memory, in percent";
    MemoryAnonymousUsed: Memory Gauge "memory/anonymous_used", "B", ["state"],
        "Anonymous memory by its activity";
    MemoryPageCacheUsed: Memory Gauge "memory/page_cache_used", "B", ["state"],
        "Page cache by its activity";
    MemoryUnevictableUsed: Memory Gauge "memory/unevictable_used", "B", [],
        "Memory that cannot be reclaimed, such as locked pages";
    MemoryDirtyUsed: Memory Gauge "memory/dirty_used", "B", ["state"],
        "Memory waiting to be written back, or being written back";
    SystemOsFeature: OsFeature Gauge "system/os_feature", "", ["os_feature", "value"],
        "1 where the node has the feature; value names the unknown modules";
    NetRxBytes: Net Counter "net/rx_bytes", "B", ["interface_name"],
        "Bytes received";
    NetRxPackets: Net Counter "net/rx_packets", "packets", ["interface_name"],
        "Packets received";
    NetRxErrors: Net Counter "net/rx_errors", "packets", ["interface_name"],
        "Packets received with an error";
    NetRxDropped: Net Counter "net/rx_dropped", "packets", ["interface_name"],
        "Packets dropped while receiving";
    NetRxFifo: Net Counter "net/rx_fifo", "errors", ["interface_name"],
        "FIFO buffer overruns while receiving";
    NetRxFrame: Net Counter "net/rx_frame", "errors", ["interface_name"],
        "Packets with framing errors";
    NetRxCompressed: Net Counter "net/rx_compressed", "packets", ["interface_name"],
        "Compressed packets received";
    NetRxMulticast: Net Counter "net/rx_multicast", "packets", ["interface_name"],
        "Multicast packets received";
    NetTxBytes: Net Counter "net/tx_bytes", "B", ["interface_name"],
        "Bytes sent";
    NetTxPackets: Net Counter "net/tx_packets", "packets", ["interface_name"],
        "Packets sent";
    NetTxErrors: Net Counter "net/tx_errors", "packets", ["interface_name"],
        "Packets that could not be sent";
    NetTxDropped: Net Counter "net/tx_dropped", "packets", ["interface_name"],
        "Packets dropped before they were sent";
    NetTxFifo: Net Counter "net/tx_fifo", "errors", ["interface_name"],
        "FIFO buffer errors while sending";
    NetTxCollisions: Net Counter "net/tx_collisions", "collisions", ["interface_name"],
        "Collisions while sending";
    NetTxCarrier: Net Counter "net/tx_carrier", "errors", ["interface_name"],
        "Carrier losses while sending";
    NetTxCompressed: Net Counter "net/tx_compressed", "packets", ["interface_name"],
        "Compressed packets sent";

    // npd's own.
    DiskInodesUsed: Disk Gauge "disk/inodes", "inodes", ["device_name", "state"],
        "Inodes of the file system on the device; absent for file systems that create inodes as needed";
    DiskInodesRatio: Disk Gauge "disk/inodes_used_ratio", "0–1", ["device_name"],
        "The used share of the inodes of the file system on the device";
    DiskExt4Errors: Disk Counter "disk/ext4_errors_total", "errors", ["device_name"],
        "Errors that ext4 has recorded in its superblock";
    MemoryAvailable: Memory Gauge "memory/available_bytes", "B", [],
        "Memory that the kernel estimates can be allocated without swapping";
    NetCarrierChanges: Net Counter "net/carrier_changes_total", "changes", ["interface_name"],
        "How often the link went up or down";
    PressureRatio: Pressure Gauge "pressure/stalled_ratio", "0–1", ["kind", "resource", "window"],
        "The share of time during which some or all tasks waited for the resource, over 10, 60 and 300 seconds";
    PressureSeconds: Pressure Counter "pressure/stalled_seconds_total", "s", ["kind", "resource"],
        "Time during which some or all tasks waited for the resource";
    LimitsUsed: Limits Gauge "limits/used", "", ["limit"],
        "Entries in use of a resource that the kernel limits";
    LimitsMaximum: Limits Gauge "limits/maximum", "", ["limit"],
        "Maximum number of entries of a resource that the kernel limits";
    LimitsRatio: Limits Gauge "limits/used_ratio", "0–1", ["limit"],
        "The used share of the limit";
    TasksByState: Tasks Gauge "tasks/processes", "processes", ["state"],
        "Processes by the state of their first thread";
    TasksHung: Tasks Counter "tasks/hung_total", "reports", [],
        "Hung tasks that the kernel has detected; needs Linux 6.13";
    VmOomKills: Vm Counter "vm/oom_kills_total", "kills", [],
        "Processes that the OOM killer has killed";
    VmScannedPages: Vm Counter "vm/scanned_pages_total", "pages", ["scanner"],
        "Pages scanned for reclaim; direct scans made a task wait";
    HardwareMemoryErrors: Hardware Counter "hardware/memory_errors_total", "errors", ["controller", "kind"],
        "Memory errors counted by EDAC since its driver was loaded";
    ClockOffset: Clock Gauge "clock/offset_seconds", "s", [],
        "Clock offset that the kernel has yet to correct";
    ClockMaximumError: Clock Gauge "clock/maximum_error_seconds", "s", [],
        "Upper bound on the error of the clock; it grows while the clock is not synchronised";
    ClockSynchronized: Clock Gauge "clock/synchronized", "", [],
        "1 while the clock is synchronised";
}

// === impl MetricId ===

impl MetricId {
    /// The metrics of a collector.
    pub fn of(section: Section) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |id| id.metric().section == section)
    }

    /// The metric with this name in a config file.
    #[must_use]
    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.metric().id == id)
    }

    /// Whether node-problem-detector has it, too.
    #[must_use]
    pub fn is_compatible(self) -> bool {
        self < Self::DiskInodesUsed
    }
}

// === impl Section ===

impl Section {
    /// All of them, in the order in which they are read.
    pub const ALL: [Self; 12] = [
        Self::Cpu,
        Self::Disk,
        Self::Host,
        Self::Memory,
        Self::OsFeature,
        Self::Net,
        Self::Pressure,
        Self::Limits,
        Self::Tasks,
        Self::Vm,
        Self::Hardware,
        Self::Clock,
    ];

    /// Its key in a config file, and its name in metrics and logs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Disk => "disk",
            Self::Host => "host",
            Self::Memory => "memory",
            Self::OsFeature => "osFeature",
            Self::Net => "net",
            Self::Pressure => "pressure",
            Self::Limits => "limits",
            Self::Tasks => "tasks",
            Self::Vm => "vm",
            Self::Hardware => "hardware",
            Self::Clock => "clock",
        }
    }
}

// === impl Kind ===

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        })
    }
}

/// The Prometheus name of a metric with this `displayName`, as node-problem-detector's library builds it.
///
/// Every character outside of `[a-zA-Z0-9_:]` becomes an underscore; a name that would start with a digit or an
/// underscore is prefixed with `key`. At most 100 characters.
#[must_use]
pub fn exposition_name(display: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' };
    let name: String = display.chars().take(100).map(plain).collect();
    match name.chars().next() {
        Some('0'..='9') => format!("key_{name}"),
        Some('_') => format!("key{name}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_section_stands_where_its_number_says() {
        assert!(Section::ALL.into_iter().enumerate().all(|(index, section)| section as usize == index));
    }

    #[test]
    fn ids_are_unique_and_labels_are_sorted() {
        let ids: BTreeSet<_> = MetricId::ALL.iter().map(|id| id.metric().id).collect();
        assert_eq!(ids.len(), MetricId::ALL.len());
        for id in MetricId::ALL {
            assert!(id.metric().labels.is_sorted(), "{}", id.metric().id);
            assert_eq!(MetricId::named(id.metric().id), Some(*id));
        }
    }

    #[test]
    fn node_problem_detectors_metrics_come_first() {
        let compatible: Vec<_> = MetricId::ALL.iter().filter(|id| id.is_compatible()).collect();
        assert_eq!(compatible.len(), 43, "41 families, disk_avg_queue_len and system_os_feature");
        assert_eq!(*compatible[42], MetricId::NetTxCompressed);
    }

    #[test]
    fn names_are_made_as_observed() {
        for (display, name) in [
            ("cpu/load_1m", "cpu_load_1m"),
            ("my custom-name/x", "my_custom_name_x"),
            ("0leading", "key_0leading"),
            ("_x", "key_x"),
            ("a:b", "a:b"),
            ("é", "key_"),
        ] {
            assert_eq!(exposition_name(display), name, "{display}");
        }
    }
}
