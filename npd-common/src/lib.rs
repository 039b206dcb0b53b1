#![no_std]
//! The binary interface between the eBPF probes (`npd-ebpf`) and the agent that loads them.
//!
//! Everything crosses in one BPF ring buffer as records of two shapes. Each starts with a [`Header`]:
//!
//! ```text
//! printk fragment   Header | block id: u64 | text: len bytes | tail: 3 bytes
//! tracepoint event  Header | Context | raw record: len bytes | string: NUL-terminated, if any
//! ```
//!
//! All integers are in the byte order of the machine. The probes fill in nothing that user space can find out
//! later: a tracepoint's record is passed as the kernel wrote it, and the agent decodes it with the field
//! offsets that this kernel publishes in tracefs.

/// The size in bytes of [`Header`].
pub const HEADER_SIZE: usize = 24;
/// The size in bytes of [`Context`].
pub const CONTEXT_SIZE: usize = 40;
/// The maximum of text of one printk fragment that is carried, in bytes. The kernel cuts a record at 1024 bytes
/// (`PRINTKRB_RECORD_MAX`), prefix included.
pub const TEXT_MAX: usize = 1024;
/// Bytes read after the text of a printk fragment: the newline of a complete record is among them.
pub const TAIL_SIZE: usize = 3;
/// The maximum of a tracepoint's record that is carried, in bytes.
pub const RAW_MAX: usize = 192;
/// The maximum of a tracepoint's string that is carried, in bytes, NUL included.
pub const STRING_MAX: usize = 64;
/// The length of a task's name in the kernel, NUL included.
pub const COMM_SIZE: usize = 16;
/// The number of slots in the per-CPU counters; [`Kind`] is the index.
pub const KINDS: u32 = 16;

/// What a record is about. The value is the index into the probes' counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// `printk:console`: one fragment of text.
    Printk = 0,
    /// `sched:sched_process_hang`: a task is in state D for too long.
    HungTask = 1,
    /// `oom:mark_victim`: a task was chosen by the OOM killer.
    OomVictim = 2,
    /// `block:block_rq_error`, or `block:block_rq_complete` with an error: a block request failed.
    BlockError = 3,
    /// `ext4:ext4_error`.
    Ext4Error = 4,
    /// `ext4:ext4_shutdown`.
    Ext4Shutdown = 5,
    /// `xfs:xfs_force_shutdown`.
    XfsShutdown = 6,
}

/// What every record starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// When the probe fired: CLOCK_MONOTONIC, nanoseconds.
    pub ktime: u64,
    /// A printk fragment: the kernel address of its text. Otherwise 0.
    pub address: u64,
    /// The length of the text, or of the raw record, in bytes.
    pub len: u16,
    /// A [`Kind`].
    pub kind: u8,
    /// 1 if the text could not be read: only the fact that something was printed is known.
    pub blind: u8,
    /// Always 0.
    pub reserved: u32,
}

/// Who was running when a tracepoint fired. It is the culprit only where the kernel works on its behalf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Context {
    /// The inode of the task's cgroup-v2 directory.
    pub cgroup: u64,
    /// The thread id, in the initial PID namespace.
    pub pid: u32,
    /// The process id, in the initial PID namespace.
    pub tgid: u32,
    /// The task's name, NUL-padded.
    pub comm: [u8; COMM_SIZE],
    /// 1 if a string follows the raw record.
    pub string: u64,
}

// === impl Kind ===

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Printk,
        Self::HungTask,
        Self::OomVictim,
        Self::BlockError,
        Self::Ext4Error,
        Self::Ext4Shutdown,
        Self::XfsShutdown,
    ];

    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        if (number as usize) < Self::ALL.len() { Some(Self::ALL[number as usize]) } else { None }
    }
}

// === impl Header ===

impl Header {
    /// Reads a header from the start of a record.
    #[must_use]
    pub fn parse(record: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = record.split_first_chunk::<HEADER_SIZE>()?;
        let header = Self {
            ktime: u64_at(head, 0),
            address: u64_at(head, 8),
            len: u16::from_ne_bytes([head[16], head[17]]),
            kind: head[18],
            blind: head[19],
            reserved: u32_at(head, 20),
        };
        Some((header, rest))
    }
}

// === impl Context ===

impl Context {
    /// Reads a context from the start of what follows the header.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<CONTEXT_SIZE>()?;
        let mut comm = [0; COMM_SIZE];
        comm.copy_from_slice(&head[16..32]);
        let context = Self {
            cgroup: u64_at(head, 0),
            pid: u32_at(head, 8),
            tgid: u32_at(head, 12),
            comm,
            string: u64_at(head, 32),
        };
        Some((context, rest))
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(word)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parsed_layouts_are_the_written_ones() {
        assert_eq!(size_of::<Header>(), HEADER_SIZE);
        assert_eq!(core::mem::offset_of!(Header, address), 8);
        assert_eq!(core::mem::offset_of!(Header, len), 16);
        assert_eq!(core::mem::offset_of!(Header, kind), 18);
        assert_eq!(core::mem::offset_of!(Header, blind), 19);
        assert_eq!(size_of::<Context>(), CONTEXT_SIZE);
        assert_eq!(core::mem::offset_of!(Context, pid), 8);
        assert_eq!(core::mem::offset_of!(Context, tgid), 12);
        assert_eq!(core::mem::offset_of!(Context, comm), 16);
        assert_eq!(core::mem::offset_of!(Context, string), 32);
    }

    #[test]
    fn a_kind_is_its_index() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(Kind::from_number(kind as u8), Some(kind));
        }
        assert_eq!(Kind::from_number(Kind::ALL.len() as u8), None);
    }

    #[test]
    fn a_short_record_is_refused() {
        assert_eq!(Header::parse(&[0; HEADER_SIZE - 1]), None);
        assert_eq!(Context::parse(&[0; CONTEXT_SIZE - 1]), None);
        assert!(Header::parse(&[0; HEADER_SIZE]).is_some_and(|(_, rest)| rest.is_empty()));
    }
}
