//! Structured events of the kernel, rendered in the kernel's own words.
//!
//! Each is rendered as the line that the kernel prints for it, or would print if it were not rate limited or silenced,
//! so that the rules written for that line find it; what the tracepoint knows beyond it goes into the fields.

use npd_common::{Context, Header, Kind, RAW_MAX};

use super::format::Layout;
use crate::{
    node::pod, problem::Fields, source::kernel::events::lookup::Lookup, source::kernel::events::pairing::Identity,
    time::Monotonic,
};

/// One structured event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KernelEvent {
    /// What has happened.
    pub kind: Kind,
    /// The key that it shares with its printed line.
    pub identity: Identity,
    /// The line.
    pub text: String,
    /// What is known beyond the line.
    pub fields: Fields,
    /// When it happened.
    pub time: Monotonic,
}

/// Decodes the record of a tracepoint; `None` if it lacks what the report needs.
#[must_use]
pub(crate) fn decode(header: &Header, body: &[u8], layout: &Layout, node: &dyn Lookup) -> Option<KernelEvent> {
    let kind = Kind::from_number(header.kind)?;
    let (context, rest) = Context::parse(body)?;
    let (raw, strings) = rest.split_at_checked(usize::from(header.len).min(RAW_MAX))?;
    if header.blind != 0 {
        return None;
    }
    let record = Record { raw, layout, node };
    let mut fields = Fields::default();
    let (identity, text) = match kind {
        Kind::Printk => return None,
        Kind::HungTask => record.hung_task(&mut fields)?,
        Kind::OomVictim => record.oom_victim(&context, &mut fields)?,
        Kind::BlockError => record.block_error(&mut fields)?,
        Kind::Ext4Error => {
            let function = (context.string != 0).then(|| c_string(strings)).flatten();
            record.ext4_error(&context, function, &mut fields)?
        }
        Kind::Ext4Shutdown => record.ext4_shutdown(&mut fields)?,
        Kind::XfsShutdown => record.xfs_shutdown(&mut fields)?,
    };
    Some(KernelEvent { kind, identity, text, fields, time: Monotonic::from_nanos(header.ktime) })
}

struct Record<'a> {
    raw: &'a [u8],
    layout: &'a Layout,
    node: &'a dyn Lookup,
}

// === impl Record ===

impl Record<'_> {
    /// Linux 6.18, `check_hung_task`: `INFO: task %s:%d blocked for more than %ld seconds.`
    fn hung_task(&self, fields: &mut Fields) -> Option<(Identity, String)> {
        let (pid, comm) = (self.pid()?, self.layout.string(self.raw, "comm")?);
        fields.add("pid", pid.to_string());
        fields.add("comm", &*comm);
        // khungtaskd found it, so the current task's cgroup says nothing.
        if let Some(cgroup) = self.node.cgroup_of(pid) {
            pod::describe(&cgroup, fields);
        }
        let timeout = self.node.hung_task_timeout().unwrap_or(120);
        Some((Identity::HungTask { pid }, format!("INFO: task {comm}:{pid} blocked for more than {timeout} seconds.")))
    }

    /// Linux 6.18, `__oom_kill_process`. Before 6.9 the tracepoint knows the pid only.
    fn oom_victim(&self, context: &Context, fields: &mut Fields) -> Option<(Identity, String)> {
        let pid = self.pid()?;
        let comm = self.layout.string(self.raw, "comm");
        let process = if context.pid == pid { context.tgid } else { self.node.process_of(pid).unwrap_or(pid) };
        fields.add("pid", process.to_string());
        if let Some(comm) = &comm {
            fields.add("comm", &**comm);
        }
        // The task that could not allocate shares the victim's group, or the whole node is out of memory.
        let group = self.node.cgroup_of(pid).or_else(|| self.node.cgroup_by_inode(context.cgroup));
        if let Some(cgroup) = group {
            pod::describe(&cgroup, fields);
        }
        let mut text = format!("Out of memory: Killed process {pid} ({})", comm.unwrap_or_default());
        let number = |name| self.layout.number(self.raw, name);
        if let (Some(total), Some(anon), Some(file), Some(shmem), Some(uid), Some(tables), Some(adj)) = (
            number("total_vm"),
            number("anon_rss"),
            number("file_rss"),
            number("shmem_rss"),
            number("uid"),
            number("pgtables"),
            number("oom_score_adj"),
        ) {
            use std::fmt::Write as _;
            let _infallible = write!(
                text,
                " total-vm:{total}kB, anon-rss:{anon}kB, file-rss:{file}kB, shmem-rss:{shmem}kB, UID:{uid} pgtables:{tables}kB oom_score_adj:{adj}"
            );
        }
        Some((Identity::OomVictim { pid, process }, text))
    }

    /// Linux 6.18, `blk_print_req_error`.
    fn block_error(&self, fields: &mut Fields) -> Option<(Identity, String)> {
        let device = self.device(fields)?;
        let sector = self.layout.number(self.raw, "sector")?.cast_unsigned();
        let error = i32::try_from(self.layout.number(self.raw, "error")?).ok()?;
        let operation = self.layout.string(self.raw, "rwbs").map_or(("?", 0), |rwbs| block_operation(&rwbs));
        fields.add("sector", sector.to_string());
        fields.add("errno", error.unsigned_abs().to_string());
        let (word, code) = operation;
        let text = format!("{} error, dev {device}, sector {sector} op {code:#x}:({word})", block_error_name(error));
        Some((Identity::BlockError { device, sector }, text))
    }

    /// Linux 6.18, `__ext4_error` and its kin: `EXT4-fs error (device %s): %s:%d: comm %s: %pV`.
    fn ext4_error(&self, context: &Context, function: Option<&str>, fields: &mut Fields) -> Option<(Identity, String)> {
        let device = self.device(fields)?;
        let line = u32::try_from(self.layout.number(self.raw, "line")?).ok()?;
        let comm = c_string(&context.comm).unwrap_or_default();
        fields.add("pid", context.tgid.to_string());
        fields.add("comm", comm);
        if let Some(cgroup) = self.node.cgroup_of(context.pid).or_else(|| self.node.cgroup_by_inode(context.cgroup)) {
            pod::describe(&cgroup, fields);
        }
        let function = function.unwrap_or("?");
        let text = format!("EXT4-fs error (device {device}): {function}:{line}: comm {comm}");
        Some((Identity::Ext4Error { device, line }, text))
    }

    /// Linux 6.18, `ext4_force_shutdown`.
    fn ext4_shutdown(&self, fields: &mut Fields) -> Option<(Identity, String)> {
        let device = self.device(fields)?;
        let flags = self.layout.number(self.raw, "flags")?;
        let text = format!("EXT4-fs ({device}): shut down requested ({flags})");
        Some((Identity::Shutdown { device }, text))
    }

    /// Linux 6.18, `xfs_do_force_shutdown`.
    fn xfs_shutdown(&self, fields: &mut Fields) -> Option<(Identity, String)> {
        let device = self.device(fields)?;
        let flags = self.layout.number(self.raw, "flags")?;
        let why = match flags {
            flags if flags & 0x04 != 0 => "User initiated shutdown",
            flags if flags & 0x20 != 0 => "Block device removal",
            flags if flags & 0x02 != 0 => "Log I/O Error",
            flags if flags & 0x08 != 0 => "Corruption of in-memory data",
            flags if flags & 0x10 != 0 => "Corruption of on-disk metadata",
            _ => "Metadata I/O Error",
        };
        let file = self.layout.string(self.raw, "fname").unwrap_or_default();
        let line = self.layout.number(self.raw, "line_num").unwrap_or_default();
        let text = format!("XFS ({device}): {why} ({flags:#x}) detected at {file}:{line}.  Shutting down filesystem.");
        Some((Identity::Shutdown { device }, text))
    }

    fn pid(&self) -> Option<u32> {
        u32::try_from(self.layout.number(self.raw, "pid")?).ok()
    }

    /// The block device, by name where /sys knows it. The kernel's `dev_t` has 20 bits for the minor number.
    fn device(&self, fields: &mut Fields) -> Option<String> {
        let dev = u32::try_from(self.layout.number(self.raw, "dev")?).ok()?;
        let (major, minor) = (dev >> 20, dev & 0xf_ffff);
        let name = self.node.device(major, minor).unwrap_or_else(|| format!("{major}:{minor}"));
        fields.add("dev", &*name);
        Some(name)
    }
}

/// The kernel's name for a block error, by its errno: `blk_errors` in block/blk-core.c.
fn block_error_name(error: i32) -> &'static str {
    use rustix::io::Errno;
    // Errnos end at 4095; the kernel, too, calls any other status plain "I/O".
    let Some(errno) = error.checked_neg().filter(|errno| (1..4096).contains(errno)) else { return "I/O" };
    match Errno::from_raw_os_error(errno) {
        Errno::OPNOTSUPP => "operation not supported",
        Errno::TIMEDOUT => "timeout",
        Errno::NOSPC => "critical space allocation",
        Errno::NOLINK => "recoverable transport",
        Errno::REMOTEIO => "critical target",
        Errno::BADE => "reservation conflict",
        Errno::NODATA => "critical medium",
        Errno::ILSEQ => "protection",
        Errno::NOMEM => "kernel resource",
        Errno::BUSY => "device resource",
        Errno::AGAIN => "nonblocking retry",
        Errno::NODEV => "device offline",
        Errno::TIME => "duration limit exceeded",
        Errno::INVAL => "invalid",
        _ => "I/O",
    }
}

/// The operation in `rwbs` and its number (`enum req_op`).
fn block_operation(rwbs: &str) -> (&'static str, u8) {
    // A leading F is a flush before the operation; alone it is the flush itself.
    let operation = match rwbs.as_bytes() {
        [b'F', next @ (b'W' | b'D' | b'R'), ..] => *next,
        [first, ..] => *first,
        [] => 0,
    };
    match operation {
        b'R' => ("READ", 0),
        b'W' => ("WRITE", 1),
        b'F' => ("FLUSH", 2),
        b'D' => ("DISCARD", 3),
        _ => ("?", 0),
    }
}

fn c_string(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).ok()
}

#[cfg(test)]
mod tests;
