//! `/dev/kmsg` as the tests use it: writing lines the way any program may, and reading the sequence numbers.
//!
//! The kernel keeps ten lines per *open file* and five seconds unless `kernel.printk_devkmsg` is `on`, hence one
//! open per line here and [`Flood`] for many. A line written by user space never has the kernel's facility: `<6>x`
//! comes out as facility 1, level 6. Lines below the console's level are also written to the serial console, which
//! takes a millisecond each: the tests use level 6 unless the level matters.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{driver::poll, host::fault::setting::Setting, nonce};

const PATH: &str = "/dev/kmsg";

/// One record as `/dev/kmsg` gives it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The number of the record since boot, without gaps.
    pub sequence: u64,
    /// When it was written, in microseconds of the kernel's own clock.
    pub micros: u64,
    /// The text, still escaped.
    pub text: String,
    /// The dictionary lines (`SUBSYSTEM=pci`) that drivers' records carry.
    pub dictionary: Vec<String>,
}

/// A reader that never blocks.
#[derive(Debug)]
pub struct Reader {
    file: File,
}

/// Many lines as fast as the kernel takes them.
#[derive(Clone, Debug)]
pub struct Flood {
    /// How many lines to write.
    pub lines: usize,
    /// Every how manieth of them is a problem.
    pub every: usize,
    /// A word in all of its lines.
    pub tag: String,
}

/// What a [`Flood`] did.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// How many lines were written in all.
    pub lines: usize,
    /// How many of them were problems.
    pub problems: usize,
    /// How long it took.
    pub took: Duration,
}

/// Writes one line of level 6, in an open file of its own.
pub fn write(text: &str) -> Result<()> {
    write_at(6, text)
}

/// Writes one line of the given level, in an open file of its own.
pub fn write_at(level: u8, text: &str) -> Result<()> {
    let mut file = writer()?;
    write_line(&mut file, &format!("<{level}>{text}\n"))
}

/// Writes what may be the start of a longer line.
pub fn write_unended(text: &str) -> Result<()> {
    write_line(&mut writer()?, &format!("<6>{text}"))
}

/// Opens `/dev/kmsg` for writing.
pub fn writer() -> Result<File> {
    OpenOptions::new().write(true).open(PATH).context("cannot open /dev/kmsg for writing")
}

/// Writes one line with one write(2), as the kernel wants it. The line may start with `<level>` and ends with a
/// newline: without one the kernel takes it for the start of a longer line and shows it to no reader yet.
pub fn write_line(file: &mut File, line: &str) -> Result<()> {
    let written = file.write(line.as_bytes()).context("cannot write to /dev/kmsg")?;
    ensure!(written == line.len(), "/dev/kmsg took {written} of {} bytes", line.len());
    Ok(())
}

/// Writes a marker line and gives its sequence number.
pub fn mark() -> Result<u64> {
    let marker = format!("npd-mark {}", nonce());
    let mut reader = Reader::at_end()?;
    write(&marker)?;
    poll::wait_for("the marker in /dev/kmsg", poll::SOON, || {
        while let Some(record) = reader.next()? {
            if record.text == marker {
                return Ok(Some(record.sequence));
            }
        }
        Ok(None)
    })
}

/// All records that the kernel still holds.
pub fn all() -> Result<Vec<Record>> {
    let mut reader = Reader::open(SeekFrom::Start(0))?;
    let mut records = Vec::new();
    while let Some(record) = reader.next()? {
        records.push(record);
    }
    Ok(records)
}

// === impl Reader ===

impl Reader {
    /// Sees what is written from now on.
    pub fn at_end() -> Result<Self> {
        Self::open(SeekFrom::End(0))
    }

    fn open(from: SeekFrom) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(PATH)
            .context("cannot open /dev/kmsg for reading")?;
        file.seek(from).context("cannot seek in /dev/kmsg")?;
        Ok(Self { file })
    }

    /// The next record, if there is one. Records that the kernel has overwritten are passed over.
    #[expect(clippy::should_implement_trait, reason = "it can fail and `None` is not the end")]
    pub fn next(&mut self) -> Result<Option<Record>> {
        let mut buffer = [0; 8192];
        loop {
            match self.file.read(&mut buffer) {
                Ok(length) => return Record::parse(&String::from_utf8_lossy(&buffer[..length])).map(Some),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) => return Err(error).context("cannot read /dev/kmsg"),
            }
        }
    }
}

// === impl Record ===

impl Record {
    /// `prio,sequence,micros,flags[,…];text\n DICTIONARY=…\n`
    fn parse(raw: &str) -> Result<Self> {
        let (head, body) = raw.split_once(';').with_context(|| format!("no `;` in the record {raw:?}"))?;
        let mut numbers = head.split(',').skip(1);
        let mut number = || -> Result<u64> {
            let digits = numbers.next().with_context(|| format!("too few numbers in the record {raw:?}"))?;
            digits.parse().with_context(|| format!("{digits:?} is no number in the record {raw:?}"))
        };
        let (sequence, micros) = (number()?, number()?);
        let mut lines = body.lines();
        let text = lines.next().unwrap_or_default().to_owned();
        Ok(Self { sequence, micros, text, dictionary: lines.map(|line| line.trim_start().to_owned()).collect() })
    }
}

// === impl Flood ===

impl Flood {
    /// The text of the given line, counted from 0. Problems read `npd-flood TAG problem NUMBER`, the others are
    /// longer, innocent and number themselves as well.
    #[must_use]
    pub fn line(&self, number: usize) -> String {
        let tag = &self.tag;
        if number.is_multiple_of(self.every) {
            format!("npd-flood {tag} problem {}", number / self.every)
        } else {
            format!("npd-flood {tag} link eth0: becomes ready, turn {number}")
        }
    }

    /// How many problems there are among the lines.
    #[must_use]
    pub fn problems(&self) -> usize {
        self.lines.div_ceil(self.every)
    }

    /// Writes all lines. `kernel.printk_devkmsg` is `on` meanwhile.
    pub fn write(&self) -> Result<Written> {
        let _unlimited = Setting::set("/proc/sys/kernel/printk_devkmsg", "on")?;
        let lines: Vec<String> = (0..self.lines).map(|number| format!("<6>{}\n", self.line(number))).collect();
        let mut file = writer()?;
        let started = Instant::now();
        for line in &lines {
            write_line(&mut file, line)?;
        }
        Ok(Written { lines: self.lines, problems: self.problems(), took: started.elapsed() })
    }
}

#[cfg(test)]
mod tests {
    use super::Record;

    #[test]
    fn a_record_of_a_driver_has_its_dictionary_apart() {
        let record = Record::parse("6,339,5140900,-,caller=T1;NET: Registered\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00\n")
            .expect("a well-formed record");
        assert_eq!(record.sequence, 339);
        assert_eq!(record.micros, 5_140_900);
        assert_eq!(record.text, "NET: Registered");
        assert_eq!(record.dictionary, ["SUBSYSTEM=pci", "DEVICE=+pci:0000:00"]);
    }

    #[test]
    fn a_record_without_numbers_is_an_error() {
        assert!(Record::parse("hello;text").is_err());
        assert!(Record::parse("6,x,1,-;text").is_err());
    }
}
