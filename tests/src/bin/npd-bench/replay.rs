//! A large syslog, replayed: lines a second on one core, and memory that does not grow with the log.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use npd_tests::driver::{
    binary::{self, shipped_config},
    poll,
};

use crate::{sample::median, table::Row};

/// Bytes of the large log, and of the small one that its memory is compared with.
const LARGE: u64 = 1_000_000_000;
const SMALL: u64 = LARGE / 100;
/// One line in so many is a problem.
const EVERY: u64 = 10_000;
const ROUNDS: usize = 3;

/// What a node's syslog is full of, after the time and the host.
const LINES: [&str; 8] = [
    "kernel: [12345.678901] IPv6: ADDRCONF(NETDEV_CHANGE): cali0a1b2c3d4e5: link becomes ready",
    "systemd[1]: Started libcontainer container 0123456789abcdef0123456789abcdef0123456789abcdef.",
    "kubelet[1234]: I1124 09:00:00.123456    1234 kubelet.go:2345] \"SyncLoop (PLEG): event for pod\" pod=\"kube-system/dns-7f9c\"",
    "containerd[987]: time=\"2026-11-24T09:00:00.123456789Z\" level=info msg=\"StopPodSandbox for \\\"abc\\\" returns successfully\"",
    "sshd[4321]: Accepted publickey for core from 192.0.2.7 port 50022 ssh2: ED25519 SHA256:abcdefghijklmnop",
    "kernel: [12345.678901] audit: type=1400 audit(1700000000.123:456): apparmor=\"STATUS\" operation=\"profile_load\"",
    "CRON[7777]: (root) CMD (test -x /usr/sbin/anacron || run-parts --report /etc/cron.hourly)",
    "kernel: [12345.678901] eth0: renamed from veth1a2b3c4",
];
const PROBLEM: &str = "kernel: [12345.678901] INFO: task jbd2/sda1-8:412 blocked for more than 120 seconds.";

struct Run {
    cpu: Duration,
    peak_kib: u64,
}

pub(crate) fn measure() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let (small, large) = (folder.path().join("small.log"), folder.path().join("large.log"));
    let small_lines = write(&small, SMALL)?;
    let lines = write(&large, LARGE)?;
    let small_peak = replay(&small, small_lines)?.peak_kib;
    let (mut rates, mut peak) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let run = replay(&large, lines)?;
        rates.push(lines as f64 / run.cpu.as_secs_f64());
        peak = peak.max(run.peak_kib);
    }
    let (rate, mib) = (median(&rates) / 1e6, peak as f64 / 1024.0);
    let small_mib = small_peak as f64 / 1024.0;
    Ok(vec![
        Row::new(
            format!("replay of a syslog of {:.0} million lines, 1 GB: lines a second of CPU", lines as f64 / 1e6),
            format!("{rate:.1} million"),
        )
        .goal("≥ 2 million", rate >= 2.0),
        Row::new("replay of it: resident memory, peak", format!("{mib:.1} MiB"))
            .against("of a log of 10 MB", &format!("{small_mib:.1} MiB"), mib, small_mib)
            .goal("≤ 1.1 times as much", mib <= 1.1 * small_mib),
    ])
}

/// Writes a log of this size and gives its number of lines.
fn write(path: &Path, size: u64) -> Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).context("cannot make the log")?);
    let (mut written, mut lines) = (0, 0_u64);
    while written < size {
        let text = if lines % EVERY == EVERY - 1 { PROBLEM } else { LINES[(lines % 8) as usize] };
        let line = format!("Nov 24 09:{:02}:{:02} node {text}\n", lines / 60 % 60, lines % 60);
        file.write_all(line.as_bytes()).context("cannot write the log")?;
        written += line.len() as u64;
        lines += 1;
    }
    file.flush().context("cannot write the log")?;
    Ok(lines)
}

fn replay(log: &Path, lines: u64) -> Result<Run> {
    let matches = tempfile::NamedTempFile::new().context("cannot make a file")?;
    let mut child = Command::new(binary::agent()?)
        .args(["replay", "--json", "--config"])
        .arg(shipped_config("kernel-monitor-filelog.json"))
        .arg(log)
        .stdin(Stdio::null())
        .stdout(matches.reopen().context("cannot open the results")?)
        .spawn()
        .context("cannot start the replay")?;
    let pid = child.id();
    let (mut run, started) = (Run { cpu: Duration::ZERO, peak_kib: 0 }, Instant::now());
    // Both only grow; the process is looked at until it has gone.
    while child.try_wait().context("cannot wait")?.is_none() {
        if let (Ok(status), Ok(stat)) = (
            std::fs::read_to_string(format!("/proc/{pid}/status")),
            std::fs::read_to_string(format!("/proc/{pid}/stat")),
        ) {
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
            run.peak_kib = run.peak_kib.max(peak.unwrap_or(0));
            let ticks = stat
                .rsplit_once(") ")
                .map(|(_, rest)| rest.split(' ').skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>());
            run.cpu = Duration::from_millis(10 * ticks.unwrap_or(0)).max(run.cpu);
        }
        poll::pause(Duration::from_millis(2));
        ensure!(started.elapsed() < Duration::from_mins(2), "the replay does not end");
    }
    let status = child.wait().context("cannot wait")?;
    let found = std::fs::read_to_string(matches.path()).context("cannot read the results")?.lines().count() as u64;
    ensure!(status.success() && found == lines / EVERY, "{found} of {} problems found, {status}", lines / EVERY);
    Ok(run)
}
