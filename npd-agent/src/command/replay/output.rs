//! What a replay prints: a match a line as JSON, or text for a person.

use std::io::{self, Write};

use serde::Serialize;

use super::Replayed;
use crate::{
    config::{ConditionDefinition, Effect, Rule as RuleConfig},
    monitor::system_log::{Findings, Matched},
    problem::{Condition, Severity, Status},
    time::Timestamp,
};

/// The writer of the results.
pub(crate) struct Output<'w> {
    out: &'w mut dyn Write,
    json: bool,
    matches: u64,
}

/// A rule as it is named.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    temporary: bool,
    reason: String,
    condition: Option<String>,
}

/// What came of one record.
#[derive(Default)]
pub(crate) struct Found {
    matches: Vec<(usize, Timestamp, String)>,
    statuses: Vec<Status>,
    suppressed: Vec<String>,
}

#[derive(Serialize)]
struct Match<'a> {
    line: u64,
    source: &'a str,
    rule: usize,
    #[serde(rename = "type")]
    kind: &'a str,
    reason: &'a str,
    condition: Option<&'a str>,
    timestamp: Option<Timestamp>,
    message: &'a str,
}

// === impl Found ===

impl Findings for Found {
    fn matched(&mut self, rule: &Matched<'_>) {
        self.matches.push((rule.rule, rule.timestamp, rule.message.to_owned()));
    }

    fn status(&mut self, status: Status) {
        self.statuses.push(status);
    }

    fn suppressed(&mut self, reason: &str) {
        self.suppressed.push(reason.to_owned());
    }
}

// === impl Rule ===

impl Rule {
    pub(crate) fn new(rule: &RuleConfig, conditions: &[ConditionDefinition]) -> Self {
        let condition = match rule.effect {
            Effect::Temporary => None,
            Effect::Permanent { condition } => conditions.get(condition).map(|condition| condition.kind.to_string()),
        };
        Self { temporary: rule.effect == Effect::Temporary, reason: rule.reason.to_string(), condition }
    }

    fn kind(&self) -> &'static str {
        if self.temporary { "temporary" } else { "permanent" }
    }
}

// === impl Output ===

impl<'w> Output<'w> {
    pub(crate) fn new(out: &'w mut dyn Write, json: bool) -> Self {
        Self { out, json, matches: 0 }
    }

    pub(crate) fn matches(&self) -> u64 {
        self.matches
    }

    /// Prints what came of the record on `line`.
    pub(crate) fn found(
        &mut self,
        line: u64,
        source: &str,
        rules: &[Rule],
        found: &Found,
        known_time: bool,
    ) -> io::Result<()> {
        for (index, at, message) in &found.matches {
            let Some(rule) = rules.get(*index) else { continue };
            self.matches += 1;
            if self.json {
                let found = Match {
                    line,
                    source,
                    rule: *index,
                    kind: rule.kind(),
                    reason: &rule.reason,
                    condition: rule.condition.as_deref(),
                    timestamp: known_time.then_some(*at),
                    message,
                };
                serde_json::to_writer(&mut *self.out, &found)?;
                writeln!(self.out)?;
            } else {
                let time = if known_time { format!(" {at}") } else { String::new() };
                let (kind, reason) = (rule.kind(), &rule.reason);
                writeln!(self.out, "line {line}:{time} {source} rule {index} ({kind} {reason}): {message:?}")?;
            }
        }
        if self.json {
            return Ok(());
        }
        for event in found.statuses.iter().flat_map(|status| &status.events) {
            let kind = match event.severity {
                Severity::Warn => "Warning",
                Severity::Info => "Normal",
            };
            writeln!(self.out, "    event {kind} {}: {}", event.reason, event.message)?;
        }
        for reason in &found.suppressed {
            writeln!(self.out, "    folded into an earlier {reason}")?;
        }
        Ok(())
    }

    /// Prints the conditions as they are in the end.
    pub(crate) fn conditions(&mut self, source: &str, conditions: &[Condition]) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        for Condition { kind, status, reason, message, .. } in conditions {
            writeln!(self.out, "{source}: condition {kind} is {status}, reason {reason}: {message:?}")?;
        }
        Ok(())
    }

    /// Prints the last line.
    pub(crate) fn summary(&mut self, replayed: &Replayed) -> io::Result<()> {
        if !self.json {
            let Replayed { lines, records, unreadable, matches } = replayed;
            write!(self.out, "{lines} lines, {records} records, {matches} matches")?;
            match unreadable {
                0 => writeln!(self.out)?,
                1 => writeln!(self.out, "; in 1 record the time or the message was not found")?,
                _ => writeln!(self.out, "; in {unreadable} records the time or the message was not found")?,
            }
        }
        self.out.flush()
    }
}
