//! Which disk, file system or task a line is about.

use anyhow::{Result, ensure};

use crate::{HOUR, node::Node, shipped::Shipped};

pub(crate) fn bad_blocks(shipped: &Shipped) -> Result<()> {
    let bad = &["DiskBadBlock"][..];
    let mut node = Node::new("disk-log-message-filelog.json", shipped)?;
    node.prints(&["smartd[811]: Device: /dev/sda [SAT], 99 Currently unreadable (pending) sectors"]);
    node.expect(&[], "with 99 sectors")?;
    let lines = [
        "smartd[811]: Device: /dev/sda [SAT], 100 Currently unreadable (pending) sectors (changed +1)",
        "smartd[811]: Device: /dev/sda [SAT], 104 Offline uncorrectable sectors",
        "smartd[811]: Device: /dev/sdb [SAT], 262 Currently unreadable (pending) sectors",
    ];
    ensure!(node.prints(&lines).len() == 3, "each is news");
    ensure!(node.prints(&lines).is_empty(), "again is no news");
    let over = "No more Currently unreadable (pending) sectors, warning condition reset after 1 email";
    node.prints(&[&format!("smartd[811]: Device: /dev/sda [SAT], {over}")]);
    node.expect(bad, "with two of three")?;
    node.prints(&["smartd[811]: Device: /dev/sda [SAT], 4 Offline uncorrectable sectors (changed -100)"]);
    node.expect(bad, "with the second disk")?;
    for _ in 0..100 {
        node.wait(HOUR / 2);
        node.prints(&lines[2..]);
        node.expect(bad, "while smartd says so")?;
    }
    node.wait(24 * HOUR - 1);
    node.expect(bad, "nearly a day later")?;
    node.wait(1);
    node.expect(&[], "when the disk has gone")
}

pub(crate) fn rechecks(shipped: &Shipped) -> Result<()> {
    for (name, line, subject) in [
        ("readonly-monitor.json", "EXT4-fs (sda1): Remounting filesystem read-only", Some("sda1")),
        ("readonly-monitor.json", "kernel: EXT4-fs (dm-0): Remounting filesystem read-only", Some("dm-0")),
        (
            "readonly-monitor.json",
            "EXT2-fs (cciss!c0d0p1): error: remounting filesystem read-only",
            Some("cciss!c0d0p1"),
        ),
        ("readonly-monitor.json", "BTRFS info (device sda1): forced readonly", Some("sda1")),
        ("readonly-monitor.json", "BTRFS info (device nvme0n1p3: state EA): forced readonly", Some("nvme0n1p3")),
        ("readonly-monitor.json", "BTRFS info (device dm-0 state EA): forced readonly", Some("dm-0")),
        ("readonly-monitor.json", "exFAT-fs (sdb1): Filesystem has been set read-only", Some("sdb1")),
        ("readonly-monitor.json", "Remounting filesystem read-only", None),
        ("readonly-monitor.json", "OCFS2: File system is now read-only.", None),
        ("kernel-monitor.json", "XFS (dm-0): Log I/O Error Detected. Shutting down filesystem", Some("dm-0")),
        (
            "kernel-monitor.json",
            "XFS (nvme1n1): Filesystem has been shut down due to log error (0x2).",
            Some("nvme1n1"),
        ),
        ("kernel-monitor.json", "INFO: task docker:20744 blocked for more than 120 seconds.", Some("20744")),
        ("kernel-monitor.json", "{1}[Hardware Error]: event severity: fatal", None),
    ] {
        let mut node = Node::new(name, shipped)?;
        node.prints(&[line]);
        ensure!(node.problems().len() == 1, "no condition: {line}");
        let subjects: Vec<_> = node.monitor.questions(node.now).into_iter().map(|question| question.subject).collect();
        ensure!(subjects.iter().map(String::as_str).eq(subject), "asks about {subjects:?}: {line}");
    }
    Ok(())
}
