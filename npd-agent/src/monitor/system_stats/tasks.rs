//! What the processes of the node do: the state of each, and how many tasks were found hung.
//!
//! This reads a file a process; it is by far the most expensive collector of a node with many of them.

use std::{fs, path::PathBuf};

use super::{Collector, sample::Samples};
use crate::{
    metric::MetricId,
    node::{Node, files::CollectError},
    time::Monotonic,
};

/// States, by the letters of /proc/PID/stat.
const STATES: [(&str, &[u8]); 6] = [
    ("idle", b"I"),
    ("running", b"R"),
    ("sleeping", b"S"),
    ("stopped", b"Tt"),
    ("uninterruptible", b"D"),
    ("zombie", b"Z"),
];

/// The collector of `tasks`.
pub(super) struct Tasks;

impl Collector for Tasks {
    fn collect(&mut self, node: &Node, _: Monotonic, out: &mut Samples) -> Result<(), CollectError> {
        if let Some(hung) = node.proc_number("sys/kernel/hung_task_detect_count") {
            out.add(MetricId::TasksHung, [], hung as f64);
        }
        if !out.wants(&[MetricId::TasksByState]) {
            return Ok(());
        }
        let entries =
            fs::read_dir(&node.proc).map_err(|source| CollectError::Read { path: node.proc.clone(), source })?;
        let mut counts = [0_u32; STATES.len()];
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
                && let Some(index) = state(entry.path())
            {
                counts[index] += 1;
            }
        }
        for ((state, _), count) in STATES.into_iter().zip(counts) {
            out.add(MetricId::TasksByState, [state.into()], f64::from(count));
        }
        Ok(())
    }
}

/// The index of a process's state; `None` if it has just ended.
//
// Not by `procfs::process::Stat`: for this one letter it parses every column behind it, too, and fails if one is
// missing (the recorded nodes keep 14 columns), and `Process` opens the process's directory first. It was 10% slower.
fn state(mut path: PathBuf) -> Option<usize> {
    path.push("stat");
    let stat = fs::read(path).ok()?;
    // 4711 (a name) with) brackets) S 1 …: the name can hold anything.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let letter = stat.get(end + 2)?;
    STATES.iter().position(|(_, letters)| letters.contains(letter))
}
