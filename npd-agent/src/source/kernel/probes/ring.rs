//! The reader of the BPF ring buffer, in place.
//!
//! aya's own reader maps the data twice in a row, so that no record ever wraps; the kernel counts both against the
//! process, which is 8 MiB of resident memory for a ring of 4. This one maps it once and copies the one record per
//! round that wraps. The protocol is that of kernel/bpf/ringbuf.c:
//!
//! * one page with the consumer's position, which the agent writes; one with the producer's, then the data;
//! * a record is a header of 8 bytes, whose first four are its length and two flags, and its bytes, padded to 8;
//! * the kernel wakes the reader when it commits the record that the reader's position points to. So a reader that
//!   found nothing must look again after it has published its position, with a full fence between.
#![allow(unsafe_code, reason = "memory shared with the kernel")]
#![allow(clippy::cast_ptr_alignment, reason = "pages are aligned, and records to 8 bytes within them")]

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
};

use aya::maps::MapData;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::source::kernel::stream::tail::Ring;

const HEADER: usize = 8;
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;

/// The ring buffer that all probes write to.
pub(crate) struct ProbesRing {
    map: MapData,
    consumer: Mapping,
    /// The producer's page, then the data.
    producer: Mapping,
    page: usize,
    size: usize,
    /// The position of the next record; grows without bound.
    position: u64,
    /// The producer's position when it was last read.
    produced: u64,
    /// The record that wraps around the end.
    wrapped: Vec<u8>,
}

/// Memory shared with the kernel, unmapped when dropped.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is reached through its owner only.
unsafe impl Send for Mapping {}

// === impl ProbesRing ===

impl ProbesRing {
    /// Maps a ring buffer of `size` bytes of data.
    pub(crate) fn new(map: MapData, size: u32) -> io::Result<Self> {
        let page = rustix::param::page_size();
        let size = size as usize;
        let fd = map.fd().as_fd();
        let consumer = Mapping::new(fd, 0, page, ProtFlags::READ | ProtFlags::WRITE)?;
        let producer = Mapping::new(fd, page as u64, page + size, ProtFlags::READ)?;
        let mut ring = Self { map, consumer, producer, page, size, position: 0, produced: 0, wrapped: Vec::new() };
        ring.position = ring.consumer.position().load(Ordering::Acquire);
        Ok(ring)
    }

    /// The header of the record at the current position, and where the record starts in the data.
    /// `None` if no record is complete.
    fn peek(&mut self) -> Option<(u32, usize)> {
        if self.position == self.produced {
            self.produced = self.producer.position().load(Ordering::Acquire);
            if self.position == self.produced {
                fence(Ordering::SeqCst);
                self.produced = self.producer.position().load(Ordering::Acquire);
                if self.position == self.produced {
                    return None;
                }
            }
        }
        let at = (self.position as usize) & (self.size - 1);
        // SAFETY: `at` is below the size of the data and a multiple of 8, as the size is, so the header lies within
        // it; the kernel writes this word atomically.
        let header = unsafe { &*self.producer.start.as_ptr().add(self.page + at).cast::<AtomicU32>() };
        let mut word = header.load(Ordering::Acquire);
        if word & BUSY != 0 {
            fence(Ordering::SeqCst);
            word = header.load(Ordering::Acquire);
            if word & BUSY != 0 {
                return None;
            }
        }
        Some((word, (at + HEADER) & (self.size - 1)))
    }
}

impl Ring for ProbesRing {
    #[inline]
    fn next(&mut self, take: &mut impl FnMut(&[u8])) -> bool {
        loop {
            let Some((word, start)) = self.peek() else { return false };
            let len = (word & !(BUSY | DISCARDED)) as usize;
            // The kernel never writes a record longer than the data; if one is, the ring is corrupt.
            if len > self.size {
                return false;
            }
            if word & DISCARDED == 0 {
                let data = self.page;
                let before_end = len.min(self.size - start);
                // SAFETY: `start + before_end` is at most the size of the data. The kernel does not touch a
                // committed record before the consumer's position has passed it, which happens below.
                let first =
                    unsafe { std::slice::from_raw_parts(self.producer.start.as_ptr().add(data + start), before_end) };
                if before_end == len {
                    take(first);
                } else {
                    self.wrapped.clear();
                    self.wrapped.extend_from_slice(first);
                    // SAFETY: as above; the rest of the record is at the start of the data.
                    let rest =
                        unsafe { std::slice::from_raw_parts(self.producer.start.as_ptr().add(data), len - before_end) };
                    self.wrapped.extend_from_slice(rest);
                    take(&self.wrapped);
                }
            }
            self.position += (HEADER + len).next_multiple_of(8) as u64;
            self.consumer.position().store(self.position, Ordering::Release);
            if word & DISCARDED == 0 {
                return true;
            }
        }
    }
}

impl AsFd for ProbesRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.fd().as_fd()
    }
}

// === impl Mapping ===

impl Mapping {
    fn new(fd: BorrowedFd<'_>, offset: u64, len: usize, protection: ProtFlags) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use.
        let start = unsafe { mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, fd, offset)? };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at zero"))?;
        Ok(Self { start, len })
    }

    /// The position at the start of the page.
    fn position(&self) -> &AtomicU64 {
        // SAFETY: the mapping starts with this word, page-aligned, and lives as long as `self`. BPF needs a 64-bit
        // kernel here: positions are `unsigned long`.
        unsafe { &*self.start.as_ptr().cast::<AtomicU64>() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nothing borrowed from it outlives it.
        if let Err(error) = unsafe { munmap(self.start.as_ptr().cast(), self.len) } {
            tracing::error!(%error, "the ring buffer cannot be unmapped");
        }
    }
}
