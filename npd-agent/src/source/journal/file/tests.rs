//! Real files with some of their bytes replaced.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    time::{Duration, Instant},
};

use super::*;
use crate::{
    journald_namespace::{self, JournaldNamespace},
    source::journal::filter::JournalFilter,
};

fn key(path: &Path) -> FileKey {
    FileKey::of(&fs::metadata(path).unwrap())
}

/// Reads a whole file, as following does.
fn read_all(path: &Path, filter: &JournalFilter) -> Result<(Vec<Cursor>, usize), FileError> {
    let mut file = FileReader::open(path, key(path), Arc::new(Filter::new(filter)))?;
    let (mut entries, mut bytes, mut fields) = (Vec::new(), 0, Fields::default());
    file.begin(Origin::Since(0));
    file.tail();
    file.refresh();
    while let Some(cursor) = file.peek(u64::MAX) {
        if file.read(&mut fields) {
            entries.push(cursor);
            bytes += fields.message.len();
        }
        file.advance();
    }
    for cursor in entries.iter().take(20) {
        file.locate(cursor);
        file.gave_up(cursor);
    }
    Ok((entries, bytes))
}

/// A file of some 400 entries, of which some are compressed, and what lies behind its last object cut off.
fn real_file(environment: &[(&str, &str)]) -> Vec<u8> {
    let journald = JournaldNamespace::start_with("Storage=persistent", environment).unwrap();
    for number in 0..400_usize {
        let message = format!("entry {number} {}", "of many words ".repeat(number % 60));
        let identifier = ["wanted", "foreign"][number % 2];
        let priority = (number % 8).to_string();
        let fields = [("SYSLOG_IDENTIFIER", identifier), ("MESSAGE", &message), ("PRIORITY", &priority)];
        journald.send(&fields.map(|(name, value)| (name, value.as_bytes()))).unwrap();
    }
    journald.sync().unwrap();
    journald.rotate().unwrap();
    let mut folder = fs::read_dir(journald.persistent_folder()).unwrap().map(|file| file.unwrap().path());
    let archived = folder.find(|path| path.to_string_lossy().contains('@')).unwrap();
    let mut bytes = fs::read(archived).unwrap();
    let last_object = u64::from_le_bytes(*bytes[136..].first_chunk().unwrap()) as usize;
    bytes.truncate(last_object + 4096);
    bytes
}

#[test]
fn no_damage_makes_the_reader_panic_or_run_for_long() {
    if let Some(reason) = journald_namespace::missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let old =
        [("SYSTEMD_JOURNAL_COMPACT", "0"), ("SYSTEMD_JOURNAL_KEYED_HASH", "0"), ("SYSTEMD_JOURNAL_COMPRESS", "LZ4")];
    let filters = [
        JournalFilter::default(),
        JournalFilter {
            identifiers: vec!["wanted".to_owned()],
            units: vec!["a.service".to_owned()],
            ..JournalFilter::default()
        },
        JournalFilter {
            identifiers: vec!["wanted".to_owned(), "foreign".to_owned()],
            max_priority: Some(5),
            ..JournalFilter::default()
        },
    ];
    let mut seed = 99_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let (mut read, mut slowest) = (0, Duration::ZERO);
    for bytes in [real_file(&[]), real_file(&old)] {
        fs::write(&path, &bytes).unwrap();
        let (entries, _) = read_all(&path, &filters[0]).unwrap();
        assert!(entries.len() >= 400);
        // Where objects start: most of a file is empty hash table.
        let dense: Vec<_> = (0..bytes.len()).filter(|at| *at < 272 || bytes[*at] != 0).collect();
        for round in 0..400 {
            let mut damaged = fs::File::options().write(true).open(&path).unwrap();
            damaged.write_all(&bytes).unwrap();
            for _ in 0..=random(if round % 2 == 0 { 4 } else { 200 }) {
                let at = if random(4) == 0 { random(272) } else { dense[random(dense.len())] };
                damaged.seek(SeekFrom::Start(at as u64)).unwrap();
                // One byte, or an offset or a size that is absurd, or one that is not.
                let value = match random(5) {
                    0 => u64::MAX.to_le_bytes(),
                    1 => (random(bytes.len()) as u64 & !7).to_le_bytes(),
                    2 => (random(1 << 30) as u64 * 0x1_0000_0001).to_le_bytes(),
                    _ => [random(256) as u8; 8],
                };
                let size = if random(2) == 0 { 1 } else { 8 };
                damaged.write_all(&value[..size]).unwrap();
            }
            if round % 5 == 0 {
                damaged.set_len(random(bytes.len()) as u64).unwrap();
            }
            for filter in &filters {
                let begun = Instant::now();
                if let Ok((entries, bytes)) = read_all(&path, filter) {
                    read += entries.len();
                    assert!(entries.len() < 20_000, "{}", entries.len());
                    assert!(bytes < 200 << 20);
                }
                slowest = slowest.max(begun.elapsed());
                assert!(begun.elapsed() < Duration::from_secs(5), "round {round}");
            }
        }
    }
    println!("{read} entries read from damaged files, the slowest file took {slowest:?}");
    // Most damage hits something else.
    assert!(read > 50_000);
}

#[test]
fn what_was_written_after_the_bounds_were_read_is_seen() {
    if let Some(reason) = journald_namespace::missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    let journald = JournaldNamespace::start("Storage=persistent").unwrap();
    let path = journald.persistent_folder().join("system.journal");
    let mut file = FileReader::open(&path, key(&path), Arc::default()).unwrap();
    let before = file.tail();
    journald.log("wanted", "later").unwrap();
    journald.sync().unwrap();
    file.refresh();
    let mut last = None;
    while let Some(cursor) = file.peek(u64::MAX) {
        last = Some(cursor.seqnum);
        file.advance();
    }
    assert!(last > Some(before.seqnum), "{last:?} {before:?}");
    assert_eq!(file.tail().seqnum, last.unwrap());
}

#[test]
fn a_name_that_is_another_files_by_now_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    fs::write(&path, "old").unwrap();
    let key = key(&path);
    fs::write(folder.path().join("b"), "new").unwrap();
    fs::rename(folder.path().join("b"), &path).unwrap();
    assert!(matches!(FileReader::open(&path, key, Arc::default()), Err(FileError::Moved)));
    fs::remove_file(&path).unwrap();
    assert!(matches!(FileReader::open(&path, key, Arc::default()), Err(FileError::Moved)));
}

#[test]
fn what_is_no_journal_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        FileReader::open(&path, key(&path), Arc::default()).err().unwrap().to_string()
    };
    assert_eq!(open(b""), FileError::Incomplete.to_string());
    assert_eq!(open(&[0; 4096]), FileError::Incomplete.to_string());
    assert_eq!(open(&[b'x'; 4096]), FileError::Foreign.to_string());
    let mut header = [0; 4096];
    header[..8].copy_from_slice(b"LPKSHHRH");
    assert_eq!(open(&header), FileError::Foreign.to_string());
    header[88] = 240;
    header[12] = 0x40;
    assert_eq!(open(&header), FileError::Unknown(0x40).to_string());
}
