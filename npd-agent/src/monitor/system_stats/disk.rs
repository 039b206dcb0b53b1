//! What the block devices do, and how full the file systems on them are.
//!
//! No program is run for it: the whole devices are in /sys/block, the mounted ones in the mounts of the node's first
//! process, and both have their names from /proc/diskstats.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Collector, sample::Samples};
use crate::{
    config::system_stats::DiskOptions,
    metric::MetricId,
    node::{
        Node,
        files::{CollectError, number},
        mounts::{Mount, mounts},
        space::Space,
    },
    time::Monotonic,
};

/// The major number of RAM disks, which lsblk leaves out.
const RAM: &str = "1";
/// Bytes of a sector in /proc/diskstats, whatever the device's own are.
const SECTOR: u64 = 512;

const OF_FILE_SYSTEMS: &[MetricId] =
    &[MetricId::DiskBytesUsed, MetricId::DiskPercentUsed, MetricId::DiskInodesUsed, MetricId::DiskInodesRatio];

/// The collector of `disk`.
pub(super) struct Disk {
    options: DiskOptions,
    /// When it was read last, and the weighted time of I/O that each device had then.
    before: Option<(Monotonic, BTreeMap<Arc<str>, u64>)>,
}

/// One line of /proc/diskstats.
struct Device<'t> {
    /// `8:0`.
    number: (&'t str, &'t str),
    name: &'t str,
    /// From the fourth column on.
    counters: [u64; 11],
}

// === impl Disk ===

impl Disk {
    pub(super) fn new(options: DiskOptions) -> Self {
        Self { options, before: None }
    }

    /// The devices that are wanted; `None` if all are.
    fn wanted(&self, node: &Node, mounts: &[Mount<'_>], devices: &[Device<'_>]) -> Option<BTreeSet<String>> {
        let mut wanted = BTreeSet::new();
        if self.options.include_root_blk {
            let ram = |name: &str| devices.iter().any(|device| device.name == name && device.number.0 == RAM);
            // As lsblk has it: with something on them, and not made of other devices.
            let is_whole = |name: &String| {
                number(&node.sys.join("block").join(name).join("size")) != Some(0)
                    && node.sys_names(&format!("block/{name}/slaves")).is_empty()
            };
            let whole = node.sys_names("block").into_iter().filter(is_whole);
            // A slash in a name is a ! in /sys.
            wanted.extend(whole.map(|name| name.replace('!', "/")).filter(|name| !ram(name)));
        }
        if self.options.include_all_attached_blk {
            wanted.extend(mounts.iter().map(|mount| device_of(mount, devices).to_owned()));
        }
        (!wanted.is_empty()).then_some(wanted)
    }

    fn io(&mut self, devices: &[Device<'_>], wanted: Option<&BTreeSet<String>>, now: Monotonic, out: &mut Samples) {
        let mut weighted_now = BTreeMap::new();
        for device in devices {
            let is_wanted = wanted.is_none_or(|wanted| wanted.contains(device.name));
            // A device that has never done anything is left out.
            if !is_wanted || device.counters.iter().all(|counter| *counter == 0) {
                continue;
            }
            let [
                reads,
                reads_merged,
                sectors_read,
                read_ms,
                writes,
                writes_merged,
                sectors_written,
                write_ms,
                _,
                io,
                weighted,
            ] = device.counters;
            let name: Arc<str> = device.name.into();
            for (id, read, written) in [
                (MetricId::DiskOperationCount, reads, writes),
                (MetricId::DiskMergedOperationCount, reads_merged, writes_merged),
                (
                    MetricId::DiskOperationBytes,
                    sectors_read.saturating_mul(SECTOR),
                    sectors_written.saturating_mul(SECTOR),
                ),
                (MetricId::DiskOperationTime, read_ms, write_ms),
            ] {
                out.add(id, [(&name).into(), "read".into()], read as f64);
                out.add(id, [(&name).into(), "write".into()], written as f64);
            }
            out.add(MetricId::DiskIoTime, [(&name).into()], io as f64);
            out.add(MetricId::DiskWeightedIo, [(&name).into()], weighted as f64);
            if let Some((then, before)) = &self.before
                && let Some(before) = before.get(&name)
            {
                let elapsed = now.since(*then).as_secs_f64() * 1e3;
                if elapsed > 0.0 && weighted >= *before {
                    out.add(MetricId::DiskAvgQueueLen, [(&name).into()], (weighted - before) as f64 / elapsed);
                }
            }
            weighted_now.insert(name, weighted);
        }
        self.before = Some((now, weighted_now));
    }
}

impl Collector for Disk {
    fn collect(&mut self, node: &Node, now: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        let diskstats = node.proc("diskstats")?;
        let devices: Vec<_> = diskstats.lines().filter_map(Device::read).collect();
        let text = node.proc("1/mountinfo").or_else(|_| node.proc("self/mountinfo"));
        let mounts = text.as_ref().map(|text| mounts(text)).unwrap_or_default();
        let wanted = self.wanted(node, &mounts, &devices);
        self.io(&devices, wanted.as_ref(), now, out);
        for name in node.sys_names("fs/ext4") {
            if let Some(errors) = number(&node.sys.join("fs/ext4").join(&name).join("errors_count")) {
                out.add(MetricId::DiskExt4Errors, [name.into()], errors as f64);
            }
        }
        if out.wants(OF_FILE_SYSTEMS) {
            file_systems(node, &mounts, &devices, out)?;
        }
        text.map(drop)
    }
}

/// How full each file system is. One that cannot be asked takes nothing away from the others.
fn file_systems(
    node: &Node,
    mounts: &[Mount<'_>],
    devices: &[Device<'_>],
    out: &mut Samples,
) -> Result<(), CollectError> {
    let mut failed = None;
    let mut seen = BTreeSet::new();
    for mount in mounts {
        let device = device_of(mount, devices);
        if !seen.insert(device) {
            continue;
        }
        let space = match (node.space)(&node.below_root(&mount.point)) {
            Ok(space) => space,
            Err(source) => {
                failed.get_or_insert(CollectError::Ask { what: format!("the space of {}", mount.point), source });
                continue;
            }
        };
        let device: Arc<str> = device.into();
        let (kind, options): (Arc<str>, Arc<str>) = (mount.kind.into(), mount.options.as_ref().into());
        for (state, bytes) in [("free", space.bytes_free), ("used", space.bytes_used)] {
            let labels = [(&device).into(), (&kind).into(), (&options).into(), state.into()];
            out.add(MetricId::DiskBytesUsed, labels, bytes as f64);
        }
        let all = space.bytes_used.saturating_add(space.bytes_free);
        if all > 0 {
            let percent = space.bytes_used as f64 / all as f64 * 100.0;
            out.add(MetricId::DiskPercentUsed, [(&device).into()], percent);
        }
        if space.inodes > 0 && !is_image(&mount.options, &space) {
            let used = space.inodes.saturating_sub(space.inodes_free);
            for (state, inodes) in [("free", space.inodes_free), ("used", used)] {
                out.add(MetricId::DiskInodesUsed, [(&device).into(), state.into()], inodes as f64);
            }
            out.add(MetricId::DiskInodesRatio, [(&device).into()], used as f64 / space.inodes as f64);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Whether a file system is an image, such as a squashfs, which has just the inodes that it needs: that it is full is no news.
fn is_image(options: &str, space: &Space) -> bool {
    space.inodes_free == 0 && options.split(',').any(|option| option == "ro")
}

/// The name of the device that is mounted: dm-0 of /dev/mapper/data. A file system over several devices, such as btrfs,
/// has a number of its own, and then the name is that in the mount.
fn device_of<'t>(mount: &Mount<'t>, devices: &[Device<'t>]) -> &'t str {
    let found = devices.iter().find(|device| device.number == mount.number);
    found.map_or_else(|| mount.source.rsplit('/').next().unwrap_or(mount.source), |device| device.name)
}

// === impl Device ===

impl<'t> Device<'t> {
    fn read(line: &'t str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let number = (words.next()?, words.next()?);
        let name = words.next()?;
        let mut counters = [0; 11];
        for counter in &mut counters {
            *counter = words.next()?.parse().ok()?;
        }
        Some(Self { number, name, counters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inodes_of_an_image_are_no_news() {
        let space = |inodes_free| Space { bytes_free: 0, bytes_used: 1, inodes: 10, inodes_free };
        assert!(is_image("ro,nodev,relatime", &space(0)));
        assert!(!is_image("rw,relatime,errors=remount-ro", &space(0)), "a full file system");
        assert!(!is_image("ro,relatime", &space(3)), "a disk that was mounted read-only");
    }
}
