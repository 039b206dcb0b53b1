//! The records are as Linux 6.18 lays them out.

use npd_common::{CONTEXT_SIZE, HEADER_SIZE};
use proptest::prelude::*;

use super::*;

struct Node;

impl Lookup for Node {
    fn device(&self, major: u32, minor: u32) -> Option<String> {
        (major == 7).then(|| format!("loop{minor}"))
    }
    fn hung_task_timeout(&self) -> Option<u64> {
        Some(120)
    }
    fn hung_task_interval(&self) -> Option<u64> {
        None
    }
    fn process_of(&self, pid: u32) -> Option<u32> {
        Some(pid - 1)
    }
    fn cgroup_of(&self, _: u32) -> Option<String> {
        Some("/kubepods/pod0a1b2c3d-1111-2222-3333-444455556666/x".into())
    }
    fn cgroup_by_inode(&self, _: u64) -> Option<String> {
        None
    }
}

const HANG: &str = "\tfield:__data_loc char[] comm;\toffset:8;\tsize:4;\tsigned:0;
\tfield:pid_t pid;\toffset:12;\tsize:4;\tsigned:1;";
const VICTIM: &str = "\tfield:int pid;\toffset:8;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] comm;\toffset:12;\tsize:4;\tsigned:0;
\tfield:unsigned long total_vm;\toffset:16;\tsize:8;\tsigned:0;
\tfield:unsigned long anon_rss;\toffset:24;\tsize:8;\tsigned:0;
\tfield:unsigned long file_rss;\toffset:32;\tsize:8;\tsigned:0;
\tfield:unsigned long shmem_rss;\toffset:40;\tsize:8;\tsigned:0;
\tfield:uid_t uid;\toffset:48;\tsize:4;\tsigned:0;
\tfield:unsigned long pgtables;\toffset:56;\tsize:8;\tsigned:0;
\tfield:short oom_score_adj;\toffset:64;\tsize:2;\tsigned:1;";
const OLD_VICTIM: &str = "\tfield:int pid;\toffset:8;\tsize:4;\tsigned:1;";
const BLOCK: &str = "\tfield:dev_t dev;\toffset:8;\tsize:4;\tsigned:0;
\tfield:sector_t sector;\toffset:16;\tsize:8;\tsigned:0;
\tfield:unsigned int nr_sector;\toffset:24;\tsize:4;\tsigned:0;
\tfield:int error;\toffset:28;\tsize:4;\tsigned:1;
\tfield:char rwbs[10];\toffset:34;\tsize:10;\tsigned:0;";
const EXT4: &str = "\tfield:dev_t dev;\toffset:8;\tsize:4;\tsigned:0;
\tfield:const char * function;\toffset:16;\tsize:8;\tsigned:0;
\tfield:unsigned line;\toffset:24;\tsize:4;\tsigned:0;";
const XFS: &str = "\tfield:dev_t dev;\toffset:8;\tsize:4;\tsigned:0;
\tfield:int flags;\toffset:16;\tsize:4;\tsigned:1;
\tfield:__data_loc char[] fname;\toffset:20;\tsize:4;\tsigned:0;
\tfield:int line_num;\toffset:24;\tsize:4;\tsigned:1;";

fn event(kind: Kind, layout: &str, raw: &[(usize, &[u8])], string: &str) -> Option<KernelEvent> {
    let mut record = vec![0_u8; RAW_MAX];
    for (at, bytes) in raw {
        record[*at..*at + bytes.len()].copy_from_slice(bytes);
    }
    let header = Header { ktime: 9, len: RAW_MAX as u16, kind: kind as u8, ..Header::default() };
    let mut body = vec![0_u8; CONTEXT_SIZE];
    body[8..12].copy_from_slice(&50_u32.to_ne_bytes());
    body[12..16].copy_from_slice(&49_u32.to_ne_bytes());
    body[16..20].copy_from_slice(b"bash");
    body[32] = u8::from(!string.is_empty());
    body.extend_from_slice(&record);
    body.extend_from_slice(string.as_bytes());
    body.push(0);
    decode(&header, &body, &Layout::parse(layout), &Node)
}

#[test]
fn a_hung_task_reads_as_khungtaskd_prints_it() {
    let comm = (8_u32 << 16 | 16).to_le_bytes();
    let event =
        event(Kind::HungTask, HANG, &[(8, &comm), (12, &77_i32.to_le_bytes()), (16, b"kworker\0")], "").unwrap();
    assert_eq!(event.text, "INFO: task kworker:77 blocked for more than 120 seconds.");
    assert_eq!(event.identity, Identity::HungTask { pid: 77 });
    assert_eq!(event.time, Monotonic::from_nanos(9));
    assert_eq!(
        event.fields.to_string(),
        "pid=77 comm=kworker cgroup=/kubepods/pod0a1b2c3d-1111-2222-3333-444455556666/x pod_uid=0a1b2c3d-1111-2222-3333-444455556666"
    );
}

#[test]
fn an_oom_victim_reads_as_the_oom_killer_prints_it() {
    let comm = (5_u32 << 16 | 0x48).to_le_bytes();
    let mut raw: Vec<(usize, Vec<u8>)> = vec![
        (8, 77_i32.to_le_bytes().to_vec()),
        (12, comm.to_vec()),
        (48, 1000_u32.to_le_bytes().to_vec()),
        (64, (-5_i16).to_le_bytes().to_vec()),
        (72, b"java\0".to_vec()),
    ];
    for (index, at) in [16, 24, 32, 40, 56].into_iter().enumerate() {
        raw.push((at, (index as u64 + 1).to_le_bytes().to_vec()));
    }
    let raw: Vec<(usize, &[u8])> = raw.iter().map(|(at, bytes)| (*at, bytes.as_slice())).collect();
    let event = event(Kind::OomVictim, VICTIM, &raw, "").unwrap();
    assert_eq!(
        event.text,
        "Out of memory: Killed process 77 (java) total-vm:1kB, anon-rss:2kB, file-rss:3kB, shmem-rss:4kB, UID:1000 pgtables:5kB oom_score_adj:-5"
    );
    assert_eq!(event.identity, Identity::OomVictim { pid: 77, process: 76 });
}

#[test]
fn before_linux_6_9_only_the_pid_of_a_victim_is_known() {
    let event = event(Kind::OomVictim, OLD_VICTIM, &[(8, &50_i32.to_le_bytes())], "").unwrap();
    assert_eq!(event.text, "Out of memory: Killed process 50 ()");
    assert_eq!(event.identity, Identity::OomVictim { pid: 50, process: 49 }, "the victim is the running task");
}

#[test]
fn a_block_error_reads_as_the_block_layer_prints_it() {
    let dev = (7_u32 << 20 | 3).to_le_bytes();
    for (error, rwbs, text) in [
        (-5_i32, "R", "I/O error, dev loop3, sector 4096 op 0x0:(READ)"),
        (-28, "WS", "critical space allocation error, dev loop3, sector 4096 op 0x1:(WRITE)"),
        (-61, "RA", "critical medium error, dev loop3, sector 4096 op 0x0:(READ)"),
        (-110, "FWFS", "timeout error, dev loop3, sector 4096 op 0x1:(WRITE)"),
        (-19, "F", "device offline error, dev loop3, sector 4096 op 0x2:(FLUSH)"),
        (i32::MIN, "D", "I/O error, dev loop3, sector 4096 op 0x3:(DISCARD)"),
    ] {
        let raw: [(usize, &[u8]); 4] =
            [(8, &dev), (16, &4096_u64.to_le_bytes()), (28, &error.to_le_bytes()), (34, rwbs.as_bytes())];
        let event = event(Kind::BlockError, BLOCK, &raw, "").unwrap();
        assert_eq!(event.text, text);
        assert_eq!(event.identity, Identity::BlockError { device: "loop3".into(), sector: 4096 });
    }
}

#[test]
fn an_ext4_error_names_function_and_line() {
    let raw: [(usize, &[u8]); 2] = [(8, &(8_u32 << 20 | 1).to_le_bytes()), (24, &127_u32.to_le_bytes())];
    let event = event(Kind::Ext4Error, EXT4, &raw, "ext4_lookup").unwrap();
    assert_eq!(event.text, "EXT4-fs error (device 8:1): ext4_lookup:127: comm bash");
    assert_eq!(event.identity, Identity::Ext4Error { device: "8:1".into(), line: 127 });
}

#[test]
fn an_xfs_shutdown_says_why() {
    let raw: [(usize, &[u8]); 5] = [
        (8, &(7_u32 << 20 | 1).to_le_bytes()),
        (16, &2_i32.to_le_bytes()),
        (20, &(16_u32 << 16 | 0x28).to_le_bytes()),
        (24, &1311_i32.to_le_bytes()),
        (40, b"fs/xfs/xfs_log.c"),
    ];
    let event = event(Kind::XfsShutdown, XFS, &raw, "").unwrap();
    assert_eq!(
        event.text,
        "XFS (loop1): Log I/O Error (0x2) detected at fs/xfs/xfs_log.c:1311.  Shutting down filesystem."
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0_u8..8) {
        let mut bytes = bytes;
        if bytes.len() > HEADER_SIZE {
            bytes[18] = kind;
            bytes[19] = 0;
        }
        if let Some((header, body)) = Header::parse(&bytes) {
            for layout in [HANG, VICTIM, OLD_VICTIM, BLOCK, EXT4, XFS] {
                drop(decode(&header, body, &Layout::parse(layout), &Node));
            }
        }
    }
}
