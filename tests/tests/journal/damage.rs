//! Files that are damaged, or are none.

use std::{
    fs::{self, File},
    ops::ControlFlow,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use npd_agent::source::journal::{Cursor, JournalFilter, Start};
use npd_tests::{
    driver::{poll::SOON, suite::Suite},
    host::journald_namespace::{JournaldNamespace, write_journal},
};

use crate::{
    exported::{BOOT, exported},
    lines::{expect_texts, follow, identifier, numbers, open, read, since_ever, wait},
    warnings::Warnings,
};

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim, run| crate::test(suite, claim, run);
    test("damaged and empty files are named once and the others are read", named_once);
    test("no damage makes the reader panic or run for long", any_damage);
}

fn named_once() -> Result<()> {
    let journald = JournaldNamespace::start("Storage=persistent").context("cannot start journald")?;
    let folder = journald.persistent_folder();
    for number in 0..300_usize {
        journald.log("wanted", &number.to_string())?;
        if number % 100 == 99 {
            journald.rotate()?;
        }
    }
    fs::write(folder.join("copy.journal"), archived(&folder)?)?;
    let half = folder.join("half.journal");
    let entries: Vec<_> = (0..100).map(|number| exported(number, BOOT, &[("SYSLOG_IDENTIFIER", "wanted")])).collect();
    write_journal(&half, &entries)?;
    let last_object = last_object(&fs::read(&half)?)?;
    File::options().write(true).open(&half)?.set_len(last_object - 8192)?;
    fs::write(folder.join("text.journal"), "this is no journal at all\n".repeat(100))?;
    let empty = folder.join("empty.journal");
    fs::write(&empty, "")?;

    let warnings = Warnings::default();
    warnings.of(|| {
        let mut tail = open(&folder, &identifier("wanted"), since_ever())?;
        let mut lines = read(&mut tail);
        let from_half = lines.len().saturating_sub(300);
        ensure!((30..100).contains(&from_half), "{from_half} of the half file");
        expect_texts(&lines[from_half..], &numbers(0..300), "of the others")?;
        // The empty one may be about to be created.
        ensure!(tail.timeout() == Some(Duration::from_secs(2)), "{:?}", tail.timeout());
        ensure!(warnings.about("empty") == 0, "{}", warnings.text());
        let deadline = Instant::now() + SOON;
        while tail.timeout().is_some() && Instant::now() < deadline {
            wait(&tail, SOON)?;
            read(&mut tail);
        }
        journald.log("wanted", "300")?;
        follow(&mut tail, &mut lines, |lines| lines.last().is_some_and(|line| line.text() == "300"))?;
        for name in ["half", "text", "empty"] {
            ensure!(warnings.about(name) == 1, "{name}: {}", warnings.text());
        }
        // Of a file and its copy either is read.
        ensure!(warnings.total() == 4, "{}", warnings.text());
        // It was about to be created after all.
        let other = tempfile::tempdir_in(&folder)?;
        write_journal(&other.path().join("a.journal"), &entries)?;
        fs::write(&empty, fs::read(other.path().join("a.journal"))?)?;
        follow(&mut tail, &mut lines, |lines| lines.len() == from_half + 301 + 100)
    })
}

/// What was read of a damaged file.
#[derive(Default)]
struct Found {
    entries: usize,
    bytes: usize,
    cursor: Option<Cursor>,
}

/// How long a file of 400 entries may take, and how many it may seem to have.
const LIMIT: Duration = Duration::from_secs(5);
const MAX_ENTRIES: usize = 20_000;

fn any_damage() -> Result<()> {
    let old =
        [("SYSTEMD_JOURNAL_COMPACT", "0"), ("SYSTEMD_JOURNAL_KEYED_HASH", "0"), ("SYSTEMD_JOURNAL_COMPRESS", "LZ4")];
    let files = [real_file(&[])?, real_file(&old)?];
    let filters = [
        JournalFilter::default(),
        JournalFilter { units: vec!["a.service".to_owned()], ..identifier("wanted") },
        JournalFilter {
            identifiers: vec!["wanted".to_owned(), "foreign".to_owned()],
            max_priority: Some(5),
            ..JournalFilter::default()
        },
    ];
    // All at once: most of the time is spent waiting for the kernel to close an inotify.
    let entries: usize = thread::scope(|scope| {
        let pairs = files.iter().flat_map(|file| filters.iter().map(move |filter| (file, filter)));
        let readers: Vec<_> = pairs.map(|(file, filter)| scope.spawn(|| read_damaged(file, filter))).collect();
        let mut entries = 0;
        for reader in readers {
            entries += reader.join().map_err(|_| anyhow!("the reader panicked"))??;
        }
        anyhow::Ok(entries)
    })?;
    // Most damage hits something else.
    ensure!(entries > 50_000, "only {entries} entries were read from damaged files");
    Ok(())
}

/// Reads a file that is damaged in 400 ways; gives how many entries were read.
fn read_damaged(whole: &[u8], filter: &JournalFilter) -> Result<usize> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a.journal");
    fs::write(&path, whole)?;
    let undamaged = read_all(folder.path(), &JournalFilter::default(), since_ever())?;
    ensure!(undamaged.entries >= 400, "{} entries of the whole file", undamaged.entries);
    let mut seed = 99_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    // Where objects start: most of a file is empty hash table.
    let dense: Vec<_> = (0..whole.len()).filter(|at| *at < 272 || whole[*at] != 0).collect();
    let mut entries = 0;
    for round in 0..400 {
        let mut damaged = whole.to_vec();
        for _ in 0..=random(if round % 2 == 0 { 4 } else { 200 }) {
            let at = if random(4) == 0 { random(272) } else { dense[random(dense.len())] };
            // One byte, or an offset or a size that is absurd, or one that is not.
            let value = match random(5) {
                0 => u64::MAX.to_le_bytes(),
                1 => (random(whole.len()) as u64 & !7).to_le_bytes(),
                2 => (random(1 << 30) as u64 * 0x1_0000_0001).to_le_bytes(),
                _ => [random(256) as u8; 8],
            };
            let size = if random(2) == 0 { 1 } else { 8 };
            damaged.iter_mut().skip(at).zip(&value[..size]).for_each(|(byte, value)| *byte = *value);
        }
        if round % 5 == 0 {
            damaged.truncate(random(whole.len()));
        }
        fs::write(&path, &damaged)?;
        let read = |start| read_all(folder.path(), filter, start).with_context(|| format!("round {round}"));
        let found = read(since_ever())?;
        entries += found.entries;
        let cursor = found.cursor.or(undamaged.cursor).context("no entry")?;
        read(Start::Cursor(if random(2) == 0 { cursor.to_string() } else { of_another_sequence(&cursor) }))?;
    }
    Ok(entries)
}

/// Reads a folder to its end, as following does.
fn read_all(folder: &Path, filter: &JournalFilter, start: Start) -> Result<Found> {
    let begun = Instant::now();
    let mut tail = open(folder, filter, start)?;
    let mut found = Found::default();
    loop {
        let outcome = tail.read(&mut |entry| {
            found.entries += 1;
            found.bytes += entry.message.len();
            // Some entry in the middle.
            if found.entries % 37 == 1 {
                found.cursor = Some(entry.cursor);
            }
            if found.entries < MAX_ENTRIES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        ensure!(begun.elapsed() < LIMIT, "it takes longer than {LIMIT:?}");
        ensure!(found.entries < MAX_ENTRIES, "it has {MAX_ENTRIES} entries and more");
        ensure!(found.bytes < 200 << 20, "it has {} bytes", found.bytes);
        if !outcome.more {
            return Ok(found);
        }
    }
}

/// The cursor of the entry from which this one was copied; that one is looked up in all files.
fn of_another_sequence(cursor: &Cursor) -> String {
    let text = cursor.to_string();
    text.split_once(';').map(|(_, rest)| format!("s={:032x};{rest}", 7)).unwrap_or_default()
}

/// A file of some 400 entries, of which some are compressed, and what lies behind its last object cut off.
fn real_file(environment: &[(&str, &str)]) -> Result<Vec<u8>> {
    let journald = JournaldNamespace::start_with("Storage=persistent", environment).context("cannot start journald")?;
    for number in 0..400_usize {
        let message = format!("entry {number} {}", "of many words ".repeat(number % 60));
        let identifier = ["wanted", "foreign"][number % 2];
        let priority = (number % 8).to_string();
        let fields = [("SYSLOG_IDENTIFIER", identifier), ("MESSAGE", &message), ("PRIORITY", &priority)];
        journald.send(&fields.map(|(name, value)| (name, value.as_bytes())))?;
    }
    journald.sync()?;
    journald.rotate()?;
    let mut bytes = archived(&journald.persistent_folder())?;
    let end = usize::try_from(last_object(&bytes)?)? + 4096;
    bytes.truncate(end);
    Ok(bytes)
}

/// One of the archived files of a folder.
fn archived(folder: &Path) -> Result<Vec<u8>> {
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.to_string_lossy().contains('@') {
            return Ok(fs::read(path)?);
        }
    }
    bail!("no archived file in {}", folder.display())
}

/// The offset of a file's last object, which the header has.
fn last_object(file: &[u8]) -> Result<u64> {
    let offset = file.get(136..).and_then(|rest| rest.first_chunk()).context("no whole header")?;
    Ok(u64::from_le_bytes(*offset))
}
