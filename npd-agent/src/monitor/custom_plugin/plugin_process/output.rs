//! What a process writes into a pipe: read as long as it runs, a bounded part of it kept, a flood read slowly.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use tokio::{io::AsyncReadExt as _, net::unix::pipe, time::sleep};

/// How much is read at once unless there is a flood.
const READ: usize = 4096;

/// The capacity of a pipe.
const PIPE: usize = 64 << 10;

/// More bytes than this are a flood: then at most the capacity of a pipe is read per pause.
const FLOOD: usize = 256 << 10;
const FLOOD_PAUSE: Duration = Duration::from_millis(5);

/// What comes through a pipe.
pub(super) struct Output {
    pipe: pipe::Receiver,
    /// The first bytes of it.
    pub(super) kept: Vec<u8>,
    keep: usize,
    read: usize,
}

// === impl Output ===

impl Output {
    /// Keeps the first `keep` bytes.
    pub(super) fn new(pipe: Option<OwnedFd>, keep: usize) -> io::Result<Self> {
        let pipe = pipe.ok_or_else(|| io::Error::other("there is no pipe"))?;
        Ok(Self { pipe: pipe::Receiver::from_owned_fd(pipe)?, kept: Vec::new(), keep, read: 0 })
    }

    /// Reads until no process has the pipe open for writing.
    pub(super) async fn read(&mut self) {
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let is_flood = self.read >= FLOOD;
            buffer.reserve_exact(if is_flood { PIPE } else { READ });
            match self.pipe.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => self.take(&buffer),
            }
            if is_flood {
                sleep(FLOOD_PAUSE).await;
            }
        }
    }

    /// Reads what is there.
    pub(super) fn read_rest(&mut self) {
        let mut buffer = [0; READ];
        // A process that still writes could go on forever.
        let most = self.read + PIPE;
        while self.kept.len() < self.keep && self.read < most {
            match rustix::io::read(self.pipe.as_fd(), &mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(length) => self.take(&buffer[..length]),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = self.keep.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.read = self.read.saturating_add(bytes.len());
    }
}
