//! The files of the corpus, which say of single lines what the rules make of them.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use jiff::tz::TimeZone;
use npd_agent::{
    config::LogInput,
    rules::{Hit, Rules},
};

use crate::{
    NOW,
    shipped::{Shipped, entries},
};

/// What came of a file.
#[derive(Default)]
pub(crate) struct Checked {
    pub(crate) wrong: Vec<String>,
    /// The patterns that were hit, by their monitor and place.
    pub(crate) hit: BTreeSet<(String, usize)>,
}

/// A monitor that is asked about single lines.
struct Reader<'c> {
    name: &'c str,
    input: &'c LogInput,
    rules: Rules,
    /// What a hit of each pattern is called.
    labels: Vec<String>,
}

pub(crate) fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

pub(crate) fn corpus() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in entries(&corpus_folder())?.into_iter().filter(|path| path.is_dir()) {
        files.extend(entries(&folder)?.into_iter().filter(|path| path.extension().is_some_and(|found| found == "txt")));
    }
    ensure!(!files.is_empty(), "no file in tests/corpus");
    Ok(files)
}

pub(crate) fn check(file: &Path, shipped: &Shipped) -> Result<Checked> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let names = text.lines().next().and_then(|line| line.strip_prefix("# config:"));
    let names = names.context("the first line is not `# config:`")?.split_whitespace();
    let readers: Result<Vec<_>> = names.map(|name| Reader::new(name, shipped)).collect();
    let mut readers = readers?;
    let mut expected: Option<BTreeSet<&str>> = None;
    let mut checked = Checked::default();
    for (number, line) in text.lines().enumerate() {
        if let Some(reasons) = line.strip_prefix("# expect:") {
            expected = Some(reasons.split_whitespace().filter(|reason| *reason != "none").collect());
        } else if !line.starts_with('#') && !line.trim().is_empty() {
            let Some(expected) = &expected else { bail!("line {}: nothing is expected yet", number + 1) };
            let mut found = BTreeSet::new();
            for reader in &mut readers {
                reader.read(line, &mut found, &mut checked.hit);
            }
            if found.iter().map(String::as_str).ne(expected.iter().copied()) {
                checked.wrong.push(format!("line {}: expected {expected:?}, found {found:?}: {line}", number + 1));
            }
        }
    }
    ensure!(expected.is_some(), "no `# expect:` in the file");
    Ok(checked)
}

pub(crate) fn all_are_hit(shipped: &Shipped, hit: &BTreeSet<(String, usize)>) -> Result<()> {
    let mut missed = Vec::new();
    for name in shipped.keys() {
        let labels = Reader::new(name, shipped)?.labels;
        let not_hit = labels.iter().enumerate().filter(|(index, _)| !hit.contains(&(name.clone(), *index)));
        missed.extend(not_hit.map(|(index, label)| format!("{name}: pattern {index}, {label}")));
    }
    ensure!(missed.is_empty(), "no line of the corpus hits\n{}", missed.join("\n"));
    Ok(())
}

// === impl Reader ===

impl<'c> Reader<'c> {
    fn new(name: &'c str, shipped: &'c Shipped) -> Result<Self> {
        let config = shipped.get(name).with_context(|| format!("there is no config/{name}"))?;
        let mut patterns: Vec<_> = config.rules.iter().map(|rule| rule.pattern.clone()).collect();
        let mut labels: Vec<_> = config.rules.iter().map(|rule| rule.reason.to_string()).collect();
        for rule in &config.rules {
            patterns.extend(rule.recovery.pattern.clone());
            labels.extend(rule.recovery.pattern.as_ref().map(|_| format!("over:{}", rule.reason)));
        }
        Ok(Self { name, input: &config.input, rules: Rules::new(patterns, config.buffer_size), labels })
    }

    fn read(&mut self, line: &str, found: &mut BTreeSet<String>, hits: &mut BTreeSet<(String, usize)>) {
        let line = line.as_bytes();
        let message = match self.input {
            LogInput::File { format, .. } if format.skips(line) => Err("skipped"),
            LogInput::File { format, .. } => {
                let time = format.timestamp(line, &TimeZone::UTC, NOW);
                time.and_then(|_| format.message(line)).map_err(|_| "unreadable")
            }
            LogInput::KernelLog | LogInput::Journal { .. } => Ok(Cow::Borrowed(line)),
        };
        let message = match message {
            Ok(message) => message,
            Err(why) => {
                found.insert(why.to_owned());
                return;
            }
        };
        self.rules.push(&message, NOW, &mut |hit: Hit| {
            found.extend(self.labels.get(hit.rule).cloned());
            hits.insert((self.name.to_owned(), hit.rule));
        });
    }
}
