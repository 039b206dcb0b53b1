//! A disk that has lost its end: reads of it fail, one I/O error each.
//!
//! `block_rq_error` fires for every one of them; printk lets about ten lines through and then counts in silence.

use std::{fs::OpenOptions, os::unix::fs::FileExt};

use anyhow::{Context, Result, bail};

use super::disk::Disk;

const SECTOR: u64 = 512;
const BLOCK: usize = 4096;
const WHOLE: u64 = 16 << 20;
const LEFT: u64 = 4 << 20;

/// A disk whose backing file was cut after the kernel had learnt its size.
#[derive(Debug)]
pub struct CutDisk {
    disk: Disk,
}

// === impl CutDisk ===

impl CutDisk {
    /// 16 MiB of which only four are there.
    pub fn new() -> Result<Self> {
        let disk = Disk::new(WHOLE)?;
        let image = OpenOptions::new().write(true).open(disk.image()).context("cannot open the image")?;
        image.set_len(LEFT).context("cannot cut the image")?;
        Ok(Self { disk })
    }

    /// Its name in kernel messages.
    #[must_use]
    pub fn name(&self) -> &str {
        self.disk.name()
    }

    /// The sector at which block number `index` of the missing end starts.
    #[must_use]
    pub fn sector(index: usize) -> u64 {
        (LEFT + (index * BLOCK) as u64) / SECTOR
    }

    /// Reads these blocks of the missing end, one request and so one error each.
    pub fn fail(&self, blocks: impl IntoIterator<Item = usize>) -> Result<()> {
        let device = self.disk.open_direct()?;
        // O_DIRECT wants memory aligned to the block: a slice out of twice as much is.
        let mut memory = vec![0_u8; 2 * BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        let buffer = &mut memory[start..start + BLOCK];
        for block in blocks {
            match device.read_at(buffer, Self::sector(block) * SECTOR) {
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {}
                other => bail!("reading block {block} of the missing end gave {other:?}"),
            }
        }
        Ok(())
    }
}
