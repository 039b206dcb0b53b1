//! A large node: 128 CPUs, 200 disks, 500 interfaces, 1000 processes.
//!
//! Its numbers come from one formula, so that both its files and what is to be measured of it are written from the same
//! numbers, each in its own way.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use npd_agent::metric::{MetricId, Section, exposition_name, own::CollectorMetrics};

/// CPUs it has.
pub const CPUS: u64 = 128;
/// Disks, each with one partition that is mounted.
pub const DISKS: u64 = 200;
/// Network interfaces.
pub const INTERFACES: u64 = 500;
/// Processes, every tenth of which waits in the kernel.
pub const PROCESSES: u64 = 1000;
const CONTROLLERS: u64 = 16;

const STATES: [&str; 10] =
    ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"];
const STAGES: [&str; 10] =
    ["user", "nice", "system", "idle", "iowait", "iRQ", "softIRQ", "steal", "guest", "guestNice"];
const NET: [&str; 16] = [
    "net_rx_bytes",
    "net_rx_packets",
    "net_rx_errors",
    "net_rx_dropped",
    "net_rx_fifo",
    "net_rx_frame",
    "net_rx_compressed",
    "net_rx_multicast",
    "net_tx_bytes",
    "net_tx_packets",
    "net_tx_errors",
    "net_tx_dropped",
    "net_tx_fifo",
    "net_tx_collisions",
    "net_tx_carrier",
    "net_tx_compressed",
];
const MEMORY: [&str; 15] = [
    "MemTotal",
    "MemFree",
    "MemAvailable",
    "Buffers",
    "Cached",
    "Slab",
    "Active(anon)",
    "Inactive(anon)",
    "Active(file)",
    "Inactive(file)",
    "Unevictable",
    "Dirty",
    "Writeback",
    "Mlocked",
    "SwapTotal",
];

/// The labels of what is told of the collectors.
const COLLECTOR: &[&str] = &["collector", "file"];

/// The number in a column of a row of something.
fn number(what: u64, row: u64, column: u64) -> u64 {
    1 + (what * 1_000_003 + row * 7_919 + column * 104_729) % 999_983
}

fn cpu(row: u64, column: u64) -> u64 {
    number(1, row, column)
}

/// 0 to 199 are disks, 200 to 399 the partition on each.
fn disk(row: u64, column: u64) -> u64 {
    number(2, row, column)
}

fn interface(row: u64, column: u64) -> u64 {
    number(3, row, column)
}

fn space(row: u64, column: u64) -> u64 {
    number(4, row, column) * 4096
}

/// kB; the total is larger than the rest together.
fn memory(column: u64) -> u64 {
    if column == 0 { 64 << 20 } else { number(5, 0, column) }
}

fn disk_name(row: u64) -> String {
    if row < DISKS { format!("nvme{row}n1") } else { format!("nvme{}n1p1", row - DISKS) }
}

fn interface_name(row: u64) -> String {
    format!("veth{row:04x}")
}

/// Writes the node into a folder.
pub fn write(folder: &Path) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder)).context("cannot make a folder")?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let columns = |count: u64, value: &dyn Fn(u64) -> u64| {
        (0..count).map(|column| value(column).to_string()).collect::<Vec<_>>().join(" ")
    };
    let mut stat = format!("cpu  {}\n", columns(10, &|column| (0..CPUS).map(|row| cpu(row, column)).sum()));
    for row in 0..CPUS {
        writeln!(stat, "cpu{row} {}", columns(10, &|column| cpu(row, column)))?;
    }
    writeln!(stat, "intr 987654321 {}", vec!["7"; 4000].join(" "))?;
    write!(stat, "ctxt 1\nbtime 2\nprocesses 345678\nprocs_running 130\nprocs_blocked 12\nsoftirq 1 2 3\n")?;
    put("proc/stat", stat)?;
    put("proc/loadavg", "130.25 120.5 99.75 130/4321 99999\n".into())?;
    put("proc/uptime", "8640000.99 1.0\n".into())?;
    let kib = |line: &str, column: u64| format!("{:<16}{:>8} kB\n", format!("{line}:"), memory(column));
    put("proc/meminfo", MEMORY.into_iter().zip(0..).map(|(line, column)| kib(line, column)).collect())?;
    put("proc/cmdline", "BOOT_IMAGE=/vmlinuz systemd.unified_cgroup_hierarchy=1\n".into())?;
    let modules = (0..200).map(|row| format!("module{row} 16384 0 - Live 0x0000000000000000\n"));
    put("proc/modules", modules.collect::<Vec<_>>().concat())?;
    let line = |row: u64| format!(" 259 {row} {} {}\n", disk_name(row), columns(17, &|column| disk(row, column)));
    put("proc/diskstats", (0..2 * DISKS).map(line).collect())?;
    let mut mounts = "20 1 0:20 / /proc rw - proc proc rw\n".to_owned();
    for row in 0..DISKS {
        let device = DISKS + row;
        let name = disk_name(device);
        writeln!(mounts, "{row} 1 259:{device} / /data/{row} rw,noatime shared:{row} - ext4 /dev/{name} rw")?;
        put(&format!("data/{row}/space"), columns(4, &|column| space(row, column)))?;
        put(&format!("sys/block/{}/size", disk_name(row)), "1000".into())?;
        put(&format!("sys/fs/ext4/{name}/errors_count"), format!("{}\n", disk(device, 20)))?;
    }
    put("proc/1/mountinfo", mounts)?;
    let mut net = "Inter-|   Receive |  Transmit\n face |bytes packets |bytes packets\n".to_owned();
    for row in 0..INTERFACES {
        let name = interface_name(row);
        writeln!(net, "{name}: {}", columns(16, &|column| interface(row, column)))?;
        put(&format!("sys/class/net/{name}/carrier_changes"), format!("{}\n", interface(row, 16)))?;
    }
    put("proc/net/dev", net)?;
    for resource in ["cpu", "io", "irq", "memory"] {
        let line = |kind| format!("{kind} avg10=12.50 avg60=6.25 avg300=3.75 total=1500000\n");
        put(&format!("proc/pressure/{resource}"), line("some") + &line("full"))?;
    }
    put(
        "proc/vmstat",
        "nr_free_pages 1\npgscan_kswapd 11\npgscan_direct 12\npgscan_direct_throttle 9\noom_kill 13\n".into(),
    )?;
    for (name, value) in [
        ("fs/file-nr", "4096\t0\t8192"),
        ("kernel/osrelease", "6.12.0"),
        ("kernel/pid_max", "4194304"),
        ("kernel/threads-max", "8642"),
        ("kernel/hung_task_detect_count", "14"),
        ("net/netfilter/nf_conntrack_count", "1024"),
        ("net/netfilter/nf_conntrack_max", "4096"),
    ] {
        put(&format!("proc/sys/{name}"), format!("{value}\n"))?;
    }
    for row in 0..PROCESSES {
        let letter = if row % 10 == 0 { 'D' } else { 'S' };
        put(&format!("proc/{}/stat", 100 + row), format!("{} (a process) {letter} 1 1 1 0 -1\n", 100 + row))?;
    }
    for row in 0..CONTROLLERS {
        put(&format!("sys/devices/system/edac/mc/mc{row}/ce_count"), format!("{}\n", number(6, row, 0)))?;
        put(&format!("sys/devices/system/edac/mc/mc{row}/ue_count"), format!("{}\n", number(6, row, 1)))?;
    }
    put("etc/os-release", "ID=talos\nVERSION_ID=v1.9.0\n".into())
}

/// What is to be on the metrics page after two collections that found the same, ten seconds apart.
#[must_use]
pub fn exposition() -> String {
    let mut page = Page::default();
    let seconds = |ticks: u64| ticks as f64 / 100.0;
    for (column, (state, stage)) in (0..).zip(STATES.into_iter().zip(STAGES)) {
        page.add("cpu_usage_time", &[state], seconds((0..CPUS).map(|row| cpu(row, column)).sum()));
        for row in 0..CPUS {
            page.add("system_cpu_stat", &[&format!("cpu{row}"), stage], seconds(cpu(row, column)));
        }
    }
    for (name, value) in [
        ("cpu_runnable_task_count", 130.25),
        ("cpu_load_1m", 130.25),
        ("cpu_load_5m", 120.5),
        ("cpu_load_15m", 99.75),
        ("system_processes_total", 345_678.0),
        ("system_procs_running", 130.0),
        ("system_procs_blocked", 12.0),
        ("system_interrupts_total", 987_654_321.0),
        ("memory_unevictable_used", memory(10) as f64 * 1024.0),
        ("memory_available_bytes", memory(2) as f64 * 1024.0),
        ("tasks_hung_total", 14.0),
        ("vm_oom_kills_total", 13.0),
        ("clock_offset_seconds", -0.000_012),
        ("clock_maximum_error_seconds", 0.0315),
        ("clock_synchronized", 1.0),
    ] {
        page.add(name, &[], value);
    }
    disks(&mut page);
    page.add("host_uptime", &["6.12.0", "talos v1.9.0"], 8_640_000.0);
    let used = memory(0) - memory(1) - memory(3) - memory(4) - memory(5);
    for (state, kib) in
        [("free", memory(1)), ("buffered", memory(3)), ("cached", memory(4)), ("slab", memory(5)), ("used", used)]
    {
        page.add("memory_bytes_used", &[state], kib as f64 * 1024.0);
    }
    page.add("memory_percent_used", &["used"], (used * 1024) as f64 * 100.0 / (memory(0) * 1024) as f64);
    for (name, state, column) in [
        ("memory_anonymous_used", "active", 6),
        ("memory_anonymous_used", "inactive", 7),
        ("memory_page_cache_used", "active", 8),
        ("memory_page_cache_used", "inactive", 9),
        ("memory_dirty_used", "dirty", 11),
        ("memory_dirty_used", "writeback", 12),
    ] {
        page.add(name, &[state], memory(column) as f64 * 1024.0);
    }
    for (feature, value) in [
        ("GPUSupport", 0.0),
        ("KTD", 0.0),
        ("KernelModuleIntegrity", 0.0),
        ("UnifiedCgroupHierarchy", 1.0),
        ("UnknownModules", 0.0),
    ] {
        page.add("system_os_feature", &[feature, ""], value);
    }
    for row in 0..INTERFACES {
        let name = interface_name(row);
        for (column, metric) in (0..).zip(NET) {
            page.add(metric, &[&name], interface(row, column) as f64);
        }
        page.add("net_carrier_changes_total", &[&name], interface(row, 16) as f64);
    }
    for resource in ["cpu", "io", "irq", "memory"] {
        for kind in ["some", "full"] {
            for (window, share) in [("10s", 0.125), ("60s", 0.0625), ("300s", 0.0375)] {
                page.add("pressure_stalled_ratio", &[kind, resource, window], share);
            }
            page.add("pressure_stalled_seconds_total", &[kind, resource], 1.5);
        }
    }
    for (limit, used, most) in [
        ("open_files", 4096.0, 8192.0),
        ("pids", 4321.0, 4_194_304.0),
        ("threads", 4321.0, 8642.0),
        ("conntrack", 1024.0, 4096.0),
    ] {
        page.add("limits_used", &[limit], used);
        page.add("limits_maximum", &[limit], most);
        page.add("limits_used_ratio", &[limit], used / most);
    }
    let blocked = PROCESSES.div_ceil(10);
    for state in ["idle", "running", "stopped", "zombie"] {
        page.add("tasks_processes", &[state], 0.0);
    }
    page.add("tasks_processes", &["uninterruptible"], blocked as f64);
    page.add("tasks_processes", &["sleeping"], (PROCESSES - blocked) as f64);
    page.add("vm_scanned_pages_total", &["kswapd"], 11.0);
    page.add("vm_scanned_pages_total", &["direct"], 12.0);
    for row in 0..CONTROLLERS {
        page.add("hardware_memory_errors_total", &[&format!("mc{row}"), "corrected"], number(6, row, 0) as f64);
        page.add("hardware_memory_errors_total", &[&format!("mc{row}"), "uncorrected"], number(6, row, 1) as f64);
    }
    page.text()
}

fn disks(page: &mut Page) {
    for row in 0..2 * DISKS {
        let name = disk_name(row);
        for (metric, read, written, unit) in [
            ("disk_operation_count", 0, 4, 1),
            ("disk_merged_operation_count", 1, 5, 1),
            ("disk_operation_bytes_count", 2, 6, 512),
            ("disk_operation_time", 3, 7, 1),
        ] {
            page.add(metric, &[&name, "read"], (disk(row, read) * unit) as f64);
            page.add(metric, &[&name, "write"], (disk(row, written) * unit) as f64);
        }
        page.add("disk_io_time", &[&name], disk(row, 9) as f64);
        page.add("disk_weighted_io", &[&name], disk(row, 10) as f64);
        page.add("disk_avg_queue_len", &[&name], 0.0);
    }
    for row in 0..DISKS {
        let name = disk_name(DISKS + row);
        let [free, used, inodes, inodes_free] = [0, 1, 2, 3].map(|column| space(row, column));
        page.add("disk_bytes_used", &[&name, "ext4", "rw,noatime", "free"], free as f64);
        page.add("disk_bytes_used", &[&name, "ext4", "rw,noatime", "used"], used as f64);
        page.add("disk_percent_used", &[&name], used as f64 / (used + free) as f64 * 100.0);
        let inodes_used = inodes.saturating_sub(inodes_free);
        page.add("disk_inodes", &[&name, "free"], inodes_free as f64);
        page.add("disk_inodes", &[&name, "used"], inodes_used as f64);
        page.add("disk_inodes_used_ratio", &[&name], inodes_used as f64 / inodes as f64);
        page.add("disk_ext4_errors_total", &[&name], disk(DISKS + row, 20) as f64);
    }
}

/// A metrics page: for each metric its series, by the values of their labels.
#[derive(Default)]
struct Page(BTreeMap<String, BTreeMap<Vec<String>, f64>>);

impl Page {
    fn add(&mut self, name: &str, labels: &[&str], value: f64) {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        self.0.entry(name.to_owned()).or_default().insert(labels, value);
    }

    fn text(mut self) -> String {
        for section in Section::ALL {
            self.add("npd_collector_success", &[section.key(), "everything.json"], 1.0);
            self.add("npd_collector_duration_seconds", &[section.key(), "everything.json"], 0.0);
        }
        let [success, duration] = CollectorMetrics::ROWS;
        let mut lines = Vec::new();
        for (name, series) in self.0 {
            let row = MetricId::ALL.iter().map(|id| id.metric()).find(|row| exposition_name(row.id) == name);
            let (help, kind, labels) = match (row, &*name) {
                (Some(row), _) => (row.help, row.kind.to_string(), row.labels),
                (None, "npd_collector_success") => (success.help, "gauge".into(), COLLECTOR),
                (None, _) => (duration.help, "gauge".into(), COLLECTOR),
            };
            lines.push(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            for (values, value) in series {
                let pairs = labels.iter().zip(values).map(|(label, value)| format!("{label}=\"{value}\""));
                let pairs = pairs.collect::<Vec<_>>().join(",");
                let pairs = if pairs.is_empty() { pairs } else { format!("{{{pairs}}}") };
                lines.push(format!("{name}{pairs} {value}\n"));
            }
        }
        lines.concat()
    }
}
