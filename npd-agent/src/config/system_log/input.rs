//! Where a file's lines come from, checked: `plugin`, `pluginConfig`, `logPath`, `skipList`.

use std::sync::Arc;

use super::{LogInput, raw::RawSystemLog};
use crate::{
    config::report::{Findings, Notice, Problem},
    go::{json::Value, time_layout::Layout},
    rules::Extractor,
    // What these describe is a source's own business; a checked config holds it ready for use.
    source::{file::line_format::LineFormat, journal::JournalFilter},
};

const FILE_KEYS: &[&str] = &["timestamp", "message", "timestampFormat"];
const JOURNAL_KEYS: &[&str] = &["source", "unit", "transport", "priority"];

/// journald's words for the levels 0 to 7.
const PRIORITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

pub(super) fn check<'d>(raw: &RawSystemLog<'d>, root: Value<'d>, findings: &mut Findings) -> Option<LogInput> {
    let name = raw.plugin.get()?;
    match name {
        "kmsg" => {
            check_unused(raw, root, findings);
            Some(LogInput::KernelLog)
        }
        "filelog" => check_file(raw, root, findings),
        "journald" => check_journal(raw, root, findings),
        _ => {
            let (plugin, allowed) = (name.to_owned(), LogInput::NAMES);
            let problem = match name {
                "" => Problem::PluginMissing(allowed),
                "custom" | "health" => {
                    Problem::PluginElsewhere { plugin, flag: "--config.custom-plugin-monitor", allowed }
                }
                _ => Problem::PluginUnknown { plugin, allowed },
            };
            findings.error(raw.plugin.at(root), problem);
            None
        }
    }
}

/// Says which settings the kernel log does not look at.
fn check_unused<'d>(raw: &RawSystemLog<'d>, root: Value<'d>, findings: &mut Findings) {
    let mut unused = |key, at| findings.notice(at, Notice::NoEffect { key, plugin: "kmsg" });
    // "/dev/kmsg" is what it reads in any case, and what node-problem-detector's own files say.
    if raw.log_path.get().is_some_and(|path| !matches!(path, "" | "/dev/kmsg")) {
        unused("logPath", raw.log_path.at(root));
    }
    if let Some(first) = raw.skip_list.elements().first() {
        unused("skipList", first.at);
    }
    if let Some(at) = raw.plugin_config.at.filter(|_| !raw.plugin_config.entries.is_empty()) {
        unused("pluginConfig", at);
    }
}

fn check_file<'d>(raw: &RawSystemLog<'d>, root: Value<'d>, findings: &mut Findings) -> Option<LogInput> {
    check_keys(raw, FILE_KEYS, findings);
    let path = raw.log_path.get()?;
    if path.is_empty() {
        findings.error(raw.log_path.at(root), Problem::NoLogPath);
    }
    let mut extractor = |key| {
        let (source, at) = setting(raw, key)?;
        let parsed = Extractor::new(source).map_err(|error| findings.error(at, Problem::Pattern(error)));
        Some(parsed.ok())
    };
    let (timestamp, message) = (extractor("timestamp"), extractor("message"));
    let layout = setting(raw, "timestampFormat").map(|(text, at)| (Layout::new(text), at));
    if let Some((layout, at)) = &layout
        && !layout.has_fields()
    {
        findings.error(*at, Problem::Layout(layout.source().to_owned()));
    }
    let half = match (&timestamp, &layout) {
        (Some(_), None) => Some("timestampFormat"),
        (None, Some(_)) => Some("timestamp"),
        _ => None,
    };
    if let Some(missing) = half {
        findings.error(raw.plugin_config.at.unwrap_or(root), Problem::HalfTimestamp { missing });
    }
    if timestamp.is_none() && layout.is_none() && raw.lookback.get().is_some_and(|text| !matches!(text, "" | "0")) {
        findings.notice(raw.lookback.at(root), Notice::LookbackWithoutTime);
    }
    let skip = raw.skip_list.elements().iter().filter_map(|word| word.value.get()).filter(|word| !word.is_empty());
    let format = LineFormat {
        timestamp: timestamp.flatten().zip(layout.map(|(layout, _)| layout)),
        message: message.flatten(),
        skip: skip.map(|word| word.as_bytes().into()).collect(),
    };
    Some(LogInput::File { path: path.into(), format: Arc::new(format) })
}

fn check_journal<'d>(raw: &RawSystemLog<'d>, root: Value<'d>, findings: &mut Findings) -> Option<LogInput> {
    check_keys(raw, JOURNAL_KEYS, findings);
    if let Some(first) = raw.skip_list.elements().first() {
        findings.notice(first.at, Notice::NoEffect { key: "skipList", plugin: "journald" });
    }
    let list = |key| -> Vec<String> {
        let text = setting(raw, key).map(|(text, _)| text).unwrap_or_default();
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let mut filter = JournalFilter {
        // One identifier, to the letter: node-problem-detector knows no lists here.
        identifiers: setting(raw, "source").map(|(text, _)| text.to_owned()).into_iter().collect(),
        units: list("unit"),
        transports: list("transport"),
        max_priority: None,
    };
    if filter.identifiers.is_empty() && filter.units.is_empty() && filter.transports.is_empty() {
        findings.error(raw.plugin_config.at.unwrap_or(root), Problem::NoJournalSource);
    }
    if let Some((text, at)) = setting(raw, "priority") {
        let number = text.parse().ok().filter(|number| usize::from(*number) < PRIORITIES.len());
        let named = || PRIORITIES.iter().position(|word| *word == text).and_then(|number| u8::try_from(number).ok());
        filter.max_priority = number.or_else(named);
        if filter.max_priority.is_none() {
            let allowed = format!("0 to 7, or one of {}", PRIORITIES.join(", "));
            findings.error(at, Problem::value(format!("priority \"{text}\""), allowed));
        }
    }
    let folder = raw.log_path.get()?;
    Some(LogInput::Journal { folder: (!folder.is_empty()).then(|| folder.into()), filter })
}

/// A setting of `pluginConfig`, and where it stands; the empty one is none.
fn setting<'d>(raw: &RawSystemLog<'d>, key: &str) -> Option<(&'d str, Value<'d>)> {
    raw.plugin_config.entries.get(key).copied().filter(|(text, _)| !text.is_empty())
}

/// The keys of `pluginConfig` are told apart by case.
fn check_keys(raw: &RawSystemLog<'_>, known: &'static [&'static str], findings: &mut Findings) {
    let unknown = raw.plugin_config.entries.iter().filter(|(key, _)| !known.contains(key));
    for (key, (_, at)) in unknown {
        let nearest = known.iter().find(|known| known.eq_ignore_ascii_case(key)).copied();
        findings.notice(*at, Notice::UnknownKey { key: (*key).to_owned(), nearest, known });
    }
}
