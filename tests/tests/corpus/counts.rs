//! Problems that must occur several times before they are reported, or that are reported once for many times.

use anyhow::{Result, ensure};

use crate::{HOUR, node::Node, shipped::Shipped};

const SYSTEMD_COUNTER: &str = "systemd-monitor-counter.json";

/// How often a line has to come within how many minutes for a condition.
#[rustfmt::skip]
const THRESHOLDS: [(&str, &str, usize, i64, &str); 7] = [
    (SYSTEMD_COUNTER, "FrequentKubeletRestart", 5, 20, "kubelet.service: Scheduled restart job, restart counter is at 7."),
    (SYSTEMD_COUNTER, "FrequentKubeletRestart", 5, 20, "k3s-agent.service: Scheduled restart job, restart counter is at 8."),
    (SYSTEMD_COUNTER, "FrequentDockerRestart", 5, 20, "docker.service: Scheduled restart job, restart counter is at 1."),
    (SYSTEMD_COUNTER, "FrequentDockerRestart", 5, 20, "docker.service holdoff time over, scheduling restart."),
    (SYSTEMD_COUNTER, "FrequentContainerdRestart", 5, 20, "containerd.service: Scheduled restart job, restart counter is at 1."),
    ("kernel-monitor-counter.json", "FrequentUnregisterNetDevice", 3, 20, "unregister_netdevice: waiting for veth-1a2b.5 to become free. Usage count = 2"),
    ("docker-monitor-counter.json", "CorruptDockerOverlay2", 10, 5, "level=error msg=\"Handler for GET /v1.47/containers/app/json returned error: readlink /var/lib/docker/overlay2/l: invalid argument\""),
];

pub(crate) fn thresholds(shipped: &Shipped) -> Result<()> {
    for (name, condition, count, minutes, line) in THRESHOLDS {
        let window = minutes * 60;
        let gap = window / i64::try_from(count)?;
        let mut node = Node::new(name, shipped)?;
        for n in 1..=count {
            node.expect(&[], &format!("{condition} after {} of {count}", n - 1))?;
            node.wait(gap);
            node.prints(&[line]);
        }
        node.expect(&[condition], &format!("after {count}"))?;
        node.wait(window + 1);
        node.expect(&[], "when it is over")?;

        let mut slow = Node::new(name, shipped)?;
        for _ in 0..3 * count {
            slow.wait(window / i64::try_from(count - 1)? + 1);
            slow.prints(&[line]);
            slow.expect(&[], &format!("{condition} at a rate below {count} in {window} seconds"))?;
        }
    }
    Ok(())
}

pub(crate) fn restarts_in_two_lines(shipped: &Shipped) -> Result<()> {
    let hold_off = "docker.service: Service hold-off time over, scheduling restart.";
    let scheduled = "docker.service: Scheduled restart job, restart counter is at 3.";
    let stopped = "Stopped Docker Application Container Engine.";
    let expired = "docker.service: Service RestartSec=2s expired, scheduling restart.";
    let starting = "Starting Docker Application Container Engine...";
    for lines in [
        &[hold_off, stopped, starting][..],
        &[hold_off, scheduled, stopped, starting],
        &[expired, scheduled, stopped, starting],
    ] {
        let mut node = Node::new(SYSTEMD_COUNTER, shipped)?;
        for _ in 0..4 {
            node.wait(10);
            node.prints(lines);
        }
        node.expect(&[], &format!("after four times {lines:?}"))?;
        node.prints(lines);
        node.expect(&["FrequentDockerRestart"], &format!("after five times {lines:?}"))?;
    }
    Ok(())
}

pub(crate) fn restarts_by_hand(shipped: &Shipped) -> Result<()> {
    let mut node = Node::new(SYSTEMD_COUNTER, shipped)?;
    for _ in 0..50 {
        node.wait(5);
        for service in [
            "kubelet.service - kubelet: The Kubernetes Node Agent",
            "docker.service - Docker Application Container Engine",
            "containerd.service - containerd container runtime",
        ] {
            let unit = service.split(' ').next().unwrap_or_default();
            node.prints(&[
                &format!("Stopping {service}..."),
                &format!("{unit}: Deactivated successfully."),
                &format!("Stopped {service}."),
                &format!("{unit}: Consumed 1min 2.345s CPU time."),
                &format!("Starting {service}..."),
                &format!("Started {service}."),
            ]);
        }
    }
    node.expect(&[], "after fifty restarts of each")
}

pub(crate) fn restarts_after_boot(shipped: &Shipped) -> Result<()> {
    let restart = "kubelet.service: Scheduled restart job, restart counter is at 7.";
    let mut node = Node::booted(SYSTEMD_COUNTER, shipped, 0)?;
    for _ in 0..29 {
        node.wait(10);
        node.prints(&[restart]);
    }
    node.expect(&[], "before the five minutes are over")?;
    for _ in 0..6 {
        node.wait(10);
        node.prints(&[restart]);
    }
    node.expect(&["FrequentKubeletRestart"], "a minute later")
}

pub(crate) fn given_up(shipped: &Shipped) -> Result<()> {
    let mut node = Node::new(SYSTEMD_COUNTER, shipped)?;
    // Docker's unit allows three starts a minute.
    for _ in 0..3 {
        node.wait(3);
        node.prints(&["docker.service: Scheduled restart job, restart counter is at 1."]);
    }
    node.expect(&[], "after three restarts")?;
    node.prints(&["docker.service: Start request repeated too quickly."]);
    node.expect(&["FrequentDockerRestart"], "when systemd has given up")?;
    node.wait(24 * HOUR);
    node.prints(&["Started containerd container runtime.", "Starting Docker Application Container Engine..."]);
    node.expect(&["FrequentDockerRestart"], "a day later")?;
    node.prints(&["Started Docker Application Container Engine."]);
    node.expect(&[], "when it is started")
}

pub(crate) fn crash_loop(shipped: &Shipped) -> Result<()> {
    let mut node = Node::new("systemd-monitor.json", shipped)?;
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.extend(node.prints(&["Started kubelet: The Kubernetes Node Agent."]));
        statuses.extend(node.wait(10));
    }
    statuses.extend(node.wait(60));
    let events: Vec<_> = statuses.iter().flat_map(|status| &status.events).collect();
    ensure!(events.len() <= 12, "{} events in ten minutes", events.len());
    let reported: u64 = events.iter().map(|event| event.count).sum();
    ensure!(reported == 60, "{reported} of 60 starts are reported");
    Ok(())
}
