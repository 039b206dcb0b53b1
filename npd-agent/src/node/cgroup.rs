//! Cgroups by their inode, which is all that a kernel event contains about a cgroup.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::Node;

/// Maximum number of cgroup directories that are searched for an inode.
const CGROUPS_MAX: usize = 20_000;

// === impl Node ===

impl Node {
    /// The cgroup-v2 directory with this inode, as a path below the hierarchy's root.
    #[must_use]
    pub fn cgroup_by_inode(&self, inode: u64) -> Option<String> {
        let root = [self.sys.join("fs/cgroup/unified"), self.sys.join("fs/cgroup")]
            .into_iter()
            .find(|path| path.join("cgroup.procs").exists())?;
        let mut looked_at = 0;
        let mut todo = vec![root.clone()];
        while let Some(dir) = todo.pop() {
            if fs::metadata(&dir).is_ok_and(|metadata| metadata.ino() == inode) {
                return Some(Path::new("/").join(dir.strip_prefix(&root).ok()?).to_string_lossy().into_owned());
            }
            looked_at += 1;
            if looked_at > CGROUPS_MAX {
                return None;
            }
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            todo.extend(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
        }
        None
    }
}
