//! Hostile contents of /proc and /sys: whatever stands there, no collector panics, and what is given has its labels.

use std::{fs, path::Path, time::Duration};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::config::{self, ConfigFile};
use crate::node::space::Space;

const FILES: [&str; 26] = [
    "proc/stat",
    "proc/loadavg",
    "proc/uptime",
    "proc/meminfo",
    "proc/diskstats",
    "proc/vmstat",
    "proc/cmdline",
    "proc/modules",
    "proc/net/dev",
    "proc/pressure/cpu",
    "proc/pressure/memory",
    "proc/pressure/io",
    "proc/1/mountinfo",
    "proc/1/stat",
    "proc/2/stat",
    "proc/sys/fs/file-nr",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/pid_max",
    "proc/sys/kernel/hung_task_detect_count",
    "proc/sys/net/netfilter/nf_conntrack_count",
    "proc/sys/net/netfilter/nf_conntrack_max",
    "sys/block/sda/size",
    "sys/class/net/eth0/carrier_changes",
    "sys/fs/ext4/sda1/errors_count",
    "sys/devices/system/edac/mc/mc0/ce_count",
    "etc/os-release",
];

fn everything() -> SystemStatsConfig {
    let section = |section: Section| {
        let metrics = MetricId::of(section).map(|id| format!("\"{0}\":{{\"displayName\":\"{0}\"}}", id.metric().id));
        let options =
            if section == Section::Disk { r#""includeRootBlk":true,"includeAllAttachedBlk":true,"# } else { "" };
        let metrics = metrics.collect::<Vec<_>>().join(",");
        format!("\"{}\":{{{options}\"metricsConfigs\":{{{metrics}}}}}", section.key())
    };
    let text = format!("{{{}}}", Section::ALL.map(section).join(","));
    config::load_text(&ConfigFile::system_stats("f"), text.as_bytes()).unwrap().system_stats.remove(0)
}

fn node(folder: &Path) -> Node {
    Node {
        proc: folder.join("proc"),
        sys: folder.join("sys"),
        etc: folder.join("etc"),
        space: |_| Ok(Space { bytes_free: u64::MAX, bytes_used: u64::MAX, inodes: 1, inodes_free: u64::MAX }),
        ..Node::new(|_| None)
    }
}

/// Words that these files are made of, and what is none.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(" ".to_owned()),
        2 => Just("\n".to_owned()),
        3 => any::<u64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| number.to_string()),
        4 => prop::sample::select(vec![
            "cpu", "cpu0", "cpu\u{e9}", "intr", "processes", "procs_running", "some", "full", "some ", "avg10=", "total=", "avg60",
            "MemTotal:", "MemFree:", "Cached:\u{e9}", "kB", "8 0 sda", "254:0", "/", "-", "ext4", "/dev/sda", "\\040", "\\7", "\\",
            "eth0:", ":", "|", "(", ")", "(OE)", "(P)", "nvidia", "S", "Z", "oom_kill", "pgscan_kswapd", "ID=", "VERSION=\"", "\"",
            "VERSION_ID='", "csm.enabled=", "\"csm.enabled=1", "-1", "18446744073709551616", "0x", "\0", "\t", "..", "\u{feff}",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
    ]
}

/// What is done to the text of a file.
#[derive(Clone, Debug)]
enum Change {
    /// A few bytes are replaced.
    Edit(prop::sample::Index, usize, String),
    /// It is cut short.
    Cut(prop::sample::Index),
    /// It says something else.
    Replace(Vec<u8>),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let words = prop::collection::vec(word(), 0..60).prop_map(|words| words.concat().into_bytes());
    let change = prop_oneof![
        20 => (any::<prop::sample::Index>(), 0..12_usize, word()).prop_map(|(at, length, word)| Change::Edit(at, length, word)),
        4 => any::<prop::sample::Index>().prop_map(Change::Cut),
        1 => words.prop_map(Change::Replace),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Change::Replace),
    ];
    prop::collection::vec(change, 0..5)
}

/// What a file of a recorded node says after some changes.
fn changed(file: &str, changes: &[Change]) -> Vec<u8> {
    let nodes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/nodes");
    let recorded = ["cgroup-v1", "vm"].iter().find_map(|node| fs::read(nodes.join(node).join(file)).ok());
    let mut text = recorded.unwrap_or_default();
    for change in changes {
        match change {
            Change::Edit(at, length, word) => {
                let at = at.index(text.len() + 1);
                let end = (at + length).min(text.len());
                text.splice(at..end, word.bytes());
            }
            Change::Cut(at) => text.truncate(at.index(text.len() + 1)),
            Change::Replace(other) => text.clone_from(other),
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn hostile_contents_never_panic(
        first in prop::collection::vec(changes(), FILES.len()),
        second in prop::collection::vec(changes(), FILES.len()),
    ) {
        let mut collectors = Collectors::new(&everything());
        let mut alerts = Alerts::new(&everything(), crate::time::Timestamp::default());
        // Twice, because some compare with the time before.
        for (changes, seconds) in [(&first, 1), (&second, 2)] {
            // In memory where that is possible: these are many small files.
            let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
            let node = node(folder.path());
            for (file, changes) in FILES.iter().zip(changes) {
                let path = folder.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, changed(file, changes)).unwrap();
            }
            let now = crate::time::Now {
                mono: Monotonic::default().after(Duration::from_secs(seconds)),
                ..crate::time::Now::read()
            };
            for section in collectors.sections().collect::<Vec<_>>() {
                let (samples, outcome) = collectors.collect(section, &node, now.mono);
                for (id, series) in samples.iter() {
                    for one in series {
                        prop_assert_eq!(one.labels.len(), id.metric().labels.len());
                    }
                }
                alerts.observe(&samples, outcome.is_ok(), now);
            }
        }
    }
}

#[test]
fn a_node_without_files_is_measured_as_far_as_possible() {
    let folder = TempDir::new().unwrap();
    let mut collectors = Collectors::new(&everything());
    let failed = Section::ALL
        .into_iter()
        .filter(|section| collectors.collect(*section, &node(folder.path()), Monotonic::default()).1.is_err());
    let expected = [
        Section::Cpu,
        Section::Disk,
        Section::Host,
        Section::Memory,
        Section::OsFeature,
        Section::Net,
        Section::Limits,
        Section::Tasks,
        Section::Vm,
    ];
    assert_eq!(failed.collect::<Vec<_>>(), expected, "without pressure stall information or EDAC nothing fails");
}
