//! What is in files that nobody writes to.

use std::{fs, ops::ControlFlow};

use anyhow::{Context, Result, ensure};
use npd_agent::{
    source::journal::{JournalFilter, Start},
    time::Timestamp,
};
use npd_tests::{
    driver::suite::Suite,
    host::journald_namespace::{JournaldNamespace, export_folder, write_journal},
};

use crate::{
    exported::{BOOT, exported},
    lines::{expect_lines, from_export, identifier, open, read_anew, since_ever},
};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim, run| crate::test(suite, claim, run);
    test("every entry reads as journalctl exports it, in every format", as_exported);
    test("reading goes on behind any cursor and at any time", any_start);
    test("units and transports select what journalctl selects", units_and_transports);
    test("what is told of an entry is what journald noted", told);
    test("a message of megabytes is cut", long_message);
    test("the entries of several boots and machines come in the order of journalctl", several_boots);
}

/// Every format of file that systemd has written since 2013, but for XZ.
const FORMATS: [&[(&str, &str)]; 4] = [
    &[],
    &[("SYSTEMD_JOURNAL_COMPACT", "0")],
    &[("SYSTEMD_JOURNAL_COMPACT", "0"), ("SYSTEMD_JOURNAL_KEYED_HASH", "0"), ("SYSTEMD_JOURNAL_COMPRESS", "LZ4")],
    &[("SYSTEMD_JOURNAL_COMPRESS", "NONE")],
];

/// Messages of all kinds: short, empty, binary, of several lines, long enough to be compressed.
fn write_all_kinds(journald: &JournaldNamespace) -> Result<()> {
    for round in 0..300_usize {
        let message = match round % 6 {
            0 => format!("line {round}").into_bytes(),
            1 => format!("two lines\nof {round}").into_bytes(),
            2 => vec![0, 255, b'\n', round as u8, b'='],
            3 => "all the same words ".repeat(20 + round * 7).into_bytes(),
            4 => (0..2000 + round * 50).map(|at| (at * at % 251) as u8).collect(),
            _ => Vec::new(),
        };
        let identifier = ["kubelet", "containerd", "sshd"][round % 3];
        let priority = (round % 8).to_string();
        let mut fields = vec![("SYSLOG_IDENTIFIER", identifier.as_bytes()), ("MESSAGE", &message[..])];
        if round % 5 != 0 {
            fields.push(("PRIORITY", priority.as_bytes()));
        }
        journald.send(&fields)?;
        if round % 70 == 69 {
            journald.rotate()?;
        }
    }
    Ok(journald.sync()?)
}

fn as_exported() -> Result<()> {
    for format in FORMATS {
        let journald = JournaldNamespace::start_with("Storage=persistent", format).context("cannot start journald")?;
        write_all_kinds(&journald)?;
        let folder = journald.persistent_folder();
        let exported = |arguments: &[&str]| from_export(&journald.export(arguments)?);
        let all = exported(&[])?;
        ensure!(all.len() >= 300, "journalctl shows {}", all.len());
        expect_lines(&read_anew(&folder, &JournalFilter::default(), since_ever())?, &all, format!("{format:?}"))?;

        let kubelet = exported(&["SYSLOG_IDENTIFIER=kubelet"])?;
        ensure!(kubelet.len() == 100, "journalctl shows {}", kubelet.len());
        expect_lines(&read_anew(&folder, &identifier("kubelet"), since_ever())?, &kubelet, format!("{format:?}"))?;

        let mut filter = identifier("sshd");
        filter.identifiers.push("containerd".to_owned());
        filter.max_priority = Some(3);
        let two = exported(&["SYSLOG_IDENTIFIER=sshd", "SYSLOG_IDENTIFIER=containerd", "--priority=3"])?;
        ensure!(!two.is_empty(), "journalctl shows nothing");
        expect_lines(&read_anew(&folder, &filter, since_ever())?, &two, format!("{format:?}"))?;
    }
    Ok(())
}

fn any_start() -> Result<()> {
    let journald = JournaldNamespace::start("Storage=persistent").context("cannot start journald")?;
    write_all_kinds(&journald)?;
    for filter in [JournalFilter::default(), identifier("kubelet")] {
        let read = |start| read_anew(&journald.persistent_folder(), &filter, start);
        let all = read(since_ever())?;
        ensure!(all.len() >= 100, "only {} lines", all.len());
        for at in (0..all.len()).step_by(7) {
            let rest = read(Start::Cursor(all[at].cursor.clone()))?;
            expect_lines(&rest, &all[at + 1..], format_args!("behind {at}"))?;
            let rest = read(Start::Since(Timestamp::from_unix_nanos(all[at].at)))?;
            let first = all.iter().position(|line| line.at >= all[at].at).unwrap_or(all.len());
            expect_lines(&rest, &all[first..], format_args!("since {at}"))?;
            let rest = read(Start::Since(Timestamp::from_unix_nanos(all[at].at + 1)))?;
            let first = all.iter().position(|line| line.at > all[at].at).unwrap_or(all.len());
            expect_lines(&rest, &all[first..], format_args!("just after {at}"))?;
        }
    }
    Ok(())
}

const KINDS: [&[(&str, &str)]; 9] = [
    &[("_SYSTEMD_UNIT", "kubelet.service"), ("_TRANSPORT", "stdout"), ("SYSLOG_IDENTIFIER", "kubelet")],
    &[("_SYSTEMD_UNIT", "init.scope"), ("UNIT", "kubelet.service"), ("_PID", "1"), ("_TRANSPORT", "journal")],
    &[("UNIT", "kubelet.service"), ("_PID", "77")],
    &[("OBJECT_SYSTEMD_UNIT", "kubelet.service"), ("_UID", "0")],
    &[("OBJECT_SYSTEMD_UNIT", "kubelet.service"), ("_UID", "1000")],
    &[("COREDUMP_UNIT", "kubelet.service"), ("_UID", "0"), ("MESSAGE_ID", "fc2e22bc6ee647b6b90729ab34a250b1")],
    &[("_SYSTEMD_UNIT", "sshd.service"), ("_TRANSPORT", "syslog"), ("SYSLOG_FACILITY", "10")],
    &[("_TRANSPORT", "kernel"), ("SYSLOG_IDENTIFIER", "kernel"), ("PRIORITY", "3"), ("SYSLOG_FACILITY", "0")],
    &[("_SYSTEMD_SLICE", "kubepods.slice"), ("_SYSTEMD_UNIT", "pod.scope")],
];

fn units_and_transports() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let entries: Vec<_> = (0..900).map(|number| exported(number, BOOT, KINDS[number as usize % KINDS.len()])).collect();
    write_journal(&folder.path().join("a.journal"), &entries)?;
    let selects = |filter: JournalFilter, arguments: &[&str], count: usize| {
        let lines = read_anew(folder.path(), &filter, since_ever())?;
        ensure!(lines.len() == count, "{} in place of {count}: {filter:?}", lines.len());
        expect_lines(&lines, &from_export(&export_folder(folder.path(), arguments)?)?, format!("{filter:?}"))
    };
    let units = |units: &[&str]| JournalFilter {
        units: units.iter().map(|unit| (*unit).to_owned()).collect(),
        ..JournalFilter::default()
    };
    selects(JournalFilter::default(), &[], 900)?;
    selects(units(&["kubelet"]), &["--unit=kubelet"], 400)?;
    selects(units(&["kubelet.service", "sshd"]), &["--unit=kubelet.service", "--unit=sshd"], 500)?;
    selects(units(&["kubepods.slice"]), &["--unit=kubepods.slice"], 100)?;
    selects(units(&["nothing.service"]), &["_SYSTEMD_UNIT=nothing.service"], 0)?;
    let kernel = JournalFilter { transports: vec!["kernel".to_owned()], ..JournalFilter::default() };
    selects(kernel, &["_TRANSPORT=kernel"], 100)?;
    let both = JournalFilter { transports: vec!["stdout".to_owned()], ..units(&["kubelet"]) };
    selects(both, &["--unit=kubelet", "_TRANSPORT=stdout"], 100)
}

fn told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let entries: Vec<_> = (0..).zip(KINDS).map(|(number, fields)| exported(number, BOOT, fields)).collect();
    write_journal(&folder.path().join("a.journal"), &entries)?;
    let mut told = Vec::new();
    open(folder.path(), &JournalFilter::default(), since_ever())?.read(&mut |entry| {
        let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
        let numbers = format!("{:?} {:?} {:?}", entry.priority, entry.facility, entry.pid);
        told.push(format!("{} {} {} {numbers}", text(entry.identifier), text(entry.unit), text(entry.transport)));
        ControlFlow::Continue(())
    });
    let expected = [
        "kubelet kubelet.service stdout None None None",
        "- kubelet.service journal None None Some(1)",
        "- - - None None Some(77)",
        "- - - None None None",
        "- - - None None None",
        "- - - None None None",
        "- sshd.service syslog None Some(10) None",
        "kernel - kernel Some(3) Some(0) None",
        "- pod.scope - None None None",
    ];
    ensure!(told == expected, "{told:#?}");
    Ok(())
}

fn long_message() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut noise = 1_u32;
    let entries: Vec<_> = (0..4)
        .map(|number| {
            let mut entry = exported(number, BOOT, &[]);
            // The same letter, or noise that hardly compresses.
            entry[3].1 = (0..3 << 20)
                .map(|_| {
                    noise = if number % 2 == 0 { 1 } else { noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) };
                    if number < 2 { (noise >> 24) as u8 | 0x80 } else { b'a' + (noise >> 30) as u8 }
                })
                .collect();
            entry
        })
        .collect();
    write_journal(&folder.path().join("a.journal"), &entries)?;
    let lines = read_anew(folder.path(), &JournalFilter::default(), since_ever())?;
    ensure!(lines.len() == 4, "{} lines", lines.len());
    for (number, (line, entry)) in lines.iter().zip(&entries).enumerate() {
        ensure!(line.message == entry[3].1[..2 << 20], "message {number} has {} bytes", line.message.len());
    }
    Ok(())
}

fn several_boots() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let machine = folder.path().join("0123456789abcdef0123456789abcdef");
    fs::create_dir(&machine)?;
    let boots = [BOOT, "1b2e6e5f5a0d4a3fb12f9a33a1b4d8c2"];
    for (file, (place, boot)) in [(folder.path(), boots[0]), (&machine, boots[1])].into_iter().enumerate() {
        let entries: Vec<_> = (0..50)
            .map(|number| exported(number * 3 + file as u64 * 20, boot, &[("FILE", &file.to_string())]))
            .collect();
        write_journal(&place.join("system.journal"), &entries)?;
    }
    let lines = read_anew(folder.path(), &JournalFilter::default(), since_ever())?;
    ensure!(lines.len() == 100, "{} lines", lines.len());
    expect_lines(&lines, &from_export(&export_folder(folder.path(), &[])?)?, "both")
}
