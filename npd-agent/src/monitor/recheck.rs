//! Answers the questions of [`system_log`](super::system_log) to the node: does a problem go on?
//!
//! The subject of a question comes from a log line and is not trusted: an invalid name is not looked up, and what cannot be
//! seen from here (another PID or mount namespace) is not a recovery.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use procfs::process::{MountInfo, Process};

use super::system_log::recheck::{Answer, Holds, Question};
use crate::{config::system_log::RecheckKind, node::Node};

/// The inode of the PID namespace that the node was started with (PROC_PID_INIT_INO of Linux).
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

// What was seen of a mount.
const UNSEEN: &str = "unseen";
const MOUNTED: &str = "mounted";
const READ_ONLY: &str = "read-only";
/// The task did not exist.
const GONE: &str = "gone";

/// Answers a question. It reads files in /proc and /sys and can take some milliseconds on a node with many mounts.
#[must_use]
pub(crate) fn answer(node: &Node, question: &Question) -> Answer {
    let evidence = question.evidence.as_deref();
    match question.kind {
        RecheckKind::Mount => mount(evidence, &mounts_of(node, &question.subject)),
        RecheckKind::Task => task(node, evidence, &question.subject),
        RecheckKind::Interface => interface(node, &question.subject),
    }
}

/// The options of each file system of the device that is mounted.
fn mounts_of(node: &Node, device: &str) -> Vec<String> {
    if !is_name(device) {
        return Vec::new();
    }
    let number = fs::read_to_string(node.sys.join("class/block").join(device).join("dev")).unwrap_or_default();
    // The table of PID 1 is the host's, where it can be seen.
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
    let holds = |evidence: &str| Answer { holds: Holds::Yes, evidence: evidence.to_owned() };
    let namespace = fs::metadata(node.proc.join("self/ns/pid")).map(|metadata| metadata.ino());
    let (Ok(FIRST_PID_NAMESPACE), Ok(pid)) = (namespace, subject.parse()) else { return holds(UNSEEN) };
    let state = node.task(pid);
    let now = state.map_or_else(|| GONE.to_owned(), |task| format!("{}:{}", task.start, task.switches));
    let hangs = state.is_some_and(|task| task.uninterruptible) && evidence.is_none_or(|before| before == now);
    if hangs || evidence == Some(UNSEEN) { holds(&now) } else { Answer { holds: Holds::No, evidence: now } }
}

fn interface(node: &Node, name: &str) -> Answer {
    let folder = node.sys.join("class/net").join(name);
    let read = |file| fs::read_to_string(folder.join(file)).unwrap_or_default();
    if !is_name(name) {
        return Answer { holds: Holds::Yes, evidence: UNSEEN.to_owned() };
    }
    let state = read("operstate").trim().to_owned();
    // Drivers that do not report a state have "unknown"; then the carrier decides.
    let up = state == "up" || (state == "unknown" && read("carrier").trim() == "1");
    Answer { holds: if up { Holds::No } else { Holds::Yes }, evidence: state }
}

/// Answers by the mounts of a device. Up to Linux 6.12 they show nothing after an error, so a mount without a mark is not
/// a recovery. A mount that has lost its mark is one, and so is a device that is no longer mounted.
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
    Answer { holds: if over { Holds::No } else { Holds::Yes }, evidence: now.to_owned() }
}

/// Whether this is the name of a device or interface, and not a path.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'@' | b'!');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(steps: &[&[&str]]) -> Vec<(Holds, String)> {
        let mut evidence = None;
        let mut answers = Vec::new();
        for options in steps {
            let options: Vec<_> = options.iter().map(|&text| text.to_owned()).collect();
            let answer = mount(evidence.as_deref(), &options);
            evidence = Some(answer.evidence.clone());
            answers.push((answer.holds, answer.evidence));
        }
        answers
    }

    #[test]
    fn a_lost_mark_is_a_recovery() {
        for mark in ["rw,errors=remount-ro,emergency_ro", "ro,relatime", "rw,shutdown"] {
            let steps = answers(&[&[mark], &["rw", mark], &["rw,errors=remount-ro"]]);
            let holds: Vec<_> = steps.iter().map(|(holds, _)| *holds).collect();
            assert_eq!(holds, [Holds::Yes, Holds::Yes, Holds::No], "{mark}");
        }
        assert_eq!(answers(&[&["ro"], &[]])[1].0, Holds::No, "unmounted");
    }

    #[test]
    fn the_absence_of_a_mark_is_not_a_recovery() {
        let steps = answers(&[&["rw"], &["rw"], &["rw"], &[]]);
        let holds: Vec<_> = steps.iter().map(|(holds, _)| *holds).collect();
        assert_eq!(holds, [Holds::Yes, Holds::Yes, Holds::Yes, Holds::No]);
        let unseen = answers(&[&[], &[], &[]]);
        assert!(unseen.iter().all(|(holds, _)| *holds == Holds::Yes), "from here it cannot be seen: {unseen:?}");
    }

    #[test]
    fn a_task_that_does_not_hang_is_over_after_the_baseline() {
        let node = Node::default();
        let pid = std::process::id().to_string();
        let first = task(&node, None, &pid);
        assert_ne!(first.evidence, GONE);
        assert_eq!(task(&node, Some(&first.evidence), &pid).holds, Holds::No);
        assert_eq!(task(&node, Some(GONE), &u32::MAX.to_string()).holds, Holds::No);
        assert_eq!(task(&node, None, "not a pid").holds, Holds::Yes);
    }

    #[test]
    fn a_task_is_looked_up_in_the_nodes_own_proc() {
        // No process can have this pid, so that only the folder can answer.
        const PID: &str = "4194305";
        let proc = tempfile::tempdir().unwrap();
        let own = proc.path().join("self/ns");
        fs::create_dir_all(&own).unwrap();
        std::os::unix::fs::symlink("/proc/self/ns/pid", own.join("pid")).unwrap();
        let folder = proc.path().join(PID);
        fs::create_dir(&folder).unwrap();
        let this = |file: &str| fs::read_to_string(Path::new("/proc/self").join(file)).unwrap();
        let stat = this("stat");
        let (name, rest) = stat.rsplit_once(") ").unwrap();
        fs::write(folder.join("stat"), format!("{name}) D{}", &rest[1..])).unwrap();
        fs::write(folder.join("status"), this("status")).unwrap();
        let node = Node { proc: proc.path().into(), ..Node::default() };
        let first = task(&node, None, PID);
        assert_ne!(first.evidence, GONE);
        assert_eq!(task(&node, Some(&first.evidence), PID).holds, Holds::Yes, "it hangs on");
        assert_eq!(task(&Node::default(), None, PID).evidence, GONE);
    }

    #[test]
    fn an_interface_that_is_up_is_well() {
        let dir = tempfile::tempdir().unwrap();
        let node = Node { sys: dir.path().into(), ..Node::default() };
        for (name, state, carrier, holds) in [
            ("eth0", "up", "1", Holds::No),
            ("eth1", "down", "0", Holds::Yes),
            ("eth2", "unknown", "1", Holds::No),
            ("eth3", "unknown", "0", Holds::Yes),
        ] {
            let folder = dir.path().join("class/net").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("operstate"), format!("{state}\n")).unwrap();
            fs::write(folder.join("carrier"), format!("{carrier}\n")).unwrap();
            assert_eq!(interface(&node, name).holds, holds, "{name}");
        }
        assert_eq!(interface(&node, "gone").holds, Holds::Yes);
        assert_eq!(interface(&node, "../net/eth0").holds, Holds::Yes, "a name from a log is not a path");
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
