//! Asking the node whether a problem goes on: what the checks of [`system_log`](super::system_log) want to know.
//!
//! The subject of a check comes out of a log line, so nothing is believed of it: a name that is none is not looked up,
//! and what cannot be seen from here (another PID or mount namespace) is no recovery.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use procfs::process::{MountInfo, Process};

use super::system_log::{Answer, Check, Verdict};
use crate::{config::system_log::RecheckKind, node::Node};

/// The inode of the PID namespace that the node was started with (PROC_PID_INIT_INO of Linux).
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

// What a mount was seen as.
const UNSEEN: &str = "unseen";
const MOUNTED: &str = "mounted";
const READ_ONLY: &str = "read-only";
/// The task was not there.
const GONE: &str = "gone";

/// Answers a check. It reads files of /proc and /sys and can take some milliseconds on a node with many mounts.
#[must_use]
pub fn ask(node: &Node, check: &Check) -> Answer {
    let evidence = check.evidence.as_deref();
    match check.kind {
        RecheckKind::Mount => mount(evidence, &mounts_of(node, &check.subject)),
        RecheckKind::Task => task(node, evidence, &check.subject),
        RecheckKind::Interface => interface(node, &check.subject),
    }
}

/// The options of each file system of the device that is mounted.
fn mounts_of(node: &Node, device: &str) -> Vec<String> {
    if !is_name(device) {
        return Vec::new();
    }
    let number = fs::read_to_string(node.sys.join("class/block").join(device).join("dev")).unwrap_or_default();
    // That of PID 1 is the host's where it can be seen.
    let mounts = [node.proc.join("1"), node.proc.join("self")]
        .into_iter()
        .find_map(|process| Process::new_with_root(process).and_then(|process| process.mountinfo()).ok());
    let is_of_device = |mount: &MountInfo| {
        let source = mount.mount_source.as_deref().map(Path::new);
        mount.majmin == number.trim() || source.and_then(Path::file_name).is_some_and(|name| name == device)
    };
    let mounts = mounts.into_iter().flat_map(|mounts| mounts.0).filter(is_of_device);
    mounts.map(|mount| mount.super_options.into_keys().collect::<Vec<_>>().join(",")).collect()
}

fn task(node: &Node, evidence: Option<&str>, subject: &str) -> Answer {
    let holds = |evidence: &str| Answer { verdict: Verdict::Holds, evidence: evidence.to_owned() };
    let namespace = fs::metadata(node.proc.join("self/ns/pid")).map(|metadata| metadata.ino());
    let (Ok(FIRST_PID_NAMESPACE), Ok(pid)) = (namespace, subject.parse()) else { return holds(UNSEEN) };
    let state = node.task(pid);
    let now = state.map_or_else(|| GONE.to_owned(), |task| format!("{}:{}", task.start, task.switches));
    let hangs = state.is_some_and(|task| task.uninterruptible) && evidence.is_none_or(|before| before == now);
    if hangs || evidence == Some(UNSEEN) { holds(&now) } else { Answer { verdict: Verdict::Over, evidence: now } }
}

fn interface(node: &Node, name: &str) -> Answer {
    let folder = node.sys.join("class/net").join(name);
    let read = |file| fs::read_to_string(folder.join(file)).unwrap_or_default();
    if !is_name(name) {
        return Answer { verdict: Verdict::Holds, evidence: UNSEEN.to_owned() };
    }
    let state = read("operstate").trim().to_owned();
    // Drivers that do not report a state say "unknown"; the carrier tells then.
    let up = state == "up" || (state == "unknown" && read("carrier").trim() == "1");
    Answer { verdict: if up { Verdict::Over } else { Verdict::Holds }, evidence: state }
}

/// What the mounts of a device say. Up to Linux 6.12 they say nothing after an error, so that a mount without a mark is
/// no recovery; one that had a mark and has it no more is, and so is a device that was mounted and is no more.
fn mount(evidence: Option<&str>, options: &[String]) -> Answer {
    let bad = |options: &String| options.split(',').any(|option| matches!(option, "ro" | "emergency_ro" | "shutdown"));
    let now = match options {
        [] => UNSEEN,
        options if options.iter().any(bad) => READ_ONLY,
        _ => MOUNTED,
    };
    let over = match evidence {
        Some(READ_ONLY) => now != READ_ONLY,
        Some(MOUNTED) => now == UNSEEN,
        _ => false,
    };
    Answer { verdict: if over { Verdict::Over } else { Verdict::Holds }, evidence: now.to_owned() }
}

/// The name of a device or interface, and not a path.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'@' | b'!');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(steps: &[&[&str]]) -> Vec<(Verdict, String)> {
        let mut evidence = None;
        let mut verdicts = Vec::new();
        for options in steps {
            let options: Vec<_> = options.iter().map(|&text| text.to_owned()).collect();
            let answer = mount(evidence.as_deref(), &options);
            evidence = Some(answer.evidence.clone());
            verdicts.push((answer.verdict, answer.evidence));
        }
        verdicts
    }

    #[test]
    fn a_mark_that_has_gone_is_a_recovery() {
        for mark in ["rw,errors=remount-ro,emergency_ro", "ro,relatime", "rw,shutdown"] {
            let steps = verdicts(&[&[mark], &["rw", mark], &["rw,errors=remount-ro"]]);
            let words: Vec<_> = steps.iter().map(|(verdict, _)| *verdict).collect();
            assert_eq!(words, [Verdict::Holds, Verdict::Holds, Verdict::Over], "{mark}");
        }
        assert_eq!(verdicts(&[&["ro"], &[]])[1].0, Verdict::Over, "unmounted");
    }

    #[test]
    fn the_absence_of_a_mark_is_no_recovery() {
        let steps = verdicts(&[&["rw"], &["rw"], &["rw"], &[]]);
        let words: Vec<_> = steps.iter().map(|(verdict, _)| *verdict).collect();
        assert_eq!(words, [Verdict::Holds, Verdict::Holds, Verdict::Holds, Verdict::Over]);
        let unseen = verdicts(&[&[], &[], &[]]);
        assert!(
            unseen.iter().all(|(verdict, _)| *verdict == Verdict::Holds),
            "from here it cannot be seen: {unseen:?}"
        );
    }

    #[test]
    fn a_task_that_does_not_hang_is_over_after_the_baseline() {
        let node = Node::default();
        let pid = std::process::id().to_string();
        let first = task(&node, None, &pid);
        assert_ne!(first.evidence, GONE);
        assert_eq!(task(&node, Some(&first.evidence), &pid).verdict, Verdict::Over);
        assert_eq!(task(&node, Some(GONE), &u32::MAX.to_string()).verdict, Verdict::Over);
        assert_eq!(task(&node, None, "not a pid").verdict, Verdict::Holds);
    }

    #[test]
    fn an_interface_that_is_up_is_well() {
        let dir = tempfile::tempdir().unwrap();
        let node = Node { sys: dir.path().into(), ..Node::default() };
        for (name, state, carrier, verdict) in [
            ("eth0", "up", "1", Verdict::Over),
            ("eth1", "down", "0", Verdict::Holds),
            ("eth2", "unknown", "1", Verdict::Over),
            ("eth3", "unknown", "0", Verdict::Holds),
        ] {
            let folder = dir.path().join("class/net").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("operstate"), format!("{state}\n")).unwrap();
            fs::write(folder.join("carrier"), format!("{carrier}\n")).unwrap();
            assert_eq!(interface(&node, name).verdict, verdict, "{name}");
        }
        assert_eq!(interface(&node, "gone").verdict, Verdict::Holds);
        assert_eq!(interface(&node, "../net/eth0").verdict, Verdict::Holds, "a name out of a log is no path");
    }

    #[test]
    fn the_mounts_of_this_machine_can_be_read() {
        let root = Process::myself()
            .unwrap()
            .mountinfo()
            .unwrap()
            .0
            .into_iter()
            .find(|mount| mount.mount_source.as_deref().is_some_and(|source| source.starts_with("/dev/")));
        let Some(source) = root.and_then(|mount| mount.mount_source) else { return };
        assert!(!mounts_of(&Node::default(), source.trim_start_matches("/dev/")).is_empty(), "{source}");
        assert!(mounts_of(&Node::default(), "no-such-device").is_empty());
    }
}
