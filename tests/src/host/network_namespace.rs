//! Other network namespaces than the machine's own.

use std::{fs::File, os::fd::AsFd, thread};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs something in the network namespace of a process; the threads that it starts stay there.
pub fn inside<T: Send>(pid: u32, run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let path = format!("/proc/{pid}/ns/net");
    let namespace = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    // A thread of its own: it does not come back from there.
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .with_context(|| format!("cannot enter {path}"))?;
            run()
        });
        inside.join().map_err(|_| anyhow!("the thread in {path} has panicked"))?
    })
}
