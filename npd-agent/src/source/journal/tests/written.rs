//! What is in files that nobody writes to.

use super::*;

/// Every format of file that systemd has written since 2013, but for XZ.
const FORMATS: [&[(&str, &str)]; 4] = [
    &[],
    &[("SYSTEMD_JOURNAL_COMPACT", "0")],
    &[("SYSTEMD_JOURNAL_COMPACT", "0"), ("SYSTEMD_JOURNAL_KEYED_HASH", "0"), ("SYSTEMD_JOURNAL_COMPRESS", "LZ4")],
    &[("SYSTEMD_JOURNAL_COMPRESS", "NONE")],
];

/// Messages of all kinds: short, empty, binary, of several lines, long enough to be compressed.
fn write_all_kinds(journald: &JournaldNamespace) {
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
        journald.send(&fields).unwrap();
        if round % 70 == 69 {
            journald.rotate().unwrap();
        }
    }
    journald.sync().unwrap();
}

#[test]
fn every_entry_reads_as_journalctl_exports_it_in_every_format() {
    for format in FORMATS {
        let Some(journald) = journald_with("Storage=persistent", format) else { return };
        write_all_kinds(&journald);
        let folder = journald.persistent_folder();
        let all = read(&mut open(&folder, &JournalFilter::default(), since_ever()));
        let expected = from_export(&journald.export(&[]).unwrap());
        assert!(expected.len() >= 300);
        assert!(all == expected, "{format:?}");

        let kubelet = read(&mut open(&folder, &identifier("kubelet"), since_ever()));
        assert_eq!(kubelet.len(), 100);
        assert!(kubelet == from_export(&journald.export(&["SYSLOG_IDENTIFIER=kubelet"]).unwrap()), "{format:?}");

        let mut two = identifier("sshd");
        two.identifiers.push("containerd".to_owned());
        two.max_priority = Some(3);
        let two = read(&mut open(&folder, &two, since_ever()));
        let arguments = ["SYSLOG_IDENTIFIER=sshd", "SYSLOG_IDENTIFIER=containerd", "--priority=3"];
        assert!(!two.is_empty());
        assert!(two == from_export(&journald.export(&arguments).unwrap()), "{format:?}");
    }
}

#[test]
fn reading_goes_on_behind_any_cursor_and_at_any_time() {
    let Some(journald) = journald("Storage=persistent") else { return };
    write_all_kinds(&journald);
    for filter in [JournalFilter::default(), identifier("kubelet")] {
        let open = |start| open(&journald.persistent_folder(), &filter, start);
        let all = read(&mut open(since_ever()));
        for at in (0..all.len()).step_by(7) {
            let rest = read(&mut open(Start::Cursor(all[at].cursor.clone())));
            assert!(rest == all[at + 1..], "behind {at}");
            let rest = read(&mut open(Start::Since(Timestamp::from_unix_nanos(all[at].at))));
            let first = all.iter().position(|line| line.at >= all[at].at).unwrap();
            assert!(rest == all[first..], "since {at}");
            let rest = read(&mut open(Start::Since(Timestamp::from_unix_nanos(all[at].at + 1))));
            let first = all.iter().position(|line| line.at > all[at].at).unwrap_or(all.len());
            assert!(rest == all[first..], "just after {at}");
        }
    }
}

#[test]
fn units_and_transports_select_what_journalctl_selects() {
    if let Some(reason) = journald_namespace::missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    let kinds: &[&[(&str, &str)]] = &[
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
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<_> = (0..900).map(|number| exported(number, BOOT, kinds[number as usize % kinds.len()])).collect();
    write_journal(&folder.path().join("a.journal"), &entries).unwrap();
    let selects = |filter: JournalFilter, arguments: &[&str], count: usize| {
        let lines = read(&mut open(folder.path(), &filter, since_ever()));
        assert_eq!(lines.len(), count, "{filter:?}");
        assert!(lines == from_export(&export_folder(folder.path(), arguments).unwrap()), "{filter:?}");
    };
    let units = |units: &[&str]| JournalFilter {
        units: units.iter().map(|unit| (*unit).to_owned()).collect(),
        ..JournalFilter::default()
    };
    selects(JournalFilter::default(), &[], 900);
    selects(units(&["kubelet"]), &["--unit=kubelet"], 400);
    selects(units(&["kubelet.service", "sshd"]), &["--unit=kubelet.service", "--unit=sshd"], 500);
    selects(units(&["kubepods.slice"]), &["--unit=kubepods.slice"], 100);
    selects(units(&["nothing.service"]), &["_SYSTEMD_UNIT=nothing.service"], 0);
    let kernel = JournalFilter { transports: vec!["kernel".to_owned()], ..JournalFilter::default() };
    selects(kernel, &["_TRANSPORT=kernel"], 100);
    let both = JournalFilter { transports: vec!["stdout".to_owned()], ..units(&["kubelet"]) };
    selects(both, &["--unit=kubelet", "_TRANSPORT=stdout"], 100);

    let mut told = Vec::new();
    open(folder.path(), &JournalFilter::default(), since_ever()).read(&mut |entry| {
        let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
        let numbers = format!("{:?} {:?} {:?}", entry.priority, entry.facility, entry.pid);
        told.push(format!("{} {} {} {numbers}", text(entry.identifier), text(entry.unit), text(entry.transport)));
        if told.len() == 9 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(told[0], "kubelet kubelet.service stdout None None None");
    assert_eq!(told[1], "- kubelet.service journal None None Some(1)");
    assert_eq!(told[2], "- - - None None Some(77)");
    assert_eq!(told[6], "- sshd.service syslog None Some(10) None");
    assert_eq!(told[7], "kernel - kernel Some(3) Some(0) None");
}

#[test]
fn a_message_of_megabytes_is_cut() {
    if journald_namespace::missing().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
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
    write_journal(&folder.path().join("a.journal"), &entries).unwrap();
    let lines = read(&mut open(folder.path(), &JournalFilter::default(), since_ever()));
    assert_eq!(lines.len(), 4);
    for (line, entry) in lines.iter().zip(&entries) {
        assert!(line.message == entry[3].1[..2 << 20]);
    }
}

#[test]
fn the_entries_of_several_boots_and_machines_come_in_the_order_of_journalctl() {
    if journald_namespace::missing().is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let machine = folder.path().join("0123456789abcdef0123456789abcdef");
    std::fs::create_dir(&machine).unwrap();
    let boots = [BOOT, "1b2e6e5f5a0d4a3fb12f9a33a1b4d8c2"];
    for (file, (place, boot)) in [(folder.path(), boots[0]), (&machine, boots[1])].into_iter().enumerate() {
        let entries: Vec<_> = (0..50)
            .map(|number| exported(number * 3 + file as u64 * 20, boot, &[("FILE", &file.to_string())]))
            .collect();
        write_journal(&place.join("system.journal"), &entries).unwrap();
    }
    let lines = read(&mut open(folder.path(), &JournalFilter::default(), since_ever()));
    assert_eq!(lines.len(), 100);
    assert_eq!(lines, from_export(&export_folder(folder.path(), &[]).unwrap()));
}

#[test]
fn a_tail_can_be_given_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&open(Path::new("/nowhere"), &JournalFilter::default(), since_ever()));
    let bad = JournalTail::open(None, &JournalFilter::default(), Start::Cursor("s=1".to_owned())).unwrap_err();
    assert_eq!(bad.to_string(), "cannot go on at \"s=1\"");
}
